"""Sends the operator's requests to the API server, asynchronously. Each answer becomes an object, or an error of `kube.errors`.

No request lasts longer than its deadline. A request that is refused for a rotated login is sent again with the new one.
All answers are checked here, so no other module meets HTML, half of a JSON text, or `{}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
import orjson
from yarl import URL

from dynamiq_operator.kube import errors, nesting
from dynamiq_operator.kube.api import MERGE, PAGE, PLAIN, selectors
from dynamiq_operator.kube.credentials import Credentials, Login
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model.names import FIELD_MANAGER
from dynamiq_operator.model.objects import Manifest

CONNECT_WITHIN = 3.0
SILENCE_MAX = 6.0
"""Seconds without a byte after which an answer is given up. A connection that hangs never recovers: only a new one helps."""
OPENS_WITHIN = 4.0
"""Seconds within which a watch must begin, or it is given up. An API server begins it at once, with or without events."""
LIST_SILENCE_MAX = 20.0
"""The same for an answer that the API server first has to search many objects for."""
TIMEOUT = 60.0
"""Seconds for one request whose answer keeps arriving."""
CONNECTIONS = 32
"""Requests at the same time, without watches."""
DOWN_AFTER = 8
"""Consecutive requests without an answer after which the API server counts as down."""
DOWN_PAUSE = 2.0
"""Seconds that callers wait at most for an API server that is down, before they try again."""
PAGE_BYTES = 1_000_000
"""Bytes to decode at once. They block the event loop for some 5 ms, and a start decodes a page of many kinds at a time."""
# Compression would cost the API server more than all else in a list.
NOT_COMPRESSED = {"Accept-Encoding": "identity"}
CLOCKS_APART = timedelta(seconds=5)
"""Difference to the API server's clock, which has whole seconds, from which this machine's clock counts as wrong."""
JSON_WANTED = {"Accept": PLAIN}
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml; charset=utf-8"


class Client:
    """One connection pool to one API server. Use it as an async context manager."""

    def __init__(self, credentials: Credentials, wall: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._credentials, self._wall = credentials, wall
        self._dated: tuple[datetime, float] | None = None
        """The API server's time in its last answer, and the monotonic time then."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), headers=NOT_COMPRESSED
        )
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._failures = 0
        self._answered = asyncio.Event()
        self.answers = 0
        """Number of answers so far, errors included. While it does not grow, the API server is down."""
        self.is_refused = False
        """True if the API server refused the operator's credentials in its last answer."""

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Client:
        """Returns a client with the login of a kubeconfig (its path, else $KUBECONFIG, else ~/.kube/config), or of this pod."""
        credentials = Credentials.of(kubeconfig, context)
        await credentials.login()
        return cls(credentials)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._session.close()

    def now(self) -> datetime:
        """Returns the time of this machine's clock; if that is wrong, of the API server's."""
        # Deadlines count from times that the API server has set.
        local_time = self._wall()
        if self._dated is None:
            return local_time
        server_time = self._dated[0] + timedelta(seconds=monotonic() - self._dated[1])
        return local_time if abs(local_time - server_time) < CLOCKS_APART else server_time

    def apart(self) -> Client:
        """Returns a client with the same login and connections of its own: its requests do not wait for those that hang here."""
        return Client(self._credentials)

    async def server(self) -> str:
        """Returns the URL of the API server."""
        return (await self._credentials.login()).host

    async def until_answered(self) -> None:
        """Waits while the API server is down: until it answers any caller, or for `DOWN_PAUSE`. Otherwise returns at once."""
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
        """Sends one request, and returns the JSON object of its answer, which must have the key `required`.

        `within`: seconds after which the request is given up, even if a part of the answer has arrived. Raises errors.ApiError.
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
        silence: float = SILENCE_MAX,
    ) -> bytes:
        """Sends one request, and returns the bytes of its answer. Raises errors.ApiError."""
        deadline = aiohttp.ClientTimeout(total=within, sock_connect=CONNECT_WITHIN, sock_read=silence)
        async with self._slots, self._opened(f"{method} {path}", method, path, query, headers, data, deadline) as response:
            return await response.read()

    @asynccontextmanager
    async def watch(self, path: str, query: Mapping[str, str | int], seconds: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yields the lines of a watch, which is given up after `seconds`.

        Raises errors.ApiError, also within the block.
        """
        deadline = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_WITHIN)
        request_name = f"watch {path}"
        async with self._opened(request_name, "GET", path, query, JSON_WANTED, None, deadline, OPENS_WITHIN) as response:
            yield _lines(response)

    @asynccontextmanager
    async def _opened(
        self,
        request_name: str,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        headers: Mapping[str, str],
        data: bytes | None,
        deadline: aiohttp.ClientTimeout,
        opens_within: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yields the response of a successful request, whose body is not read yet. Raises errors.ApiError."""
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
                    raise self._refusal(response.status, await response.read(), request_name)
                self._note(answered=True)
                self._note_date(response.headers.get("Date", ""))
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._note(answered=False)
            raise errors.Unavailable(f"{request_name}: {str(error) or type(error).__name__}") from error

    async def _send(
        self, login: Login, method: str, target: str, headers: Mapping[str, str], data: bytes | None, deadline: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        login_headers = {"Authorization": login.authorization} if login.authorization else {}
        return await self._session.request(
            method,
            URL(f"{login.host}{target}", encoded=True),
            headers={**headers, **login_headers},
            data=data,
            timeout=deadline,
            ssl=login.trust if login.trust is not None else True,
            server_hostname=login.server_name,
            proxy=login.proxy,
            allow_redirects=False,
        )

    def _refusal(self, status: int, raw: bytes, request_name: str) -> errors.ApiError:
        # A 401 must decide nothing: the credentials may be accepted again in a moment.
        self._note(answered=status < 500 and status != 429, refused=status == 401)
        refusal = errors.from_answer(status, raw, request_name)
        if status == 401:
            return errors.Unavailable(f"{request_name}: the API server does not accept the operator's credentials: {refusal}", status)
        return refusal

    def _note(self, *, answered: bool, refused: bool = False) -> None:
        """Counts consecutive requests without an answer, and wakes those who wait for the next answer."""
        self.is_refused = refused or (self.is_refused and not answered)
        self._failures = 0 if answered else self._failures + 1
        if answered:
            self._answered.set()

    def _note_date(self, date: str) -> None:
        with contextlib.suppress(ValueError):
            self._dated = parsedate_to_datetime(date).astimezone(UTC), monotonic()

    async def get(self, resource: ApiResource, namespace: str, name: str) -> Manifest:
        """Reads one object.

        Raises errors.NotFound and errors.ApiError.
        """
        path = resource.path(namespace, name)
        return _object(await self.request("GET", path), f"GET {path}")

    async def pages(
        self, resource: ApiResource, namespace: str = "", *, label: str = "", field: str = "", at_once: bool = False
    ) -> AsyncIterator[Manifest]:
        """Yields the pages of a list. `label`, `field`: selectors. `at_once`: requests everything in one answer, for few of many objects.

        A page has at most `PAGE` items, and about `PAGE_BYTES` bytes: one item may have 900 KiB.
        """
        # An API server answers from memory only what begins a list. For each later page it reads objects from etcd until enough of them
        # match: with 200,000 rows, of which a twentieth is open, a page of 500 takes 10 s.
        path = resource.path(namespace)
        query: dict[str, str | int] = {} if at_once else {"limit": resource.first_page or PAGE}
        query |= selectors(label, field)
        while True:
            is_searched = at_once or "continue" in query
            answer = await self._answer("GET", path, query, silence=LIST_SILENCE_MAX if is_searched else SILENCE_MAX)
            size = len(answer)
            parts = _split(answer) if at_once else (answer,)
            del answer
            for part in parts:
                page = _parsed(part, f"GET {path}", "metadata")
                if "items" not in page or not _has_version(page) or not all(map(_is_object, page["items"] or ())):
                    raise errors.Unavailable(f"GET {path}: the answer is not a list")  # as an empty list it would delete what exists
                # The items of a list have neither field, and an empty list is null.
                page["items"] = [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in page["items"] or ()]
                yield page
            if not (token := page["metadata"].get("continue")):
                return
            query["limit"] = min(PAGE, len(page["items"]) * PAGE_BYTES // size + 1)
            query["continue"] = token

    async def create(self, resource: ApiResource, manifest: Manifest) -> Manifest:
        """Creates the object. It never changes an existing one.

        Raises errors.AlreadyExists and errors.ApiError.
        """
        path = resource.path(manifest["metadata"].get("namespace", ""))
        return _object(await self.request("POST", path, query={"fieldManager": FIELD_MANAGER}, body=manifest), f"POST {path}")

    async def apply(self, resource: ApiResource, manifest: Manifest) -> Manifest:
        """Applies the manifest server-side, with force: it overwrites our fields that another manager changed.

        Raises errors.ApiError.
        """
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
        """Sends a merge patch, or with `kind=JSON_PATCH` a list of operations.

        Raises errors.ApiError.
        """
        path = resource.path(namespace, name, subresource)
        written = await self.request("PATCH", path, query={"fieldManager": manager}, body=patch, content_type=kind)
        return _object(written, f"PATCH {path}")

    async def delete(
        self, resource: ApiResource, namespace: str, name: str, uid: str, *, version: str | None = None, keep_dependents: bool = False
    ) -> bool:
        """Deletes the object of this uid, and its dependents in the background. Returns True if no object of this name exists afterwards.

        An object of another uid is left alone, and with `version` one of another resourceVersion. `keep_dependents`: orphans dependents.
        Returns False for an object that is left alone, or waits for its finalizers. Raises errors.ApiError.
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
    # The API server parses an apply as YAML, which has no surrogate escapes: 🦊 is sent unescaped, and only a lone surrogate is escaped.
    if body is None:
        return None
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":")).encode()


