"""Forwards requests to the recorder, which has the runs, or to the journal, which has background runs, with the caller's own token.

A response is passed on as it arrives, without holding it. Nothing else of a caller's request is sent, and only status, body and Retry-After
are returned. A slow or missing server costs a request its time and its slot among those about runs, but no thread. Other requests do not
notice.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import orjson
from starlette.responses import Response
from starlette.types import Scope
from yarl import URL

from dynamiq_operator.kube.trust import trust_of
from dynamiq_operator.rest.http.errors import HttpProblem, unauthorized, unavailable
from dynamiq_operator.rest.http.passing import Passed
from dynamiq_operator.rest.kube.client import ANSWERED_WITHIN
from dynamiq_operator.serving import request_log
from dynamiq_operator.serving.encoding import dumps

LOG = logging.getLogger(__name__)
RUNS, RUNS_EACH = 64, 16
"""Requests about runs that are served at once: in all, and of one caller. They use none of the slots of other requests."""
EXPORTS, EXPORTS_EACH = 8, 2
"""Exports that are served at once: in all, and of one caller. They take as long as there are runs."""
POLLS, POLLS_EACH = 512, 32
"""Long polls of a run's events at once: in all, and of one caller. They hold no thread."""
READS = 16
"""Threads that check if a caller may see an App, for requests about its runs."""
CONNECT_WITHIN, SILENT_MOST, EXPORT_SILENT_MOST = 3.0, 15.0, 60.0
"""Seconds: until there is a connection, between two parts of a response, and between two parts of an export."""
JOURNAL_SILENT_MOST = 5.0
"""Seconds between two parts of the journal's response, beyond those of a long poll: callers learn soon that it is away."""
ERROR_MOST = 64 * 1024
"""Bytes of an error's body that are read, at most."""
READ_WHOLE_MOST = 64 * 1024 * 1024
"""Bytes of a response that is read whole, such as a page of archived rows, at most."""
PASSED_ON = {400: 422, 403: 403, 404: 404, 409: 409, 413: 413, 422: 422, 429: 429, 503: 503}
"""This API's status for each of a server's errors. 401 is reported as everywhere, and any other status becomes 503."""
CODED = frozenset({404, 409})
"""Statuses whose code is the server's own: it says what to do, such as already_answered."""
_CODE = re.compile("[a-z_]{1,64}")
JSON, JSON_LINES = "application/json", "application/jsonl"
_OF_AN_APP = r"/v1/apps/[^/]+/(?:runs(?:/.*)?|metrics|verdicts|sessions(?:/.*)?|conversations|questions|traces(?:/.*)?|recorder|deployments/[^/]+/comparison)"
_PATH = re.compile(rf"{_OF_AN_APP}|/v1/runs/.*", re.DOTALL)
_EXPORT = re.compile(r"/v1/apps/[^/]+/runs\.jsonl")
_POLL = re.compile(r"/v1/apps/[^/]+/runs/[^/]+/events")
Query = Sequence[tuple[str, str]]


def is_about_runs(scope: Scope) -> bool:
    """Returns True if the recorder, or the journal, answers a request."""
    return _PATH.fullmatch(scope["path"]) is not None


def is_export(scope: Scope) -> bool:
    """Returns True if a request exports runs."""
    return _EXPORT.fullmatch(scope["path"]) is not None


def is_poll(scope: Scope) -> bool:
    """Returns True if a request may wait for events of a run."""
    return _POLL.fullmatch(scope["path"]) is not None


@dataclass(frozen=True)
class RunServer:
    """A server that has runs: its name, and the error's code and message where it is not installed."""

    name: str
    missing: str
    advice: str


RECORDER = RunServer(
    "recorder", "no_recorder", "install a recorder (docs/runs.md), and start the API with --recorder: without one no run is recorded"
)
JOURNAL = RunServer(
    "journal",
    "no_journal",
    "install a journal (docs/journal.md), and start the API with --journal: without one there are no background runs",
)


@dataclass(frozen=True)
class RecorderOptions:
    """The settings of the client of the recorder, or of the journal.

    `url`: its address, without a path. `ca`: the trusted certificates (PEM); None for the system's.
    """

    url: str
    ca: Path | None = None


