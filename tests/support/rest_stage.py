"""Runs the REST API on a scripted API server: tests send requests as HTTP does, and real bytes go to the script and back.

The script serves a small world: App `chat` of namespace `demo`, which deployed v1 and then v2. A test changes answers by lines of its own,
which precede these.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypedDict, TypeVar, Unpack

from fastapi import FastAPI
from kubernetes import client as kubernetes

from dynamiq_operator.actions import rights
from dynamiq_operator.kube.api import METADATA, TABLE
from dynamiq_operator.kube.resources import APPS, NAMESPACES, ROWS, RUNTIMES, VERSIONS, WORKFLOWS, ApiResource
from dynamiq_operator.model import names
from dynamiq_operator.model.history_columns import of_kubectl
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.rest.app import create_app
from dynamiq_operator.rest.console.assets import Assets
from dynamiq_operator.rest.console.options import ConsoleOptions
from dynamiq_operator.rest.console.state import Console
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http import sessions
from dynamiq_operator.rest.http.metrics import ApiMetrics
from dynamiq_operator.rest.http.middleware import Middleware
from dynamiq_operator.rest.http.recorder import JOURNAL, RecorderClient, RecorderOptions
from dynamiq_operator.rest.http.sessions import Sessions
from dynamiq_operator.rest.kube.client import ApiServer
from dynamiq_operator.rest.kube.id_index import INDEXED, IdIndex, KindIndex
from dynamiq_operator.views.history import at_path
from tests.support import factories as make
from tests.support.scripted import Answer, Reply, Script, ScriptedServer, Sent, failure

T = TypeVar("T")
TOKEN = "token-of-anna"
ANNA = "anna@example.com"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
"""An id that no object has."""
DOMAIN = "apps.example.com"
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Serving",
    "message": "v2 (#2, chat-b) is live",
    "lastTransitionTime": "2026-11-24T12:00:02Z",
}
RESOURCES = {each.kind: each for each in (APPS, NAMESPACES, ROWS, RUNTIMES, VERSIONS, WORKFLOWS)}


@dataclass(frozen=True)
class Answered:
    """An answer of the API. `cookies`: the headers Set-Cookie, of which there may be several. `is_whole`: True if it ended."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    cookies: Sequence[str] = ()
    is_whole: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def data(self) -> Any:
        """Returns the object or the list of a good answer."""
        assert self.status < 300, self.content
        return self.json["data"]

    def error(self, status: int) -> dict[str, Any]:
        """Returns the error of a bad answer of this status: its code, message and details."""
        assert self.status == status, (self.status, self.content)
        error: dict[str, Any] = self.json["error"]
        assert set(error) == {"code", "message", "details"}
        return error


class Asked(TypedDict, total=False):
    """Options of a request: with `stalls` its body does not end; `heard` receives each part of the answer's body."""

    key: str | None
    """An Idempotency-Key."""

    token: str | None
    headers: Mapping[str, str] | None
    stalls: bool
    heard: Callable[[bytes], None] | None


class _Script(Script):
    """A script that answers 404 to all other requests."""

    def answer(self, sent: Sent) -> Reply:
        reply = super().answer(sent)
        if sent.method == "GET" and self.unscripted and self.unscripted[-1] is sent:
            self.unscripted.pop()
            return failure(404, "NotFound", f"{sent.path} not found")
        return reply


