"""Calls the recorder through the API server's proxy of its Service. The recorder need not be reachable from the plugin's machine.

The API server removes the caller's login from what it forwards, so the token has a header of its own (`bearer`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import bearer
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.patience import WAITING
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.model.recorder import RECORDER_NAMESPACE, RECORDER_SERVICE, TOKEN_HEADER

PROXY = f"/api/v1/namespaces/{RECORDER_NAMESPACE}/services/http:{RECORDER_SERVICE}:http/proxy"
PAGE_MOST = 500
Query = Sequence[tuple[str, str]]
HOW = "docs/runs.md says how to install one, and who may read what"


class NoRecorder(Refusal):
    """There is no recorder here, or the caller cannot reach it or has no token for it."""


class NotThere(Refusal):
    """The recorder does not have this, or the caller may not see it."""


class RecorderClient:
    """The recorder's API, called with the caller's token.

    Each call raises Refusal with the recorder's message, NoRecorder, NotConnected and kube.errors.ApiError.
    """

    def __init__(self, context: CommandContext) -> None:
        self._context = context
        self._headers: dict[str, str] = {}

    def app(self, name: str) -> str:
        """Returns the recorder's path of an App."""
        return path_of(self._app(name)["metadata"]["uid"])

    def chosen_app(self) -> str:
        """Returns the recorder's path of the App that the options name."""
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
        """Raises Refusal if the recorder does not answer."""
        # Without a token: nobody should have to log in where there is no recorder.
        status, raw = self._context.api.exchange("GET", f"{PROXY}/healthz", headers={})
        if status >= 300:
            raise _refusal(status, raw)

    def request(self, method: str, path: str, query: Query = (), body: Any = None) -> Any:
        """Returns the JSON of a response; None if it has no body."""
        sent = json.dumps(body).encode() if body is not None else None
        status, raw = self._context.api.exchange(method, f"{PROXY}{path}", query=query, body=sent, headers=self._sent())
        if status >= 300:
            raise _refusal(status, raw)
        return _parsed(raw) if raw else None

    def data(self, path: str, query: Query = ()) -> Any:
        """Returns the `data` of a GET. Raises Refusal if there is none."""
        answer = self.request("GET", path, query)
        if not isinstance(answer, dict) or "data" not in answer:
            raise Refusal("this plugin cannot read the recorder's answer: compare their versions")
        return answer["data"]

    def score(self, run_id: str, query: Query, body: Mapping[str, Any]) -> Any:
        """Stores the caller's score of a run; returns it as stored."""
        return self.request("POST", f"/v1/runs/{run_id}/scores", query, body)["data"]

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

    def lines(self, path: str, query: Query) -> Iterator[bytes]:
        """Returns the lines of an export, which are read as they arrive."""
        status, lines = self._context.api.lines(f"{PROXY}{path}", query=query, headers=self._sent())
        if status >= 300:
            raise _refusal(status, b"".join(lines))
        return lines

    def _sent(self) -> dict[str, str]:
        if not self._headers:
            try:
                self._headers = {TOKEN_HEADER: bearer.token(self._context.command_line)}
            except bearer.NoToken as error:
                self.reach()
                raise NoRecorder(str(error)) from None
        return self._headers


def path_of(app_uid: str) -> str:
    """Returns the recorder's path of an App."""
    return f"/v1/apps/{quote(app_uid, safe='')}"


def _refusal(status: int, raw: bytes) -> Refusal:
    """Returns the Refusal for an error of the recorder, or of the API server in front of it."""
    parsed = _parsed(raw)
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, dict):
        message = str(error.get("message") or error.get("code") or status)
        if status == 401:
            return NoRecorder(f"the recorder does not accept your token: {message}")
        return NotThere(message) if status == 404 else Refusal(message)
    message = str(parsed.get("message") or "") if isinstance(parsed, dict) else ""
    if status in (403, 404):
        return NoRecorder(f"no recorder is installed in this cluster, or you may not reach it ({message or status}): {HOW}")
    if status == 401:
        return NoRecorder(f"the cluster does not accept your login ({message or status}): log in again")
    return NoRecorder(
        f"the recorder does not answer ({message or status}): `kubectl get pods -n {RECORDER_NAMESPACE}` shows its pods; {HOW}"
    )


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None
