"""What is common to every form in which runs are sent: what comes of a request, sums over the calls of models, and clocks that are wrong."""

from __future__ import annotations

from typing import Protocol

import msgspec

from dynamiq_operator.model.runs import CostSource
from dynamiq_recorder.model import MICROSECONDS, NO_TOKENS, Batch, Tokens

AHEAD_MAX = 600 * MICROSECONDS
"""By how much a sender's clock may be ahead of this one."""
LONGEST = 30 * 86400 * MICROSECONDS
MODELS_OF_A_RUN = 20


class Prices(Protocol):
    """See pricing.Prices: what may be read anew meanwhile."""

    def cost(self, model: str | None, tokens: Tokens, at: int, reported: float | None = None) -> tuple[int | None, CostSource | None]: ...


class Parsed(msgspec.Struct):
    """`rejected`: spans, or runs of the SDK, that were not taken; `says` why, in a sentence."""

    batch: Batch
    rejected: int = 0
    says: str = ""


class Refusals:
    """What was not taken of a request, and why: each reason once."""

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


def wrong_time(started_at: int, now: int, oldest: int) -> str:
    """Why a run of this start is not taken; empty where it is."""
    if started_at > now + AHEAD_MAX:
        return "a run began more than ten minutes from now: the sender's clock is wrong"
    if started_at < oldest:
        return "a run began longer ago than runs are kept, or says no time: it is not recorded any more, or the sender's clock is wrong"
    return ""


def duration(started_at: int, ended_at: int) -> int:
    """Microseconds; 0 where it ended before it began."""
    return min(max(ended_at - started_at, 0), LONGEST)


def tokens_of(given: int | None, output: int | None, read: int | None, write: int | None) -> Tokens:
    """Cached tokens are part of the input, so there are no more of them."""
    if given is None and output is None:
        return NO_TOKENS
    return Tokens(
        input=given,
        output=output,
        cache_read=read if read is None or given is None else min(read, given),
        cache_write=write if write is None or given is None else min(write, given),
    )
