"""Runs a journal in this process, with a real store and real sockets, for callers whom a table identifies: no API server is needed.

with JournalStage(tmp_path) as journal:
    journal.add_pod("token-1", APP)
    requests.post(f"{journal.url}/v1/apps/{APP.app_uid}/runs", headers={"Authorization": "Bearer token-1"}, json=…)
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from dynamiq_recorder.identity.apps import Apps, Durable, KnownApp, Sessions
from dynamiq_recorder.identity.pods import KnownPod, Pods
from dynamiq_recorder.identity.rights import Rights
from dynamiq_recorder.identity.tokens import Tokens, Unauthorized, User
from dynamiq_recorder.journal.http.context import Context
from dynamiq_recorder.journal.model import Place
from dynamiq_recorder.journal.serve import Identity, Options, context_of, run
from dynamiq_recorder.journal.store import JournalStore, opened
from tests.support.ports import free_port
from tests.support.waiting import IN_TIME, eventually

HOST = "127.0.0.1"
APP = Place("a11a11a1-0000-4000-8000-000000000001", "team", "chat", "0123456789abcdef", "sha256:f1", "chat-1")
OTHER = Place("b22b22b2-0000-4000-8000-000000000002", "rivals", "chat", "fedcba9876543210", "sha256:f2", "chat-9")
POD, OTHER_POD, ADMIN, VIEWER, STRANGER = "pod-token", "other-pod-token", "admin-token", "viewer-token", "stranger-token"


class _Tokens(Tokens):
    def __init__(self, table: Table) -> None:
        self._table = table

    async def user(self, token: str) -> User:
        if (user := self._table.users.get(token)) is None:
            raise Unauthorized
        return user


class _Pods(Pods):
    def __init__(self, table: Table) -> None:
        self._table = table

    async def get(self, namespace: str, name: str, uid: str) -> KnownPod:
        return self._table.pods_by_uid.get(uid, KnownPod(namespace))


class _Apps(Apps):
    def __init__(self, table: Table) -> None:
        self._table = table

    @property
    def is_listed(self) -> bool:
        return self._table.is_listed

    def get(self, uid: str) -> KnownApp | None:
        return self._table.apps_by_uid.get(uid)

    def with_sessions(self) -> list[KnownApp]:
        return [each for each in self._table.apps_by_uid.values() if each.sessions is not None]

    async def read(self, namespace: str, name: str) -> KnownApp | None:
        return next((each for each in self._table.apps_by_uid.values() if (each.namespace, each.name) == (namespace, name)), None)


class _Rights(Rights):
    def __init__(self, table: Table) -> None:
        self._table = table

    async def may(self, user: User, verb: str, subresource: str, namespace: str, name: str) -> bool:
        return self._table.may(user.username, verb, subresource, namespace)


class ClusterEpoch:
    """The cluster's copy of the journal's epoch. `error`: what its calls raise instead."""

    def __init__(self) -> None:
        self.value = 0
        self.error: Exception | None = None

    async def read(self) -> int:
        self._check()
        return self.value

    async def write(self, epoch: int) -> None:
        self._check()
        self.value = epoch

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


class Table(Identity):
    """Callers by token, which may be changed at any time.

    The admin may do all in the namespace of APP, and list the runs of all namespaces. The viewer may get and list runs of APP's namespace.
    """

    def __init__(self) -> None:
        self.users = {name: User(name.partition("-")[0], "", (), {}, is_ours=False) for name in (ADMIN, VIEWER, STRANGER)}
        self.pods_by_uid: dict[str, KnownPod] = {}
        self.apps_by_uid: dict[str, KnownApp] = {}
        self.is_listed, self.epoch = True, ClusterEpoch()
        self.tokens, self.pods, self.apps, self.rights = _Tokens(self), _Pods(self), _Apps(self), _Rights(self)
        self.may: Callable[[str, str, str, str], bool] = self._may

    async def follow(self) -> None:
        await asyncio.Event().wait()

    async def exists(self, app: KnownApp) -> bool:
        return app.uid in self.apps_by_uid

    def add_app(self, place: Place, *, sessions: Sessions | None = None, limits_egress: bool = False, **durable: Any) -> None:
        """Adds or changes an App. `durable`: fields of its limits, named as Durable's."""
        self.apps_by_uid[place.app_uid] = KnownApp(
            place.app_uid,
            place.namespace,
            place.app,
            records_content=True,
            durable=Durable(**durable),
            sessions=sessions,
            limits_egress=limits_egress,
        )

    def add_pod(self, token: str, place: Place) -> None:
        """Adds a pod with its token, and its App if it is new."""
        uid = str(uuid.uuid4())
        extra = {"authentication.kubernetes.io/pod-name": (place.pod,), "authentication.kubernetes.io/pod-uid": (uid,)}
        self.users[token] = User(f"system:serviceaccount:{place.namespace}:default", "", (), extra, is_ours=True)
        self.pods_by_uid[uid] = KnownPod(place.namespace, place.app, place.app_uid, place.pins, "v1", place.workflow_hash)
        if place.app_uid not in self.apps_by_uid:
            self.add_app(place)

    @staticmethod
    def _may(user: str, verb: str, subresource: str, namespace: str) -> bool:
        if user == "admin":
            return namespace == APP.namespace or (namespace, verb, subresource) == ("", "list", "runs")
        return user == "viewer" and namespace == APP.namespace and subresource == "runs" and verb in ("get", "list")