class RecorderClient:
    """The client of this installation's recorder, or of its journal, if there is one. For one event loop."""

    def __init__(self, options: RecorderOptions | None = None, server: RunServer = RECORDER) -> None:
        self._options, self._server = options, server
        self._client: aiohttp.ClientSession | None = None
        self.threads = anyio.CapacityLimiter(READS)

    def require(self) -> None:
        """Raises HttpProblem 501 if there is no such server."""
        if self._options is None:
            raise HttpProblem(501, self._server.advice, code=self._server.missing)

    async def forward(
        self, authorization: str | None, method: str, path: str, query: Query = (), body: Any = None, wait: float = 0
    ) -> Response:
        """Returns the server's response.

        `authorization`: the caller's header; `wait`: seconds of a long poll. Raises HttpProblem, 503 if the server does not answer.
        """
        return Passed(await self._ask(authorization, method, path, query, body, self._within(wait), JSON), self._server.name, JSON)

    @property
    def is_there(self) -> bool:
        """True if this API has the server's address."""
        return self._options is not None

    async def read(self, authorization: str | None, path: str, query: Query = ()) -> Any:
        """Returns the server's response to a GET, read whole and parsed. Raises as `forward` does."""
        answer = await self._ask(authorization, "GET", path, query, None, self._within(), JSON)
        try:
            body = await answer.content.read(READ_WHOLE_MOST + 1)
            while not answer.content.at_eof() and len(body) <= READ_WHOLE_MOST:
                body += await answer.content.read(READ_WHOLE_MOST + 1 - len(body))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unavailable(f"the {self._server.name}'s answer ended early ({type(error).__name__}): try again") from None
        finally:
            answer.close()
        try:
            if len(body) <= READ_WHOLE_MOST:
                return orjson.loads(body)
        except ValueError:
            pass
        LOG.warning("the %s's answer to GET cannot be read: %d bytes", self._server.name, len(body))
        raise unavailable(f"the {self._server.name}'s answer cannot be read: try again")

    async def export(self, authorization: str | None, path: str, query: Query) -> Response:
        """Returns lines of JSON, however many they are. Raises as `forward` does."""
        within = aiohttp.ClientTimeout(total=None, connect=CONNECT_WITHIN, sock_read=EXPORT_SILENT_MOST)
        return Passed(await self._ask(authorization, "GET", path, query, None, within, JSON_LINES), self._server.name, JSON_LINES)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    def _within(self, wait: float = 0) -> aiohttp.ClientTimeout:
        silent = JOURNAL_SILENT_MOST if self._server is JOURNAL else SILENT_MOST
        return aiohttp.ClientTimeout(total=wait + ANSWERED_WITHIN, connect=CONNECT_WITHIN, sock_read=wait + silent)

    async def _ask(
        self, authorization: str | None, method: str, path: str, query: Query, body: Any, within: aiohttp.ClientTimeout, accept: str
    ) -> aiohttp.ClientResponse:
        self.require()
        client = self._client = self._client or self._open_client()
        headers = {"Accept": accept, "Accept-Encoding": "identity", "User-Agent": "dynamiq-api", request_log.HEADER: request_log.current()}
        if authorization is not None:
            headers["Authorization"] = authorization
        if body is not None:
            headers["Content-Type"] = JSON
        data = dumps(body) if body is not None else None
        url = self._url.with_path(path).with_query(list(query))
        try:
            answer = await client.request(method, url, headers=headers, data=data, timeout=within, allow_redirects=False)
            if answer.status >= 300:
                raise await _problem(answer, self._server.name)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            LOG.warning("the %s does not answer %s: %s", self._server.name, method, type(error).__name__)
            raise unavailable(f"the {self._server.name} does not answer ({type(error).__name__}): try again") from None
        return answer

    @property
    def _url(self) -> URL:
        assert self._options is not None  # noqa: S101 - required before
        return URL(self._options.url)

    def _open_client(self) -> aiohttp.ClientSession:
        ca = self._options.ca if self._options is not None else None
        connector = aiohttp.TCPConnector(limit=RUNS + EXPORTS + POLLS, ssl=trust_of(str(self._url), ca))
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)


async def _problem(answer: aiohttp.ClientResponse, server: str) -> HttpProblem:
    """Returns the problem for an error of a server. Raises what reading it raises."""
    try:
        read = await answer.content.read(ERROR_MOST)
    finally:
        answer.close()
    if answer.status == 401:
        return unauthorized()
    after = answer.headers.get("Retry-After", "")
    status, body = PASSED_ON.get(answer.status), _error(read)
    if status is None or body is None:
        LOG.warning("the %s answers %d", server, answer.status)
        return unavailable(f"the {server} answered {answer.status}: try again", int(after) if _is_seconds(after) else None)
    headers = {"Retry-After": after if _is_seconds(after) else "1"} if status in (429, 503) else {}
    message = str(body.get("message") or f"the {server} refused this")
    return HttpProblem(status, message, body.get("details") or {}, headers, code=_code(status, body))


def _error(read: bytes) -> dict[str, Any] | None:
    """Returns the error in a body of the contract's shape; None if there is none."""
    try:
        parsed = orjson.loads(read)
    except ValueError:
        return None
    error = parsed.get("error") if isinstance(parsed, dict) else None
    return error if isinstance(error, dict) and isinstance(error.get("details") or {}, dict) else None


def _code(status: int, body: dict[str, Any]) -> str | None:
    """Returns the server's word for a conflict or a thing that is missing; None for the word of the status."""
    code = body.get("code")
    return code if status in CODED and isinstance(code, str) and _CODE.fullmatch(code) else None


def _is_seconds(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 4
