"""Provides what all formats of runs share: results, refusals, checks of time, and token counts. It parses no format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from dynamiq_operator.model.runs import CostSource
from dynamiq_recorder.model import MICROSECONDS, NO_TOKENS, Batch, Tokens

AHEAD_MAX = 600 * MICROSECONDS
"""Most microseconds by which a sender's clock may be ahead of this one."""
LONGEST = 30 * 86400 * MICROSECONDS
MODELS_OF_A_RUN = 20
_Node = TypeVar("_Node")


class Prices(Protocol):
    """A price table that may be reloaded at any time; see pricing.Prices."""

    def cost(self, model: str | None, tokens: Tokens, at: int, reported: float | None = None) -> tuple[int | None, CostSource | None]: ...


class Parsed(msgspec.Struct):
    """The runs of a request. `rejected`: number of spans, or of the SDK's runs, that were refused. `says`: why."""

    batch: Batch
    rejected: int = 0
    says: str = ""


class Refusals:
    """The number of refused spans of a request, and the reasons, each once."""

    def __init__(self) -> None:
        self.count = 0
        self._says: dict[str, None] = {}

    def add(self, count: int, says: str) -> None:
        self.count += count
        if len(self._says) < 5:
            self._says[says] = None

    @property
    def says(self) -> str:
        return "; ".join(self._says)


def descendants(root: _Node, children: Callable[[_Node], Sequence[_Node]]) -> list[_Node]:
    """Returns all nodes below a root."""
    tree: list[_Node] = []
    pending = [root]
    while pending:
        if below := children(pending.pop()):
            tree += below
            pending += below
    return tree


def all_above(nodes: Iterable[object], parents: Mapping[str, object]) -> set[str]:
    """Returns the ids of these nodes and of all above them. `nodes`: ids, of which those without an entry in `parents` are left out."""
    above: set[str] = set()
    for node in nodes:
        while isinstance(node, str) and node in parents and node not in above:
            above.add(node)
            node = parents[node]
    return above


def wrong_time(started_at: int, now: int, oldest: int) -> str:
    """Returns why a run with this start is refused; empty if it is accepted."""
    if started_at > now + AHEAD_MAX:
        return "a run began more than ten minutes from now: the sender's clock is wrong"
    if started_at < oldest:
        return "a run has no time, or began longer ago than runs are kept: it was sent too late, or the sender's clock is wrong"
    return ""


def duration(started_at: int, ended_at: int) -> int:
    """Returns microseconds, at most `LONGEST`; 0 if it ended before it began."""
    return min(max(ended_at - started_at, 0), LONGEST)


def tokens_of(input_tokens: int | None, output: int | None, read: int | None, write: int | None) -> Tokens:
    """Returns token counts. Cached tokens are part of the input, so they are limited to it."""
    if input_tokens is None and output is None:
        return NO_TOKENS
    return Tokens(
        input=input_tokens,
        output=output,
        cache_read=read if read is None or input_tokens is None else min(read, input_tokens),
        cache_write=write if write is None or input_tokens is None else min(write, input_tokens),
    )