def _parsed(raw: bytes, request_name: str, required: str) -> Manifest:
    try:
        parsed = orjson.loads(raw)
    except ValueError:
        parsed = nesting.parse(raw, request_name)
    if not isinstance(parsed, dict) or not isinstance(parsed.get(required), dict | list):
        raise errors.Unavailable(f"{request_name}: the answer is not an object with {required}")
    return parsed


class _Items(msgspec.Struct):
    """A list, whose items are not parsed yet."""

    metadata: msgspec.Raw
    items: list[msgspec.Raw] | None


def _split(raw: bytes) -> Iterator[bytes]:
    """Splits a list into lists of about `PAGE_BYTES` bytes. One that is nested too deeply, or that is none, stays whole."""
    try:
        whole = msgspec.json.decode(raw, type=_Items)
    except (msgspec.DecodeError, RecursionError):
        yield raw
        return
    begin, size = 0, 0
    items = whole.items or []
    for end, item in enumerate(items, 1):
        size += len(memoryview(item))
        if size >= PAGE_BYTES:
            yield msgspec.json.encode(_Items(whole.metadata, items[begin:end]))
            begin, size = end, 0
    if begin < len(items) or not items:
        yield msgspec.json.encode(_Items(whole.metadata, items[begin:]))


def _has_version(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(meta := part.get("metadata"), dict) and str(meta.get("resourceVersion", "")).isdecimal()


def _is_object(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(meta := item.get("metadata"), dict) and bool(meta.get("name"))


def _object(answer: Manifest, request_name: str) -> Manifest:
    """Returns the answer to a read or a write of one object. Raises errors.Unavailable if it is no object with a name."""
    if not isinstance(answer["metadata"], dict) or not answer["metadata"].get("name"):
        raise errors.Unavailable(f"{request_name}: the answer has no name")
    return answer


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yields whole lines of any length, such as an object with a large flow. Drops the part of a line that a cut connection leaves."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
