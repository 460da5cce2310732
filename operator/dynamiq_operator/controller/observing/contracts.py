"""Observes the contracts of rows that are about to be pinned, and the callers that they may break. It writes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from dynamiq_operator.controller.app_state import AppState
from dynamiq_operator.controller.background.flows import read_flow
from dynamiq_operator.controller.background.shapes import ShapesReader
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.model.contract import Contract, contract_of
from dynamiq_operator.model.objects import App
from dynamiq_operator.model.shapes import Shapes
from dynamiq_operator.plan.observed.contracts import ObservedContracts
from dynamiq_operator.plan.rows.contracts import pinned_contracts
from dynamiq_operator.plan.rows.judging import fields_to_count, flows_to_read, rows_to_judge
from dynamiq_operator.plan.snapshot import Snapshot

KEPT_MOST = 8
"""Contracts that are kept of an App until its row is pinned."""


async def with_contracts(client: Client, reader: ShapesReader, key: AppKey, app: App, state: AppState, snapshot: Snapshot) -> Snapshot:
    """Returns the snapshot with the contracts that the next plan pins; unchanged if it pins no row. Raises errors.ApiError."""
    if not (rows := rows_to_judge(snapshot, app)):
        return snapshot
    known = {**state.contracts, **pinned_contracts(snapshot.rows.observed)}
    wanted = flows_to_read(snapshot, app, rows)
    lacking = [digest for digest in wanted if digest not in known]
    read = await asyncio.gather(*(_read(client, key, snapshot, digest) for digest in lacking))
    known |= {digest: contract for digest, contract in zip(lacking, read, strict=True) if contract is not None}
    by_hash = {digest: known[digest] for digest in wanted if digest in known}
    state.contracts = dict(list(by_hash.items())[-KEPT_MOST:])
    snapshot = replace(snapshot, contracts=ObservedContracts(by_hash))
    if not (fields := fields_to_count(snapshot, app, rows)):
        return snapshot
    answer = await reader.read(key, app.meta.uid, fields)
    if isinstance(answer, Shapes):
        return replace(snapshot, contracts=ObservedContracts(by_hash, answer))
    return replace(snapshot, contracts=ObservedContracts(by_hash, problem=answer))


async def _read(client: Client, key: AppKey, snapshot: Snapshot, digest: str) -> Contract | None:
    """Returns the contract of a flow; None if no object has it, or it may not be read."""
    if digest in snapshot.archive.flows:
        text: str | None = snapshot.archive.flows[digest]
    else:
        release = snapshot.sources.release_of(digest)
        try:
            text = await read_flow(
                client, key, digest, release.name if release is not None else None, is_kept=digest in snapshot.children.flows
            )
        except errors.Denied:
            return None
    # In a thread: a large flow takes long enough for other Apps to notice.
    return await asyncio.to_thread(contract_of, text) if text is not None else None
