"""Feeds rows of Apps into the store, which attributes runs to them. It lists and watches all `deployments.dynamiq`, old ones too."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from pydantic import ValidationError

from dynamiq_operator.desired.pin_labels import digest_of
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.informer import Informer, Listing
from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.model.manifests import parse_time
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.row import Outcome, Pinned, Result
from dynamiq_recorder.model import MICROSECONDS, Row
from dynamiq_recorder.store.results import Unavailable
from dynamiq_recorder.store.sql_store import Store

RESOURCE = replace(ROWS, field_selector="", first_page=0)
NOTED_MOST = 1_000_000
"""Hashes of rows that are kept, of about 75 bytes each."""

log = logging.getLogger(__name__)


class Attribution:
    """A receiver of rows.

    `app_uid`: returns the uid of an App by namespace and name; None if unknown. `read_app`: reads an App that the watch may not have
    delivered yet.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        app_uid: Callable[[str, str], str | None],
        read_app: Callable[[str, str], Awaitable[object]],
        on_moved: Callable[[int], None],
    ) -> None:
        self._store, self._app_uid, self._read_app, self._on_moved = store, app_uid, read_app, on_moved
        self.informer = Informer(client, RESOURCE, self, also=(Unavailable,))
        self._noted: set[int] = set()
        """Hashes of the rows in the store. Most events change nothing that the store keeps."""

    @property
    def is_listed(self) -> bool:
        return self.informer.listed.is_set()

    async def replace(self, listing: Listing) -> None:
        """Keeps rows that are missing from the new list: their runs still belong to them."""
        async for objects in listing:
            await self._note(objects)

    async def change(self, raw: Manifest) -> None:
        app = (raw.get("spec") or {}).get("app")
        if isinstance(app, str) and (raw["spec"].get("sequence")):
            await self._read_app(raw["metadata"]["namespace"], app)  # the watch of Apps may be behind this one
        await self._note([raw])

    async def delete(self, raw: Manifest) -> None:
        """Keeps the row: its runs still belong to it."""

    async def _note(self, objects: Sequence[Manifest]) -> None:
        rows = [row for raw in objects if (row := row_of(raw, self._app_uid)) is not None]
        new = [row for row in rows if hash(row) not in self._noted]
        if not new:
            return
        moved = await asyncio.to_thread(self._store.put_rows, new)
        if len(self._noted) + len(new) > NOTED_MOST:
            self._noted.clear()
        self._noted.update(map(hash, new))
        if moved:
            log.info("%d runs were attributed to rows that arrived after them", moved)
            self._on_moved(moved)


def row_of(raw: Manifest, app_uid: Callable[[str, str], str | None]) -> Row | None:
    """Returns the row of an object; None if it is incomplete, unreadable for this version, or owned by no known App.

    Its owner must be the App that it names, in its own namespace: a row cannot claim an App of another namespace.
    """
    meta, spec = raw["metadata"], raw.get("spec") or {}
    try:
        if not spec.get("sequence") or not spec.get("pinned"):
            return None
        pinned = Pinned.model_validate(spec["pinned"])
        outcome = Outcome.model_validate(spec["outcome"]) if spec.get("outcome") else None
        owner = app_uid(meta["namespace"], spec["app"])
        if owner is None or all(each.get("uid") != owner for each in meta.get("ownerReferences") or ()):
            return None
        pins = Pins.of(pinned)
        return Row(
            uid=meta["uid"],
            app_uid=owner,
            namespace=meta["namespace"],
            app=spec["app"],
            sequence=int(spec["sequence"]),
            digest=pinned.digest,
            pins=pins.digest,
            workflow_version=pinned.workflow_version,
            began=_microseconds(pinned.created_at),
            succeeded=outcome.result is Result.SUCCEEDED if outcome is not None else None,
            ended=_microseconds(outcome.at) if outcome is not None else None,
            pair=digest_of({"flow": pins.flow, "runtime": pins.runtime.as_json()}),
        )
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        log.warning("the row %s of %s cannot be read: %s", meta.get("name"), meta.get("namespace"), str(error).splitlines()[0])
        return None


def _microseconds(text: str) -> int:
    return round(parse_time(text).timestamp() * MICROSECONDS)
