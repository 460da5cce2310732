"""Rows that left the cluster, asked of the recorder with the caller's token. Whoever can't read them hears why, and not that there are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli.patience import WAITING
from dynamiq_operator.cli.recorder import NotThere, Recorder, path_of
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.archive import has_archive
from dynamiq_operator.model.base import SEQUENCE_MAX
from dynamiq_operator.model.manifests import Manifest

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext
    from dynamiq_operator.cli.patience import Patience
    from dynamiq_operator.kube.api import Api
    from dynamiq_operator.kube.archived_row import WithArchivedRow

PAGE = 200


class Archive:
    """That of one App. Each call raises Refusal, which says that it is the archive that cannot be read, and kube.errors.ApiError."""

    def __init__(self, recorder: Recorder, patience: Patience, app: Manifest) -> None:
        self._recorder, self._patience, meta = recorder, patience, app["metadata"]
        self.namespace, self.app = meta["namespace"], meta["name"]
        self._path = f"{path_of(meta['uid'])}/archive"

    def walk(self) -> Iterator[Manifest]:
        """All rows, newest first, a page at a time: there may be more of them than there is memory."""
        cursor, found = "", 0
        try:
            while True:
                page = self._ask("", [("limit", str(PAGE)), *([("cursor", cursor)] if cursor else [])])
                found += len(page["data"])
                self._patience.doing = f"reading the archive of {self.app}, {found} of {page['pagination']['total_count']} rows"
                yield from page["data"]
                if not (cursor := page["pagination"].get("next_cursor") or ""):
                    return
        finally:
            self._patience.doing = WAITING

    def find(self, wanted: int | str) -> Manifest | None:
        """The row of a sequence (`12`, `#12`), or of a name; None where there is none."""
        text = str(wanted).removeprefix("#")
        if not text.isdecimal():
            row: Manifest | None = self._one(f"/rows/{quote(text, safe='')}")
            return row
        if (sequence := int(text)) > SEQUENCE_MAX:
            return None
        found = self._ask("", [("cursor", f"{sequence + 1}.0"), ("limit", "1")])["data"]
        return next((row for row in found if row["spec"]["sequence"] == sequence), None)

    def flow(self, flow_hash: str) -> str | None:
        """The flow of a hash; None where it is not there, or the caller may not read it."""
        found = self._one(f"/flows/{quote(flow_hash, safe=':')}")
        return found["flow"] if found is not None else None

    def _one(self, path: str) -> Any:
        """None where there is no such thing, or the caller may not see it."""
        try:
            return self._recorder.ask("GET", f"{self._path}{path}")["data"]
        except NotThere:
            return None
        except Refusal as refusal:
            raise self._unread(refusal) from None

    def around(self, time: str) -> list[Manifest]:
        """Those that tell what was live at a time."""
        found: list[Manifest] = self._ask("/at", [("time", time)])["data"]
        return found

    def _ask(self, path: str, query: list[tuple[str, str]]) -> Any:
        try:
            return self._recorder.ask("GET", f"{self._path}{path}", query)
        except Refusal as refusal:
            raise self._unread(refusal) from None

    def _unread(self, refusal: Refusal) -> Refusal:
        return Refusal(f"older rows of {self.app} are in the archive, which cannot be read: {refusal}")


def archives(context: CommandContext, namespace: str, app: str | None = None) -> list[Archive]:
    """Of an App, of a namespace, or of all, those that there are. Raises kube.errors.ApiError: Denied where the caller may not read the Apps."""
    recorder = Recorder(context)
    try:
        one = requests.get(context.api, APPS, namespace, app) if app is not None else None
        found = [one] if one is not None else requests.items(context.api, APPS, namespace)
    except errors.NotFound:
        return []
    return [Archive(recorder, context.api.patience, each) for each in found if has_archive(each)]


def beside(context: CommandContext, api: Api, wanted: int | str) -> WithArchivedRow | None:
    """`api` with the row of a sequence, or of a name, that is in the App's archive; None where it has none, or not this row.

    Raises Refusal where it cannot be read, and kube.errors.ApiError.
    """
    from dynamiq_operator.kube.archived_row import WithArchivedRow

    for archive in archives(context, context.namespace, context.options.app):
        found = archive.find(wanted)
        if found is not None:
            pinned = found["spec"].get("pinned")
            return WithArchivedRow(api, found, archive.flow(pinned["workflowHash"]) if pinned else None)
    return None
