"""Makes rows for an archive: a history with correct digests, as a store accepts them and as the operator sends them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import orjson

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.manifests import Manifest, format_time
from dynamiq_recorder.model import MICROSECONDS, ArchivedRow
from dynamiq_recorder.store.sql_store import Store
from tests.support import factories as given
from tests.support.stored_runs import APP

TEAM, CHAT = "team", "chat"
HOUR = 3600
ENDED = 1_790_000_000 * MICROSECONDS
"""The base of the ends in a store: row n ended n seconds later."""


def history(
    count: int, *, app_uid: str = APP, namespace: str = TEAM, start: int = 1, previous: str | None = None, salt: str = ""
) -> list[Manifest]:
    """Returns stored rows, oldest first; each succeeded, and follows the previous one. `salt` changes uids and digests."""
    owner = {"apiVersion": API_VERSION, "kind": kinds.APP.kind, "name": CHAT, "uid": app_uid}
    rows = []
    for sequence in range(start, start + count):
        version = f"v{1 + sequence % 3}"
        pins = {"previousDigest": previous} if previous is not None else {}
        row = given.stored(
            given.row_manifest(
                f"chat-{sequence}{salt}",
                given.in_namespace(namespace),
                given.with_spec(app=CHAT, message=f"Deploy {sequence}{salt}"),
                given.superseded(sequence, version, createdAt=moment(sequence), **pins),
                given.ended("Succeeded", seconds=HOUR * sequence + 10),
                given.with_meta(ownerReferences=[owner]),
            )
        )
        previous = row["spec"]["pinned"]["digest"]
        rows.append(row)
    return rows


def moment(sequence: int) -> str:
    """Returns when the deploy of a row began: an hour after the previous one."""
    return format_time(given.NOW + timedelta(hours=sequence))


def flows(rows: Iterable[Manifest]) -> dict[str, str]:
    """Returns the flows that the rows name, by hash."""
    versions = {row["spec"]["pinned"]["workflowVersion"] for row in rows if "pinned" in row["spec"]}
    return {given.flow_hash(version): given.flow(version) for version in versions}


def for_store(rows: Iterable[Manifest], *, app_uid: str = APP, app: str = CHAT) -> list[ArchivedRow]:
    """Returns the rows as the recorder stores them."""
    return list(_for_store(rows, app_uid, app))


def _for_store(rows: Iterable[Manifest], app_uid: str, app: str) -> Iterator[ArchivedRow]:
    for row in rows:
        meta, spec = row["metadata"], row["spec"]
        pinned: dict[str, Any] = spec.get("pinned") or {}
        yield ArchivedRow(
            uid=meta["uid"],
            app_uid=app_uid,
            namespace=TEAM,
            app=app,
            name=meta["name"],
            sequence=spec["sequence"],
            digest=pinned.get("digest"),
            outcome_digest=spec["outcome"]["digest"],
            flow_hash=pinned.get("workflowHash"),
            ended=ENDED + spec["sequence"] * MICROSECONDS,
            succeeded=spec["outcome"]["result"] == "Succeeded",
            content=orjson.dumps(row).decode(),
        )


def sequences(store: Store, app_uid: str = APP, **filters: Any) -> list[int]:
    """Returns the sequences of all rows of a store, read page by page."""
    numbers: list[int] = []
    page = store.archived(app_uid, limit=7, **filters)
    numbers += [row.sequence for row in page.rows]
    while page.cursor is not None:
        page = store.archived(app_uid, limit=7, cursor=page.cursor, **filters)
        numbers += [row.sequence for row in page.rows]
    return numbers
