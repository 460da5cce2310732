"""Finds the last good row: the target of a rollback that names none, on every surface, and of the operator's reverts."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import orjson

from dynamiq_operator.model.row import Result


@dataclass(frozen=True)
class Ran:
    """A pinned row. `pair`: the digest of its flow and runtime, see `pair_of`. `restored`: the sequence of the row that it restored."""

    name: str
    sequence: int
    pair: str
    restored: int | None = None
    result: str | None = None


def pair_of(pinned: Mapping[str, Any]) -> str:
    """Returns a digest of the flow and the runtime that a row pinned."""
    pair = orjson.dumps([pinned.get("workflowHash"), pinned.get("runtime")], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(pair, digest_size=12).hexdigest()


def current(rows: Iterable[Ran]) -> Ran | None:
    """Returns the row that is live or in rollout; None if there is none. `rows`: newest first."""
    return next((row for row in rows if row.result in (None, Result.SUCCEEDED)), None)


def last_good(rows: Sequence[Ran], bad: Collection[str] = ()) -> Ran | None:
    """Returns the newest good row that went live; None if there is none. `rows`: newest first.

    The current row's pair is not good. Neither is a pair that a rollback or revert left, until somebody deploys it again. A second rollback
    thus goes further back, and never forth again. `bad`: names of rows whose version is rejected. Older rows never change a result: the
    newest rows of a history are enough if they have one.
    """
    now = current(rows)
    went_live = [row for row in rows if row is now or row.result == Result.SUCCEEDED]
    decided: set[str] = set()
    restored: float = float("inf")  # the oldest row that any passed rollback restored
    for row, before in zip_longest(went_live, went_live[1:]):
        if row.pair not in decided and row is not now and row.sequence <= restored and row.name not in bad:
            return row
        decided.add(row.pair)
        # A row with the pair of the previous one left nothing: it only scaled.
        if row.restored is not None and before is not None and before.pair != row.pair:
            restored = min(restored, row.restored)
    return None
