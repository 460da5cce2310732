"""Calls the recorder, or the journal, through the API server's proxy of its Service. Neither need be reachable from the plugin's machine.

The API server removes the caller's login from what it forwards, so the token has a header of its own (`bearer`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import bearer
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.patience import WAITING
from dynamiq_operator.model.journal import JOURNAL_NAMESPACE, JOURNAL_SERVICE
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.model.recorder import RECORDER_NAMESPACE, RECORDER_SERVICE, TOKEN_HEADER

PAGE_MOST, OPEN_PAGE_MOST = 500, 100
"""Most runs of a page: of the recorder, and of the journal."""
Query = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class RunServer:
    """A server that has runs. `how`: the page about it, in words."""

    name: str
    namespace: str
    service: str
    how: str

    @property
    def proxy(self) -> str:
        """The path at which the API server forwards to it."""
        return f"/api/v1/namespaces/{self.namespace}/services/http:{self.service}:http/proxy"


HOW = "says how to install one, and who may read what"
RECORDER = RunServer("recorder", RECORDER_NAMESPACE, RECORDER_SERVICE, f"docs/runs.md {HOW}")
JOURNAL = RunServer("journal", JOURNAL_NAMESPACE, JOURNAL_SERVICE, f"docs/journal.md {HOW}")
PROXY = RECORDER.proxy


class NoRecorder(Refusal):
    """There is no such server here, or the caller cannot reach it or has no token for it."""


class NotInstalled(NoRecorder):
    """There is no such server here, or the caller may not reach it."""


class NotThere(Refusal):
    """The server does not have this, or the caller may not see it."""


class RecorderClient:
    """The API of the recorder, or of the journal, called with the caller's token.

    Each call raises Refusal with the server's message, NoRecorder, NotConnected and kube.errors.ApiError.
    """

    def __init__(self, context: CommandContext, server: RunServer = RECORDER, *, within: float | None = None) -> None:
        """`within`: seconds for each request, for a client in a thread, which asks the user nothing."""
        self._context, self._server, self._within = context, server, within
        self._headers: dict[str, str] = {}

    def app(self, name: str) -> str:
        """Returns the server's path of an App."""
        return path_of(self.uid(name))

    def uid(self, name: str) -> str:
        """Returns the uid of an App."""
        return str(self._app(name)["metadata"]["uid"])

    def chosen_app(self) -> str:
        """Returns the server's path of the App that the options name."""
        options = self._context.options
        # An App of --app-id may be deleted, so the cluster is not asked for it.
        return path_of(options.app_id) if options.app_id is not None else self.app(options.app)

    def live_row(self, name: str) -> str | None:
        """Returns the name of the row that an App serves; None if nothing is live."""
        live: str | None = ((self._app(name).get("status") or {}).get("live") or {}).get("row")
        return live

    def _app(self, name: str) -> Manifest:
        from dynamiq_operator.actions.running import app_manifest

        return app_manifest(self._context.api, self._context.namespace, name)

    def reach(self) -> None:
        """Raises Refusal if the server does not answer."""
        # Without a token: nobody should have to log in where there is no recorder.
        status, raw = self._context.api.exchange("GET", f"{self._server.proxy}/healthz", headers={}, within=self._within)
        if status >= 300:
            raise _refusal(status, raw, self._server)

    def request(self, method: str, path: str, query: Query = (), body: Any = None) -> Any:
        """Returns the JSON of a response; None if it has no body."""
        sent = json.dumps(body).encode() if body is not None else None
        status, raw = self._context.api.exchange(
            method, f"{self._server.proxy}{path}", query=query, body=sent, headers=self._sent(), within=self._within
        )
        if status >= 300:
            raise _refusal(status, raw, self._server)
        return _parsed(raw) if raw else None

    def data(self, path: str, query: Query = ()) -> Any:
        """Returns the `data` of a GET. Raises Refusal if there is none."""
        answer = self.request("GET", path, query)
        if not isinstance(answer, dict) or "data" not in answer:
            raise Refusal(f"this plugin cannot read the {self._server.name}'s answer: compare their versions")
        return answer["data"]

    def score(self, run_id: str, query: Query, body: Mapping[str, Any]) -> Any:
        """Stores the caller's score of a run; returns it as stored."""
        return self.request("POST", f"/v1/runs/{run_id}/scores", query, body)["data"]

    def change(self, path: str, verb: str, body: Mapping[str, Any] | None = None) -> Any:
        """Cancels a background run, answers it and so on, by the verb of the path; returns it."""
        return self.request("POST", f"{path}/{verb}", body=body or {})["data"]

    def count(self, path: str, query: Query) -> int:
        """Returns the number of runs, counted up to COUNTED."""
        return int(self.request("GET", path, [*query, ("page_size", "1")])["pagination"]["total_count"])

    def delete(self, path: str, chosen: tuple[str, str]) -> int:
        """Deletes runs; returns how many."""
        return int(self.request("DELETE", path, [chosen])["data"]["deleted"])

    def listed(self, path: str, query: Query, most: int) -> Iterator[dict[str, Any]]:
        """Yields at most `most` items of a list."""
        cursor, count, patience = "", 0, self._context.api.patience
        try:
            while count < most:
                size = min(most - count, PAGE_MOST)
                answer = self.request("GET", path, [*query, ("page_size", str(size)), *([("cursor", cursor)] if cursor else [])])
                page, before, cursor = answer["data"][:size], cursor, answer["pagination"].get("next_cursor") or ""
                yield from page
                count += len(page)
                # A page may be short or empty if matches are rare, so only a missing cursor ends the list.
                if cursor in ("", before):
                    return
                patience.doing = f"reading the runs, {count} found"
        finally:
            patience.doing = WAITING

    def paged(self, path: str, query: Query, most: int) -> Iterator[dict[str, Any]]:
        """Yields at most `most` items of a list whose pages have numbers, each once."""
        seen: set[tuple[str, ...]] = set()
        size, page = min(most, OPEN_PAGE_MOST), 0
        while len(seen) < most:
            page += 1
            answer = self.request("GET", path, [*query, ("page", str(page)), ("page_size", str(size))])
            # The list may change between two pages, and then has an item of the page before again.
            fresh = [each for each in answer["data"] if _whole_id(each) not in seen][: most - len(seen)]
            seen.update(map(_whole_id, fresh))
            yield from fresh
            if page >= answer["pagination"]["page_count"]:
                return

    def lines(self, path: str, query: Query) -> Iterator[bytes]:
        """Returns the lines of an export, which are read as they arrive."""
        status, lines = self._context.api.lines(f"{self._server.proxy}{path}", query=query, headers=self._sent())
        if status >= 300:
            raise _refusal(status, b"".join(lines), self._server)
        return lines

    def _sent(self) -> dict[str, str]:
        if not self._headers:
            try:
                self._headers = {TOKEN_HEADER: bearer.token(self._context.command_line, self._server.name, asks=self._within is None)}
            except bearer.NoToken as error:
                self.reach()
                raise NoRecorder(str(error)) from None
        return self._headers


def _whole_id(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns what distinguishes an item of a list: the id of a question is unique in its run alone."""
    return item.get("run_id", ""), item["id"]


def path_of(app_uid: str) -> str:
    """Returns the server's path of an App."""
    return f"/v1/apps/{quote(app_uid, safe='')}"


def _refusal(status: int, raw: bytes, server: RunServer) -> Refusal:
    """Returns the Refusal for an error of a server, or of the API server in front of it."""
    parsed = _parsed(raw)
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, dict):
        message = str(error.get("message") or error.get("code") or status)
        if status == 401:
            return NoRecorder(f"the {server.name} does not accept your token: {message}")
        return NotThere(message) if status == 404 else Refusal(message)
    message = str(parsed.get("message") or "") if isinstance(parsed, dict) else ""
    if status in (403, 404):
        return NotInstalled(f"no {server.name} is installed in this cluster, or you may not reach it ({message or status}): {server.how}")
    if status == 401:
        return NoRecorder(f"the cluster does not accept your login ({message or status}): log in again")
    return NoRecorder(
        f"the {server.name} does not answer ({message or status}): `kubectl get pods -n {server.namespace}` shows its pods; {server.how}"
    )


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None
