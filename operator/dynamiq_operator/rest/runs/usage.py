"""Parses the product's parameters of metrics: two times and a Go duration. All three are required where one of them is used."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from fractions import Fraction

from dynamiq_operator.model.runs import POINTS_MOST, WIDEST, MetricsInterval
from dynamiq_operator.rest.http.errors import invalid_request
from dynamiq_operator.rest.parts.times import moment
from dynamiq_operator.rest.runs.filters import Pairs, written

INTERVAL = rf"^({'|'.join(MetricsInterval)}|([0-9]{{1,9}}(\.[0-9]{{1,9}})?[hms])+)$"
INTERVAL_MOST = 64
_PART = re.compile(r"([0-9.]+)([hms])")
_SECONDS = {"h": 3600, "m": 60, "s": 1}
_WRITE = "write a Go duration of whole minutes, such as 90m, 1h, 24h or 168h"


def is_product(start_time: str | None, end_time: str | None, interval: str | None) -> bool:
    """Returns True if a request uses the product's parameters, or one of them."""
    return start_time is not None or end_time is not None or (interval is not None and interval not in set(MetricsInterval))


def usage_pairs(start_time: str | None, end_time: str | None, interval: str | None, others: Iterable[str]) -> Pairs:
    """Returns the recorder's parameters. `others`: the request's parameters that the product does not have.

    Raises HttpProblem 422 with each wrong field.
    """
    if mixed := [(name, "this does not go with start_time, end_time and an interval such as 1h: use one kind") for name in others]:
        raise invalid_request(mixed)
    named = {"start_time": start_time, "end_time": end_time, "interval": interval}
    if missing := [(name, f"give all three: {', '.join(named)}") for name, value in named.items() if value is None]:
        raise invalid_request(missing)
    begin, end, width = moment("start_time", start_time), moment("end_time", end_time), _width(interval or "")
    assert begin is not None and end is not None  # noqa: S101, PT018 - neither text is None
    _check(begin, end, width)
    return [("from", written(begin)), ("to", written(end)), ("seconds", str(width))]


def _check(begin: datetime, end: datetime, width: int) -> None:
    if begin >= end:
        raise invalid_request([("start_time", "this must be before end_time")])
    # The recorder begins with the whole minute or hour.
    first = begin.timestamp() // (unit := 60 if width % 3600 else 3600) * unit
    if end.timestamp() - first > POINTS_MOST * width:
        raise invalid_request([("interval", f"choose a longer interval: there are at most {POINTS_MOST} buckets")])


def _width(text: str) -> int:
    """Returns the seconds of a Go duration. Raises HttpProblem 422."""
    if text in set(MetricsInterval):
        raise invalid_request([("interval", f"{_WRITE}: {text} goes with from and to")])
    seconds = sum(Fraction(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if seconds % 60 or not 60 <= seconds <= WIDEST:
        raise invalid_request([("interval", f"{_WRITE}, of at most {WIDEST // 3600}h")])
    return int(seconds)
