"""The asynchronous client of the API server: the edge at which every answer becomes an object, or an error of `kube.errors`.

No request lasts longer than its deadline, and none is refused twice for a login that was rotated. What an answer must be is checked
here, so that no other part of the process meets HTML, half of a JSON text, or `{}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson
from yarl import URL

from dynamiq_operator.kube import errors, nesting
from dynamiq_operator.kube.api import MERGE, PAGE, PLAIN
from dynamiq_operator.kube.credentials import Credentials, Login
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model.names import FIELD_MANAGER
from dynamiq_operator.model.objects import Manifest

CONNECT_WITHIN = 3.0
SILENCE_MAX = 6.0
"""Seconds without a byte after which an answer is given up: a connection that hangs is never healed, only a new one is."""
OPENS_WITHIN = 4.0
"""Seconds after which a watch has begun, or is given up: an API server says so at once, whether there is news or not."""
TIMEOUT = 60.0
"""Seconds for one request whose answer keeps coming."""
CONNECTIONS = 32
"""Requests at a time, watches not counted."""
DOWN_AFTER = 8
"""Consecutive requests without an answer after which the API server counts as down."""
DOWN_PAUSE = 2.0
"""Seconds that those who wait for it wait at most before they ask again."""
PAGE_BYTES = 4_000_000
"""What is decoded at once: the loop stands still meanwhile, for some 20 ms."""
NOT_COMPRESSED = {"Accept-Encoding": "identity"}
"""It would cost the API server more than all else that a list does."""
CLOCKS_APART = timedelta(seconds=5)
"""By how much this machine's clock may differ from the API server's, which tells whole seconds, before it is taken for wrong."""
JSON_WANTED = {"Accept": PLAIN}
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml; charset=utf-8"


class Client:
    """One connection pool to one API server. Use it as an async context manager."""

    def __init__(self, credentials: Credentials, wall: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._credentials, self._wall = credentials, wall
        self._dated: tuple[datetime, float] | None = None
        """What the API server's clock said in an answer, and the monotonic time then."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), headers=NOT_COMPRESSED
        )
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._failures = 0
        self._answered = asyncio.Event()
        self.answers = 0
        """Grows with each answer, whatever it says: where it stands still, the API server is down."""
        self.is_refused = False
        """Whether the API server did not accept who the operator is, when it answered last."""

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Client:
        """A client by kubeconfig (its path, else $KUBECONFIG, else ~/.kube/config), or by the pod's service account inside a cluster."""
        credentials = Credentials.of(kubeconfig, context)
        await credentials.login()
        return cls(credentials)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._session.close()

    def now(self) -> datetime:
        """The time by this machine's clock, or, where that is wrong, by the API server's, which dates all that deadlines count from."""
        here = self._wall()
        if self._dated is None:
            return here
        there = self._dated[0] + timedelta(seconds=monotonic() - self._dated[1])
        return here if abs(here - there) < CLOCKS_APART else there

    def apart(self) -> Client:
        """The same login with connections and requests at a time of its own: what is asked there waits for nothing that hangs here."""
        return Client(self._credentials)

    async def server(self) -> str:
        """The URL of the API server."""
        return (await self._credentials.login()).host

    async def until_answered(self) -> None:
        """Returns at once, or, while the API server answers nothing at all, when it answers somebody, or after a pause."""
        if self._failures < DOWN_AFTER:
            return
        self._answered.clear()
        try:
            async with asyncio.timeout(DOWN_PAUSE):
                await self._answered.wait()
        except TimeoutError:
            return

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        content_type: str = PLAIN,
        accept: str = PLAIN,
        within: float = TIMEOUT,
        required: str = "metadata",
    ) -> Manifest:
        """Sends one request and returns the JSON object of its answer, which has the key `required`. Raises errors.ApiError.

        `within`: seconds after which it is given up, whatever has come of the answer.
        """
        headers = {"Accept": accept, **({"Content-Type": content_type} if body is not None else {})}
        return _parsed(await self._answer(method, path, query, headers, _written(body), within), f"{method} {path}", required)

    async def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] = JSON_WANTED,
        data: bytes | None = None,
        within: float = TIMEOUT,
    ) -> bytes:
        """Sends one request and returns the bytes of its answer. Raises errors.ApiError."""
        deadline = aiohttp.ClientTimeout(total=within, sock_connect=CONNECT_WITHIN, sock_read=SILENCE_MAX)
        async with self._slots, self._opened(f"{method} {path}", method, path, query, headers, data, deadline) as response:
            return await response.read()

    @asynccontextmanager
    async def watch(
        self, path: str, query: Mapping[str, str | int], seconds: float, accept: str = PLAIN
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of a watch, which is given up after `seconds`. Raises errors.ApiError, within the block too."""
        deadline = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_WITHIN)
        asked = f"watch {path}"
        async with self._opened(asked, "GET", path, query, {"Accept": accept}, None, deadline, OPENS_WITHIN) as response:
            yield _lines(response)

    @asynccontextmanager
    async def _opened(
        self,
        asked: str,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        headers: Mapping[str, str],
        data: bytes | None,
        deadline: aiohttp.ClientTimeout,
        opens_within: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response of a request that was carried out, its body still to come."""
        target = path + (f"?{urlencode(query)}" if query else "")
        try:
            async with asyncio.timeout(opens_within):
                login = await self._credentials.login()
                response = await self._send(login, method, target, headers, data, deadline)
                if response.status == 401:
                    response.release()
                    response = await self._send(await self._credentials.renewed(login), method, target, headers, data, deadline)
            async with response:
                self.answers += 1
                if response.status >= 300:
                    raise self._refusal(response.status, await response.read(), asked)
                self._note(answered=True)
                self._note_date(response.headers.get("Date", ""))
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._note(answered=False)
            raise errors.Unavailable(f"{asked}: {str(error) or type(error).__name__}") from error

    async def _send(
        self, login: Login, method: str, target: str, headers: Mapping[str, str], data: bytes | None, deadline: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        who = {"Authorization": login.authorization} if login.authorization else {}
        return await self._session.request(
            method,
            URL(f"{login.host}{target}", encoded=True),
            headers={**headers, **who},
            data=data,
            timeout=deadline,
            ssl=login.trust if login.trust is not None else True,
            server_hostname=login.server_name,
            proxy=login.proxy,
            allow_redirects=False,
        )

    def _refusal(self, status: int, raw: bytes, asked: str) -> errors.ApiError:
        """The error of an answer. Who is not known may be known again in a moment: nothing is decided by a 401."""
        self._note(answered=status < 500 and status != 429, refused=status == 401)
        refusal = errors.from_answer(status, raw, asked)
        if status == 401:
            return errors.Unavailable(f"{asked}: the API server does not accept the operator's credentials: {refusal}", status)
        return refusal

    def _note(self, *, answered: bool, refused: bool = False) -> None:
        """Counts consecutive requests without an answer, and wakes those who wait for one."""
        self.is_refused = refused or (self.is_refused and not answered)
        self._failures = 0 if answered else self._failures + 1
        if answered:
            self._answered.set()

    def _note_date(self, said: str) -> None:
        with contextlib.suppress(ValueError):
            self._dated = parsedate_to_datetime(said).astimezone(UTC), monotonic()

    async def get(self, resource: ApiResource, namespace: str, name: str) -> Manifest:
        """One object. Raises errors.NotFound and errors.ApiError."""
        path = resource.path(namespace, name)
        return _object(await self.request("GET", path), f"GET {path}")

    async def pages(self, resource: ApiResource, namespace: str = "", *, label: str = "", field: str = "") -> AsyncIterator[Manifest]:
        """The pages of a list, which the selectors `label` and `field` limit.

        Each has at most `PAGE` items, and as few as it takes to be of about `PAGE_BYTES`: one item may be of 900 KiB.
        """
        path = resource.path(namespace)
        query: dict[str, str | int] = {"limit": resource.first_page or PAGE}
        if label:
            query["labelSelector"] = label
        if field:
            query["fieldSelector"] = field
        while True:
            answer = await self._answer("GET", path, query)
            page = _parsed(answer, f"GET {path}", "metadata")
            if "items" not in page or not _has_version(page) or not all(map(_is_object, page["items"] or ())):
                raise errors.Unavailable(f"GET {path}: the answer is no list")  # to take it for an empty one would delete what there is
            # A list leaves these out of its items, and has null in place of none.
            page["items"] = [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in page["items"] or ()]
            query["limit"] = min(PAGE, len(page["items"]) * PAGE_BYTES // len(answer) + 1)
            del answer
            yield page
            if not (token := page["metadata"].get("continue")):
                return
            query["continue"] = token

    async def create(self, resource: ApiResource, manifest: Manifest) -> Manifest:
        """POST: it never changes an object that exists. Raises errors.AlreadyExists and errors.ApiError."""
        path = resource.path(manifest["metadata"].get("namespace", ""))
        return _object(await self.request("POST", path, query={"fieldManager": FIELD_MANAGER}, body=manifest), f"POST {path}")

    async def apply(self, resource: ApiResource, manifest: Manifest) -> Manifest:
        """Server-side apply, which takes back fields of ours that another manager changed. Raises errors.ApiError."""
        meta = manifest["metadata"]
        path = resource.path(meta.get("namespace", ""), meta["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return _object(await self.request("PATCH", path, query=query, body=manifest, content_type=APPLY), f"PATCH {path}")

    async def patch(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        patch: Any,
        *,
        subresource: str = "",
        kind: str = MERGE,
        manager: str = FIELD_MANAGER,
    ) -> Manifest:
        """A merge patch, or with `kind=JSON_PATCH` a list of operations. Raises errors.ApiError."""
        path = resource.path(namespace, name, subresource)
        written = await self.request("PATCH", path, query={"fieldManager": manager}, body=patch, content_type=kind)
        return _object(written, f"PATCH {path}")

    async def delete(
        self, resource: ApiResource, namespace: str, name: str, uid: str, *, version: str | None = None, keep_dependents: bool = False
    ) -> bool:
        """Deletes the object of this uid, its dependents in the background. One that is absent is success, another uid is left alone.

        With `version`, an object of another resourceVersion is left alone, too. With `keep_dependents`, its dependents are orphaned.
        Whether there is none of the name any more: one that was left alone is there, and so is one that waits for its finalizers.
        """
        preconditions = {"uid": uid} | ({"resourceVersion": version} if version else {})
        options = {"preconditions": preconditions, "propagationPolicy": "Orphan" if keep_dependents else "Background"}
        try:
            answer = await self.request("DELETE", resource.path(namespace, name), body=options)
        except errors.NotFound:
            return True
        except errors.Conflict:
            return False
        return answer.get("kind") == "Status"


def _written(body: Any) -> bytes | None:
    """JSON in UTF-8. An apply is parsed as YAML, which knows no surrogate escapes: 🦊 goes as it is, and only half of it is escaped."""
    if body is None:
        return None
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":")).encode()


def _parsed(raw: bytes, asked: str, required: str) -> Manifest:
    try:
        parsed = orjson.loads(raw)
    except ValueError:
        parsed = nesting.parse(raw, asked)
    if not isinstance(parsed, dict) or not isinstance(parsed.get(required), dict | list):
        raise errors.Unavailable(f"{asked}: the answer is no object with {required}")
    return parsed


def _has_version(part: Any) -> bool:
    """Whether a list, or an item of one, says of when it is."""
    return isinstance(part, dict) and isinstance(meta := part.get("metadata"), dict) and str(meta.get("resourceVersion", "")).isdecimal()


def _is_object(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(meta := item.get("metadata"), dict) and bool(meta.get("name"))


def _object(answer: Manifest, asked: str) -> Manifest:
    """The answer, where it is one object: what is read, and what comes of each write."""
    if not isinstance(answer["metadata"], dict) or not answer["metadata"].get("name"):
        raise errors.Unavailable(f"{asked}: the answer has no name")
    return answer


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Whole lines, however long: an object with a large flow is one. What a cut connection leaves of a line is dropped."""
    left = b""
    async for chunk in response.content.iter_any():
        *lines, left = (left + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