class JournalStage:
    """One journal with pods of APP and OTHER. Use it as a context manager, which starts it. `options`: fields of its Options.

    `store`: its store, if it is not the file in `folder`; it is closed at the end.
    """

    def __init__(self, folder: Path, *, store: JournalStore | None = None, **options: Any) -> None:
        self.folder, self.options = folder, options
        self.table = Table()
        self.table.add_pod(POD, APP)
        self.table.add_pod(OTHER_POD, OTHER)
        self.store = store
        self.port, self.health_port, self.metrics_port = free_port(), free_port(), free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self.error: BaseException | None = None
        self.context: Context | None = None
        """The objects of the process that serves."""

    def __enter__(self) -> JournalStage:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        self.session.close()

    @property
    def address(self) -> str:
        return f"sqlite://{self.folder}/journal.db"

    def start(self) -> None:
        """Starts it, also after `stop`, on the same ports."""
        self.store = self.store or opened(self.address)
        ports = {"host": HOST, "port": self.port, "health_port": self.health_port, "metrics_port": self.metrics_port}
        configured = Options(store=self.store, **{**ports, **self.options})
        self._thread = threading.Thread(target=self._run, args=(configured,), daemon=True)
        self._thread.start()
        eventually("the journal answers", lambda: self.error or self._answers())
        assert self.error is None, self.error

    def stop(self) -> None:
        """Stops it like SIGTERM, and waits for its end."""
        if self._thread is not None and self._loop is not None and self._stop is not None:
            if self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(60)
            assert not self._thread.is_alive()
            self._thread = None
        if self.store is not None:
            self.store.close()
            self.store = None

    def _run(self, configured: Options) -> None:
        async def serve() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self.context = context_of(configured, self.table)
            try:
                await run(configured, self.context, self.table, self._stop)
            finally:
                await asyncio.to_thread(self.context.committer.close)

        try:
            asyncio.run(serve())
        except BaseException as error:
            self.error = error

    def _answers(self) -> bool:
        try:
            self.session.get(f"{self.url}/readyz", timeout=5)
        except (requests.ConnectionError, requests.Timeout):
            return False
        return True

    def call(self, method: str, path: str, token: str = POD, **options: Any) -> requests.Response:
        """Sends a request. `path`: below the runs of APP, or absolute."""
        url = f"{self.url}{path}" if path.startswith("/") else f"{self.url}/v1/apps/{APP.app_uid}/{path}"
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        return self.session.request(method, url, headers=headers, timeout=IN_TIME, **options)

    def accept(self, token: str = POD, **fields: Any) -> dict[str, Any]:
        """Accepts a run that must be new. Returns the answer."""
        answer = self.call("POST", "runs", token, json=a_run(**fields))
        assert answer.status_code == 201, answer.text
        accepted: dict[str, Any] = answer.json()
        return accepted

    def claim(self, token: str = POD, **fields: Any) -> list[dict[str, Any]]:
        answer = self.call("POST", "claims", token, json={"instance": "i", "free": 1, "held": 0, "wait": 0, **fields})
        assert answer.status_code == 200, answer.text
        claims: list[dict[str, Any]] = answer.json()["data"]
        return claims

    def save(self, *saves: dict[str, Any], token: str = POD) -> list[dict[str, Any]]:
        answer = self.call("POST", "saves", token, json={"instance": "i", "saves": list(saves)})
        assert answer.status_code == 200, answer.text
        results: list[dict[str, Any]] = answer.json()["data"]
        return results

    def get(self, path: str, token: str = POD) -> Any:
        """Returns the JSON of an answer that must be good."""
        answer = self.call("GET", path, token)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def metrics(self) -> dict[str, float]:
        text = self.session.get(f"http://{HOST}:{self.metrics_port}/metrics", timeout=IN_TIME).text
        lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}


def a_run(**fields: Any) -> dict[str, Any]:
    """Returns the body of a new run."""
    return {"id": str(uuid.uuid4()), "key": "of-ann", "input": {"question": "hi"}, "claim": False, **fields}
