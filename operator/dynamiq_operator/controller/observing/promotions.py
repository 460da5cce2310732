"""Reads the rows of other Apps that rows promote. It verifies none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dynamiq_operator.controller.cached.cache import Cache
from dynamiq_operator.desired.base import ChildKey
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.model import ownership
from dynamiq_operator.model.objects import App, Manifest, Row, Unreadable, read
from dynamiq_operator.model.row import Phase
from dynamiq_operator.plan.history.lifecycle import waits


async def read_sources(client: Client, cache: Cache, records: Iterable[Row], unknown: dict[ChildKey, str]) -> dict[str, Row]:
    """Reads the source row of each promotion that is unpinned or waiting, keyed by row name. Sources in other clusters are not read.

    `unknown`: gets why an existing source is unreadable. Raises errors.ApiError.
    """
    sources = {}
    for row in records:
        source = row.spec.promoted_from
        # A row of this cluster with the name of one in another cluster is a different row.
        if source is None or source.cluster is not None or row.outcome or (row.pinned and not waits(row)):
            continue
        try:
            raw = await client.get(ROWS, source.namespace, source.row)
        except errors.NotFound:
            continue
        except errors.Denied as error:
            if row.pinned:  # the source of an unpinned row that may not be read is unverified
                unknown[(ROWS.kind, row.name)] = f"the row that it promotes cannot be read: {error}"
            continue
        if _is_of_former(cache, source.namespace, raw):
            continue  # it is about to be deleted, with an App that is missing
        promoted = read(Row, raw)
        if isinstance(promoted, Unreadable):
            unknown[(ROWS.kind, row.name)] = f"the row that it promotes cannot be read: {promoted.why}"
        else:
            sources[row.name] = await _as_served(client, cache, source.namespace, promoted)
    return sources


def _is_of_former(cache: Cache, namespace: str, row: Manifest) -> bool:
    """Returns True if another App has the name of the row's App by now."""
    app = cache.get(APPS, namespace, row["spec"]["app"])
    return app is not None and ownership.is_anothers(row, app["metadata"].get("uid", ""))


async def _as_served(client: Client, cache: Cache, namespace: str, row: Row) -> Row:
    """Returns the row, as Live if its App serves the same flow by another row, such as one that scales."""
    app = cache.app((namespace, row.spec.app)) if row.phase is Phase.SUPERSEDED else None
    if not isinstance(app, App) or app.status.live is None or row.pinned is None:
        return row
    try:
        live = read(Row, await client.get(ROWS, namespace, app.status.live.row))
    except (errors.NotFound, errors.Denied):
        return row
    if isinstance(live, Unreadable) or live.pinned is None or live.pinned.workflow_hash != row.pinned.workflow_hash:
        return row
    return replace(row, status=row.status.model_copy(update={"phase": Phase.LIVE}))
