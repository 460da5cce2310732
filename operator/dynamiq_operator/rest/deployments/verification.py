"""Verifies a whole history with the caller's token: row after row, a page at a time, so that of thousands few are held at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, TypedDict, cast

import msgspec

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model import chain
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.ownership import may_be_of
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.shared.serialize import Data
from dynamiq_operator.views.verdict import sentence

PAGE = 250
"""Rows that are decoded at once."""
TOLD_MOST = 100
"""Misfits that are told one by one."""
PAUSE_EVERY, PAUSE = 4, 1e-6
"""After so many rows, a millisecond of a processor, the interpreter is left to other requests."""


class _Owner(TypedDict, total=False):
    kind: str
    uid: str


class _Meta(TypedDict, total=False):
    name: str
    uid: str
    ownerReferences: list[_Owner]


class _Row(TypedDict, total=False):
    metadata: _Meta
    spec: Any


class _Page(TypedDict):
    metadata: dict[str, Any]
    items: list[_Row]


_PAGE = msgspec.json.Decoder(_Page)


def verify(session: CallerSession, app: Entry, expected: str | None) -> Data:
    """How the App's history verifies. `expected`: a digest that some row must have. Raises errors.ApiError."""
    ids: dict[str, tuple[str, int | None]] = {}

    def rows() -> Iterator[Manifest]:
        for number, row in enumerate(_rows(session, app), 1):
            meta, spec = row["metadata"], row.get("spec")
            ids[meta["name"]] = meta["uid"], spec.get("sequence") if isinstance(spec, dict) else None
            yield row
            if number % PAUSE_EVERY == 0:
                time.sleep(PAUSE)

    verdict = chain.verify(rows(), expected=expected)
    nobody = (None, None)
    misfits = [each for each in verdict.misfits if each.row in ids]
    newest_id, newest = ids.get(verdict.newest_row or "", nobody)
    found_id, found = ids.get(verdict.expected_row or "", nobody)
    return {
        "rows": verdict.rows,
        "fits": not verdict.misfits,
        "newest": {"deployment_id": newest_id, "sequence": newest, "digest": verdict.newest} if newest_id is not None else None,
        "expected": {"digest": expected, "deployment_id": found_id, "sequence": found, "found": found_id is not None} if expected else None,
        "misfit_count": len(misfits),
        "misfits": [
            {"deployment_id": ids[each.row][0], "name": each.row, "sequence": ids[each.row][1], "says": each.reason}
            for each in misfits[:TOLD_MOST]
        ],
        "says": sentence(verdict),
    }


def _rows(session: CallerSession, app: Entry) -> Iterator[Manifest]:
    """The App's rows, without those of a deleted App of its name."""
    path = RECORDS.path(app.namespace)
    query: dict[str, str | int] = {"fieldSelector": f"spec.app={app.name}", "limit": PAGE}
    while True:
        try:
            page = _PAGE.decode(session.api.read(path, query))
        except msgspec.DecodeError as error:
            raise errors.Unavailable(f"GET {path}: the answer is no list of rows") from error
        items = cast(list[Manifest], page["items"])
        items.reverse()
        while items:
            if may_be_of(app.uid, row := items.pop()):
                yield row
        if not (token := page["metadata"].get("continue")):
            return
        query["continue"] = token