class RestStage:
    """An API on a script. Use it as a context manager. `call` sends one request; `script` has the API server's answers, and its requests."""

    def __init__(
        self, *, is_ready: bool = True, console: Console | None = None, recorder: str = "", journal: str = "", **settings: Any
    ) -> None:
        """`is_ready`: the index is complete. `recorder`, `journal`: their URLs. `settings`: those of the API besides its domain."""
        self._recorder, self._journal = (RecorderOptions(url) if url else None for url in (recorder, journal))
        self._is_ready = is_ready
        self._console = console or Console(ConsoleOptions(), Assets(None, {}))
        self._settings = Settings(domain=DOMAIN, **settings)
        self.script = _Script()
        self._server = ScriptedServer(self.script)
        self._objects: dict[str, dict[tuple[str, str], Manifest]] = {kind: {} for kind in RESOURCES}
        self._loop = asyncio.Runner()
        self.script.on("POST", sessions.REVIEWS, _review)
        self.allow()
        for resource in (APPS, ROWS, VERSIONS, WORKFLOWS):
            for namespace in (make.NAMESPACE, "prod"):
                self.script.on("GET", resource.path(namespace), _many([])).on("POST", resource.path(namespace), created)
        for raw in _world():
            self._serve(raw)

    def __enter__(self) -> RestStage:
        self._server.__enter__()
        configuration = kubernetes.Configuration()
        configuration.host = self._server.url
        server = ApiServer(configuration)
        clients = RecorderClient(self._recorder), RecorderClient(self._journal, JOURNAL)
        self.context = ApiContext(server, self._settings, IdIndex(server.own), Sessions(server), recorder=clients[0], journal=clients[1])
        self.app = _app_over(self.context, self._console)
        if self._is_ready:
            for resource in INDEXED:
                for stored in self._objects[resource.kind].values():
                    self._index(resource).put(stored)
                self._index(resource).listed.set()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for client in (self.context.recorder, self.context.journal, self.context.invoker):
            self._loop.run(client.close())
        self._loop.close()
        self._server.__exit__(kind, error, trace)

    # Objects.

    def put(self, raw: Manifest) -> Manifest:
        """Adds an object, which the index knows; returns the stored one."""
        stored = self._serve(raw)
        self._index(RESOURCES[raw["kind"]]).put(stored)
        return stored

    def _index(self, resource: ApiResource) -> KindIndex:
        return self.context.index.of(resource)

    def _serve(self, raw: Manifest) -> Manifest:
        resource = RESOURCES[raw["kind"]]
        stored = make.stored({"spec": {}, **copy.deepcopy(raw)})
        namespace, name = stored["metadata"].get("namespace", ""), stored["metadata"]["name"]
        of_kind = self._objects[resource.kind]
        of_kind[(namespace, name)] = stored
        self.script.on("GET", resource.path(namespace, name), _one(stored)).on("PATCH", resource.path(namespace, name), patched(stored))
        for scope in {"", namespace}:
            self.script.on("GET", resource.path(scope), _many([each for key, each in of_kind.items() if scope in ("", key[0])]))
        return stored

    def uid(self, resource: ApiResource, name: str, namespace: str = make.NAMESPACE) -> str:
        """Returns the id of an object that is served."""
        uid: str = self._objects[resource.kind][(namespace if resource.namespaced else "", name)]["metadata"]["uid"]
        return uid

    def object(self, resource: ApiResource, name: str, namespace: str = make.NAMESPACE) -> Manifest:
        """Returns an object as it is served."""
        return self._objects[resource.kind][(namespace if resource.namespaced else "", name)]

    def allow(self, allowed: Callable[[str, str, str], bool] = lambda *_: True) -> None:
        """Answers reviews of rights by `allowed(verb, plural, namespace)`; subresources as `pods/log`."""

        def answer(sent: Sent) -> Manifest:
            attributes = sent.body["spec"]["resourceAttributes"]
            plural = f"{attributes['resource']}/{attributes['subresource']}" if "subresource" in attributes else attributes["resource"]
            return {"status": {"allowed": allowed(attributes["verb"], plural, attributes.get("namespace", ""))}}

        self.script.on("POST", rights.REVIEWS.path(), answer)

    # Requests.

    def call(self, method: str, path: str, body: Any = None, **options: Unpack[Asked]) -> Answered:
        """Sends a request. `body`: JSON data, or bytes as they are."""
        return self.run(self.ask(method, path, body, **options))

    def run(self, scenario: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine on the event loop of the API."""
        return self._loop.run(scenario)

    async def ask(self, method: str, path: str, body: Any = None, **options: Unpack[Asked]) -> Answered:
        """Sends a request, for several at once."""
        token, key, raw = options.get("token", TOKEN), options.get("key"), encoded(body)
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **({"Idempotency-Key": key} if key else {})}
        if raw:
            headers["Content-Type"] = "application/json"
        headers |= options.get("headers") or {}
        return await _send(self.app, http_scope(method, path, headers), raw, options.get("stalls", False), options.get("heard"))

    def get(self, path: str) -> Any:
        """Returns the data of a GET."""
        return self.call("GET", path).data

    def created(self, resource: ApiResource, namespace: str = make.NAMESPACE) -> list[Manifest]:
        """Returns the objects sent to be created, without dry runs, in order."""
        path = resource.path(namespace)
        return [sent.body for sent in self.script.writes() if sent.path == path and sent.method == "POST" and "dryRun" not in sent.query]


@functools.cache
def _app() -> FastAPI:
    """Returns the application, made once in a process: building its routes takes longer than most tests."""
    server = ApiServer(kubernetes.Configuration())
    return create_app(server, IdIndex(server.own), Settings())


def _app_over(context: ApiContext, console: Console) -> FastAPI:
    """Returns the application with another context and another console."""
    app = _app()
    app.state.context = context
    app.user_middleware.clear()
    app.middleware_stack = None
    app.state.console = console
    app.state.metrics = ApiMetrics()
    app.add_middleware(Middleware, sessions=context.sessions, index=context.index, rules=console.options.rules, metrics=app.state.metrics)
    return app


def http_scope(method: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Returns a request as a server passes it to an application."""
    path, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


async def _send(app: Any, scope: dict[str, Any], body: bytes, stalls: bool, heard: Callable[[bytes], None] | None) -> Answered:
    if body and b"content-length" not in dict(scope["headers"]):
        scope["headers"].append((b"content-length", str(len(body)).encode()))
    parts: list[dict[str, Any]] = [
        {"type": "http.request", "body": body[:65536], "more_body": stalls or len(body) > 65536},
        {"type": "http.request", "body": body[65536:]},
    ]
    remaining_parts = iter(parts[:1] if stalls else parts)
    messages: list[dict[str, Any]] = []
    ended = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if (part := next(remaining_parts, None)) is not None:
            return part
        # A connection stays for the answer.
        await (asyncio.Event() if stalls else ended).wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)
        if message["type"] == "http.response.body" and heard is not None:
            heard(message.get("body", b""))
        if message["type"] == "http.response.body" and not message.get("more_body"):
            ended.set()

    await app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in messages[1:])
    answered: list[tuple[str, str]] = [(name.decode(), value.decode()) for name, value in messages[0]["headers"]]
    return Answered(
        messages[0]["status"], dict(answered), content, [value for name, value in answered if name == "set-cookie"], ended.is_set()
    )


