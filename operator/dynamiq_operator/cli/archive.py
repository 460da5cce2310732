"""Reads rows that left the cluster from the recorder, with the caller's token.

Callers who may not read them get the reason, never an empty list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.patience import WAITING
from dynamiq_operator.cli.recorder import NotThere, RecorderClient, path_of
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.archive import has_archive
from dynamiq_operator.model.base import SEQUENCE_MAX
from dynamiq_operator.model.manifests import Manifest

if TYPE_CHECKING:
    from dynamiq_operator.actions.archived_row import WithArchivedRow
    from dynamiq_operator.cli.patience import Patience
    from dynamiq_operator.kube.api import Api

PAGE = 200


class ArchivedRows:
    """The archive of one App.

    Each call raises Refusal, which names the archive as what cannot be read, and kube.errors.ApiError.
    """

    def __init__(self, recorder: RecorderClient, patience: Patience, app: Manifest) -> None:
        self._recorder, self._patience, meta = recorder, patience, app["metadata"]
        self.namespace, self.app = meta["namespace"], meta["name"]
        self._path = f"{path_of(meta['uid'])}/archive"

    def walk(self) -> Iterator[Manifest]:
        """Yields all rows, newest first, page by page: they may not fit into memory."""
        cursor, count = "", 0
        try:
            while True:
                page = self._read("", [("limit", str(PAGE)), *([("cursor", cursor)] if cursor else [])])
                count += len(page["data"])
                self._patience.doing = f"reading the archive of {self.app}, {count} of {page['pagination']['total_count']} rows"
                yield from page["data"]
                if not (cursor := page["pagination"].get("next_cursor") or ""):
                    return
        finally:
            self._patience.doing = WAITING

    def find(self, key: int | str) -> Manifest | None:
        """Returns the row of a sequence (`12`, `#12`), or of a name; None if there is none."""
        text = str(key).removeprefix("#")
        if not text.isdecimal():
            row: Manifest | None = self._entry(f"/rows/{quote(text, safe='')}")
            return row
        if (sequence := int(text)) > SEQUENCE_MAX:
            return None
        rows = self._read("", [("cursor", f"{sequence + 1}.0"), ("limit", "1")])["data"]
        return next((row for row in rows if row["spec"]["sequence"] == sequence), None)

    def flow(self, flow_hash: str) -> str | None:
        """Returns the flow of a hash; None if it is missing, or the caller may not read it."""
        entry = self._entry(f"/flows/{quote(flow_hash, safe=':')}")
        return entry["flow"] if entry is not None else None

    def _entry(self, path: str) -> Any:
        """Returns the data at a path; None if it is missing, or the caller may not read it."""
        try:
            return self._recorder.request("GET", f"{self._path}{path}")["data"]
        except NotThere:
            return None
        except Refusal as refusal:
            raise self._unread(refusal) from None

    def around(self, time: str) -> list[Manifest]:
        """Returns the rows that decide what was live at a time."""
        rows: list[Manifest] = self._read("/at", [("time", time)])["data"]
        return rows

    def _read(self, path: str, query: list[tuple[str, str]]) -> Any:
        try:
            return self._recorder.request("GET", f"{self._path}{path}", query)
        except Refusal as refusal:
            raise self._unread(refusal) from None

    def _unread(self, refusal: Refusal) -> Refusal:
        return Refusal(f"older rows of {self.app} are in the archive, which cannot be read: {refusal}")


def archives(context: CommandContext, namespace: str, app: str | None = None) -> list[ArchivedRows]:
    """Lists the archives of an App, of a namespace, or of all namespaces.

    Raises kube.errors.ApiError: Denied if the caller may not read the Apps.
    """
    recorder = RecorderClient(context)
    try:
        chosen = requests.read_object(context.api, APPS, namespace, app) if app is not None else None
        apps = [chosen] if chosen is not None else requests.items(context.api, APPS, namespace)
    except errors.NotFound:
        return []
    return [ArchivedRows(recorder, context.api.patience, each) for each in apps if has_archive(each)]


def with_archived_row(context: CommandContext, api: Api, key: int | str) -> WithArchivedRow | None:
    """Returns `api` with a row, by sequence or name, from the App's archive; None if the archive does not have it.

    Raises Refusal if the archive cannot be read, and kube.errors.ApiError.
    """
    from dynamiq_operator.actions.archived_row import WithArchivedRow

    for archive in archives(context, context.namespace, context.options.app):
        row = archive.find(key)
        if row is not None:
            pinned = row["spec"].get("pinned")
            return WithArchivedRow(api, row, archive.flow(pinned["workflowHash"]) if pinned else None)
    return None
