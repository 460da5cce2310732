"""Counts durations in logarithmic buckets. Sketches add up bucket by bucket, and quantiles are accurate to 1 %. It stores none.

Bucket i holds durations in (γ^(i-1), γ^i] microseconds with γ = 1.02, bucket 0 all up to 1. Source: DDSketch (Masson, Rim, Lee: VLDB 2019).
"""

from __future__ import annotations

import math
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate
from math import ceil, log

from dynamiq_recorder.model import Sketch

GAMMA = 1.02
LAST = 65_535
"""The last bucket: the largest number of 16 bits."""
PART = LAST + 1
"""Buckets of each part of a joined sketch."""
_PER_LOG = 1.0 / math.log(GAMMA)
_NUMBER, _COUNT = "H", "I"
_ENTRY = array(_NUMBER).itemsize + array(_COUNT).itemsize


def bucket(duration: int) -> int:
    """Returns the bucket of a duration in microseconds."""
    return min(LAST, ceil(log(duration) * _PER_LOG - 1e-9)) if duration > 1 else 0


def middle(number: int) -> float:
    """Returns the value that represents a bucket, in microseconds: its harmonic middle, less than 1 % from any duration in it."""
    return 2.0 * GAMMA**number / (GAMMA + 1.0) if number else 1.0


def sketch_of(durations: Iterable[int]) -> Sketch:
    counts: dict[int, int] = {}
    for duration in durations:
        number = bucket(duration)
        counts[number] = counts.get(number, 0) + 1
    return Sketch(counts)


def added(sketches: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Returns the sum of several sketches, bucket by bucket."""
    total: dict[int, int] = {}
    for buckets in sketches:
        add(total, buckets)
    return total


def add(total: dict[int, int], buckets: Mapping[int, int], sign: int = 1) -> None:
    """Adds buckets to a total, or subtracts them with sign -1. A bucket that reaches 0 is removed."""
    get = total.get
    for number, count in buckets.items():
        if remaining := get(number, 0) + sign * count:
            total[number] = remaining
        else:
            total.pop(number, None)


def quantile(buckets: Mapping[int, int], fraction: float) -> float | None:
    """Returns the duration in microseconds that `fraction` of all durations do not exceed; None if there are none."""
    numbers, ends = cumulated(buckets)
    if not ends:
        return None
    return middle(numbers[bisect_left(ends, min(ends[-1], max(1, ceil(fraction * ends[-1]))))])


def cumulated(buckets: Mapping[int, int]) -> tuple[list[int], list[int]]:
    """Returns the bucket numbers in order, and for each the count up to and including its bucket."""
    numbers = sorted(buckets)
    return numbers, list(accumulate(map(buckets.__getitem__, numbers)))


def packed(buckets: Mapping[int, int]) -> bytes:
    """Serializes buckets for a column: the numbers in order as 16 bits each, then the counts as 32 bits, little-endian."""
    entries = sorted((number, count) for number, count in buckets.items() if count > 0)
    halves = array(_NUMBER, [number for number, _ in entries]), array(_COUNT, [count for _, count in entries])
    return b"".join(_little(half).tobytes() for half in halves)


def unpacked(data: bytes | None) -> dict[int, int]:
    """Parses the bytes of `packed`."""
    return dict(zip(*_halves(data), strict=True)) if data else {}


def add_packed(total: dict[int, int], data: bytes | None, runs: float | None = None) -> None:
    """Adds the buckets in the bytes of `packed`. `runs`: their expected count; with any other count nothing is added."""
    numbers, counts = _halves(data or b"")
    if runs is not None and sum(counts) != runs:
        return
    get = total.get
    for number, count in zip(numbers, counts, strict=True):
        total[number] = get(number, 0) + count


def _halves(data: bytes) -> tuple[array[int], array[int]]:
    count = len(data) // _ENTRY
    numbers, counts = array(_NUMBER), array(_COUNT)
    numbers.frombytes(data[: count * numbers.itemsize])
    counts.frombytes(data[count * numbers.itemsize :])
    return _little(numbers), _little(counts)


def joined(parts: Iterable[bytes | None]) -> dict[int, int]:
    """Joins several sketches without overlap: bucket i of the n-th, from 0, becomes bucket n * PART + i."""
    return {place * PART + number: count for place, data in enumerate(parts) for number, count in unpacked(data).items()}


def parted(buckets: Mapping[int, int], count: int) -> list[bytes]:
    """Splits a joined sketch. Returns the bytes of each of `count` parts."""
    parts: list[dict[int, int]] = [{} for _ in range(count)]
    for number, runs in buckets.items():
        parts[number // PART][number % PART] = runs
    return [packed(part) for part in parts]


def _little(values: array[int]) -> array[int]:
    if sys.byteorder == "big":
        values.byteswap()
    return values
