"""Writes ended histories into a real API server, thousands of rows in seconds: no operator has run them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from local.clusters import Cluster
from tests.support import factories as given
from tests.support import swarm
from tests.support.api import Manifest, path
from tests.support.factories import Modifier
from tests.support.faults import operators
from tests.support.history_stage import ADMIN
from tests.support.swarm import Request

OPERATOR = (("Impersonate-User", operators.USER), ("Impersonate-Group", ADMIN))
"""The identity that may write pins and status of a row if the admission policies are installed."""


def row(namespace: str, app: str, uid: str, number: int, *modifiers: Modifier) -> Manifest:
    """Returns the row after `number` others of an App: superseded, unless modifiers replace that."""
    owner = {"apiVersion": API_VERSION, "kind": kinds.APP.kind, "name": app, "uid": uid}
    return given.row_manifest(
        f"{app}-{number * 7919 % 100_003:05d}",  # names of a real history are random, too
        given.in_namespace(namespace),
        given.with_spec(app=app, message=f"Deploy {number}"),
        *(modifiers or (given.superseded(number + 1, "v1"),)),
        given.with_meta(ownerReferences=[owner]),
    )


def make(cluster: Cluster, rows: Iterable[Manifest]) -> None:
    """Makes rows with their status."""
    with ThreadPoolExecutor(1) as pool:  # this thread may already have a loop: Playwright's
        pool.submit(asyncio.run, _make(cluster, list(rows))).result()


async def _make(cluster: Cluster, rows: list[Manifest]) -> None:
    async with swarm.swarm(cluster) as connections:

        async def one(_: int, raw: Manifest) -> None:
            status = raw.pop("status")
            created = await connections.send(Request("POST", path(raw, named=False), raw, headers=OPERATOR))
            assert created.ok, created.message
            whole = {key: raw[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": created.body["metadata"], "status": status}
            answer = await connections.send(Request("PUT", f"{path(raw)}/status", whole, headers=OPERATOR))
            assert answer.ok, answer.message

        await swarm.shared(rows, one)
