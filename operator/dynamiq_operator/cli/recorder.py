"""The recorder, asked through the API server's proxy of its Service: nothing of it has to be reachable from where the plugin runs.

The API server takes the caller's login off what it passes on, so the token goes in a header of its own (`bearer`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import bearer
from dynamiq_operator.cli.patience import WAITING
from dynamiq_operator.model.manifests import API_VERSION, Manifest
from dynamiq_operator.model.recorder import RECORDER_NAMESPACE, RECORDER_SERVICE, TOKEN_HEADER

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext

PROXY = f"/api/v1/namespaces/{RECORDER_NAMESPACE}/services/http:{RECORDER_SERVICE}:http/proxy"
PAGE_MOST = 500
Query = Sequence[tuple[str, str]]
HOW = "docs/runs.md says how to install one, and who may read what"


class NoRecorder(Refusal):
    """There is no recorder here, or the caller cannot reach it or has no token for it."""


class NotThere(Refusal):
    """The recorder has no such thing, or the caller may not see it."""


class Recorder:
    """Calls with the caller's token. Each raises Refusal with what the recorder says, NoRecorder, NotConnected and kube.errors.ApiError."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context
        self._headers: dict[str, str] = {}

    def app(self, name: str) -> str:
        """The recorder's path of an App."""
        return path_of(self._app(name)["metadata"]["uid"])

    def chosen_app(self) -> str:
        """That of the App that the options name; by --app-id it need not be there any more, so the cluster is not asked for it."""
        options = self._context.options
        return path_of(options.app_id) if options.app_id is not None else self.app(options.app)

    def live_row(self, name: str) -> str | None:
        """The name of the row that an App serves; None where nothing is live."""
        live: str | None = ((self._app(name).get("status") or {}).get("live") or {}).get("row")
        return live

    def _app(self, name: str) -> Manifest:
        from dynamiq_operator.kube import errors

        namespace = self._context.namespace
        try:
            return self._context.api.request(
                "GET", f"/apis/{API_VERSION}/namespaces/{quote(namespace, safe='')}/apps/{quote(name, safe='')}"
            )
        except errors.NotFound:
            from dynamiq_operator.actions.history import find_app  # takes the models along, for one sentence

            find_app(self._context.api, namespace, name)
            raise

    def reach(self) -> None:
        """Asks whether there is a recorder, which takes no token: nobody is to log in where there is none."""
        status, raw = self._context.api.exchange("GET", f"{PROXY}/healthz", headers={})
        if status >= 300:
            raise _refusal(status, raw)

    def ask(self, method: str, path: str, query: Query = (), body: Any = None) -> Any:
        """The JSON of an answer; None where it has no body."""
        sent = json.dumps(body).encode() if body is not None else None
        status, raw = self._context.api.exchange(method, f"{PROXY}{path}", query=query, body=sent, headers=self._sent())
        if status >= 300:
            raise _refusal(status, raw)
        return _parsed(raw) if raw else None

    def data(self, path: str, query: Query = ()) -> Any:
        """The `data` of a GET."""
        found = self.ask("GET", path, query)
        if not isinstance(found, dict) or "data" not in found:
            raise Refusal("the recorder's answer is none that this plugin knows: is it of another version?")
        return found["data"]

    def score(self, run_id: str, query: Query, given: Mapping[str, Any]) -> Any:
        """The caller's score of a run, as it is stored."""
        return self.ask("POST", f"/v1/runs/{run_id}/scores", query, given)["data"]

    def count(self, path: str, query: Query) -> int:
        """How many runs there are, counted up to COUNTED."""
        return int(self.ask("GET", path, [*query, ("page_size", "1")])["pagination"]["total_count"])

    def delete(self, path: str, chosen: tuple[str, str]) -> int:
        """How many runs were deleted."""
        return int(self.ask("DELETE", path, [chosen])["data"]["deleted"])

    def listed(self, path: str, query: Query, most: int) -> Iterator[dict[str, Any]]:
        """The items of a list, `most` of them. A page may be short, or empty, where what fits is rare: the list ends where no cursor is given."""
        cursor, found, patience = "", 0, self._context.api.patience
        try:
            while found < most:
                size = min(most - found, PAGE_MOST)
                answer = self.ask("GET", path, [*query, ("page_size", str(size)), *([("cursor", cursor)] if cursor else [])])
                page, before, cursor = answer["data"][:size], cursor, answer["pagination"].get("next_cursor") or ""
                yield from page
                found += len(page)
                if cursor in ("", before):
                    return
                patience.doing = f"looking through the runs, {found} found"
        finally:
            patience.doing = WAITING

    def lines(self, path: str, query: Query) -> Iterator[bytes]:
        """The lines of an export, as they come."""
        status, lines = self._context.api.lines(f"{PROXY}{path}", query=query, headers=self._sent())
        if status >= 300:
            raise _refusal(status, b"".join(lines))
        return lines

    def _sent(self) -> dict[str, str]:
        if not self._headers:
            try:
                self._headers = {TOKEN_HEADER: bearer.token(self._context.given)}
            except bearer.NoToken as error:
                self.reach()
                raise NoRecorder(str(error)) from None
        return self._headers


def path_of(app_uid: str) -> str:
    """The recorder's path of an App."""
    return f"/v1/apps/{quote(app_uid, safe='')}"


def _refusal(status: int, raw: bytes) -> Refusal:
    """What an error means: the recorder's own, or the API server's about the way to it."""
    found = _parsed(raw)
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, dict):
        said = str(error.get("message") or error.get("code") or status)
        if status == 401:
            return NoRecorder(f"the recorder does not accept your token: {said}")
        return NotThere(said) if status == 404 else Refusal(said)
    said = str(found.get("message") or "") if isinstance(found, dict) else ""
    if status in (403, 404):
        return NoRecorder(f"no recorder is installed in this cluster, or you may not reach it ({said or status}): {HOW}")
    if status == 401:
        return NoRecorder(f"the cluster does not accept your login ({said or status}): log in again")
    return NoRecorder(f"no recorder answers ({said or status}): `kubectl get pods -n {RECORDER_NAMESPACE}` shows its pods; {HOW}")


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None
