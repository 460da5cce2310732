"""Sketches of durations: how many fell into each logarithmic bucket. Two are added bucket by bucket, and a quantile is right to 1 %.

After DDSketch (Masson, Rim, Lee: VLDB 2019) with γ = 1.02: bucket i holds those in (γ^(i-1), γ^i] microseconds, bucket 0 all up to 1.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Mapping
from math import ceil, log

from dynamiq_recorder.model import Sketch

GAMMA = 1.02
LAST = 65_535
"""Of the buckets, which 16 bits hold."""
_PER_LOG = 1.0 / math.log(GAMMA)
_NUMBER, _COUNT = "H", "I"
_ENTRY = array(_NUMBER).itemsize + array(_COUNT).itemsize


def bucket(duration: int) -> int:
    """The bucket of a duration in microseconds."""
    return min(LAST, ceil(log(duration) * _PER_LOG - 1e-9)) if duration > 1 else 0


def middle(number: int) -> float:
    """What stands for all of a bucket, in microseconds: its harmonic middle, off by less than 1 % from any of them."""
    return 2.0 * GAMMA**number / (GAMMA + 1.0) if number else 1.0


def sketch_of(durations: Iterable[int]) -> Sketch:
    counts: dict[int, int] = {}
    for duration in durations:
        number = bucket(duration)
        counts[number] = counts.get(number, 0) + 1
    return Sketch(counts)


def added(sketches: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """The buckets of all of them together."""
    total: dict[int, int] = {}
    for buckets in sketches:
        add(total, buckets)
    return total


def add(total: dict[int, int], buckets: Mapping[int, int], sign: int = 1) -> None:
    """Adds buckets to a total, or with sign -1 takes them out of it; a bucket that comes to nothing is gone."""
    get = total.get
    for number, count in buckets.items():
        if left := get(number, 0) + sign * count:
            total[number] = left
        else:
            total.pop(number, None)


def quantile(buckets: Mapping[int, int], fraction: float) -> float | None:
    """The duration in microseconds that `fraction` of all take at most; None of nothing."""
    total = sum(buckets.values())
    if total <= 0:
        return None
    wanted = max(1, math.ceil(fraction * total))
    seen = 0
    for number in sorted(buckets):
        seen += buckets[number]
        if seen >= wanted:
            return middle(number)
    return middle(max(buckets))


def packed(buckets: Mapping[int, int]) -> bytes:
    """Bytes for a column: the numbers in order as 16 bits each, then the counts as 32, little-endian."""
    there = sorted((number, count) for number, count in buckets.items() if count > 0)
    halves = array(_NUMBER, [number for number, _ in there]), array(_COUNT, [count for _, count in there])
    return b"".join(_little(half).tobytes() for half in halves)


def unpacked(data: bytes | None) -> dict[int, int]:
    """The buckets that `packed` made bytes of."""
    if not data:
        return {}
    count = len(data) // _ENTRY
    numbers, counts = array(_NUMBER), array(_COUNT)
    numbers.frombytes(data[: count * numbers.itemsize])
    counts.frombytes(data[count * numbers.itemsize :])
    return dict(zip(_little(numbers), _little(counts), strict=True))


def _little(values: array[int]) -> array[int]:
    if sys.byteorder == "big":
        values.byteswap()
    return values