def encoded(body: Any) -> bytes:
    """Returns the bytes of a body: bytes as they are, else its JSON, and nothing for None."""
    return body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()


def created(sent: Sent) -> Reply:
    """Answers a POST with the sent object, as it is stored."""
    raw = copy.deepcopy(sent.body)
    meta = raw["metadata"]
    meta.setdefault("name", f"{meta.get('generateName', '')}abcde")
    if raw["kind"] == ROWS.kind:
        raw["spec"]["createdBy"] = ANNA
    return Reply(201, make.stored(raw))


def patched(stored: Manifest) -> Answer:
    """Answers a merge patch of spec and metadata: the object with the sent fields."""

    def answer(sent: Sent) -> Manifest:
        spec = {name: value for name, value in {**stored["spec"], **sent.body.get("spec", {})}.items() if value is not None}
        return {**stored, "metadata": {**stored["metadata"], **sent.body["metadata"]}, "spec": spec}

    return answer


def of_user(username: str, **extra: list[str]) -> Answer:
    """Answers a review of the caller's own identity."""
    return Reply(201, {"status": {"userInfo": {"username": username, "extra": extra}}})


def _review(sent: Sent) -> Reply:
    if sent.headers.get("Authorization") != f"Bearer {TOKEN}":
        return failure(401, "Unauthorized")
    return Reply(201, {"status": {"userInfo": {"username": ANNA, "extra": {"given_name": ["Anna"], "family_name": ["Ek"]}}}})


def _one(stored: Manifest) -> Answer:
    return lambda sent: table([stored]) if sent.headers["Accept"] == TABLE else stored


def _many(objects: list[Manifest]) -> Answer:
    """Answers a list; of field selectors it knows `metadata.name=`."""

    def answer(sent: Sent) -> Manifest:
        accept, name = sent.headers["Accept"], sent.query.get("fieldSelector", "").partition("metadata.name=")[2]
        selected = [each for each in objects if name in ("", each["metadata"]["name"])]
        if accept == TABLE:
            return table(selected)
        items = [{"metadata": each["metadata"]} for each in selected] if accept == METADATA else selected
        return {"metadata": {"resourceVersion": "9"}, "items": items}

    return answer


def table(objects: list[Manifest]) -> Manifest:
    """Returns objects as `kubectl get` prints them, with the columns that a reader uses: rows with the columns of a history."""
    columns = [(column.title, column.path) for column in of_kubectl()]
    if any(each["kind"] != ROWS.kind for each in objects):
        columns = [("Version", ".spec.version"), ("Description", ".spec.description")]
    rows = [
        {
            "cells": [each["metadata"]["name"], *(at_path(each, path) for _, path in columns)],
            "object": {"metadata": each["metadata"]},
        }
        for each in objects
    ]
    return {
        "metadata": {"resourceVersion": "9"},
        "columnDefinitions": [{"name": name} for name in ("Name", *(title for title, _ in columns))],
        "rows": rows,
    }


def a_namespace(name: str, **labels: str) -> Manifest:
    """Returns a namespace. `labels`: project and environment."""
    full = {getattr(names, f"{key.upper()}_LABEL"): value for key, value in labels.items()}
    return {"apiVersion": "v1", "kind": NAMESPACES.kind, "metadata": {"name": name, "labels": full}}


def row(name: str, *modifiers: make.Modifier) -> Manifest:
    """Returns a row of App chat, which the operator has made its owner."""
    uid = make.an_app().meta.uid
    owner = {"apiVersion": APPS.api_version, "kind": APPS.kind, "name": make.NAME, "uid": uid, "controller": True}
    return make.row_manifest(name, make.with_meta(ownerReferences=[owner]), *modifiers)


def _world() -> list[Manifest]:
    live = {"row": "chat-b", "sequence": 2, "workflowVersion": "v2", "runtime": "1.0.0"}
    return [
        a_namespace("kube-system"),
        a_namespace(make.NAMESPACE, project="support", environment="staging"),
        a_namespace("prod", project="support", environment="production"),
        make.runtime_manifest(),
        make.workflow_manifest(),
        make.version_manifest("v1"),
        make.version_manifest("v2", make.created(1)),
        make.app_manifest(make.with_status(live=live, conditions=[READY])),
        row("chat-a", make.superseded(1, "v1")),
        row("chat-b", make.live(2, "v2"), make.created(2)),
    ]
