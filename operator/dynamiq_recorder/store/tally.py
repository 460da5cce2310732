"""Computes what runs add to rollups. All measures add up, so deleted or moved runs are subtracted in the same way. It writes none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import add
from typing import Any

from dynamiq_operator.model.runs import NodeStatus, RunStatus
from dynamiq_recorder import sketch
from dynamiq_recorder.model import MICROSECONDS, NO_TOKENS, NodeSums, Run, Sketch, Span, Sums, Tokens
from dynamiq_recorder.sketch import PART, bucket
from dynamiq_recorder.store.database import Cell

MINUTE, HOUR = 60, 3600

KEY = ("app_key", "width", "at", "row_key", "workflow_version", "trigger_name", "status")
TOKENS = (
    *("input_tokens", "input_known", "output_tokens", "output_known"),
    *("cache_read_tokens", "cache_read_known", "cache_write_tokens", "cache_write_known"),
)
# The squares are for the previous recorder, which compares by them: it may run again on the same tables.
MEASURES = (
    *("runs", "duration", *TOKENS, "cost", "cost_known", "unpriced"),
    *("with_tokens", "tokens_squared", "priced", "priced_cost", "priced_cost_squared"),
)
SKETCHES = ("sketch", "cost_sketch", "token_sketch")
"""Columns of sketches. A tally joins them into one of three parts. The cost sketch has the `priced` runs, the token sketch those of
`with_tokens`.
"""
NODE_KEY = ("app_key", "at", "row_key", "node_id", "model")
NODE_MEASURES = ("spans", "failed", "caused", "duration", "own_duration", *TOKENS, "cost", "cost_known", "unpriced")

Measures = list[float]
Buckets = dict[int, int]
Entry = tuple[Measures, Buckets]

_COST, _TOKENS = PART, 2 * PART
_FAILED = NodeStatus.FAILED
_SKIPPED = NodeStatus.SKIPPED
_LEFT_OUT = (RunStatus.REFUSED.value, RunStatus.ABANDONED.value)
_FAILED_STATUSES = (RunStatus.FAILED.value, RunStatus.TIMED_OUT.value, RunStatus.CUT_OFF.value)


class Tally:
    """The additions of a transaction to the rollups, by key: measures, and buckets of durations; for runs also those of cost and tokens."""

    def __init__(self) -> None:
        self._minutes: dict[Cell, Entry] = {}
        self.nodes: dict[Cell, Entry] = {}
        self.names: dict[Cell, str] = {}

    def add(self, run: Run, app: int, row: int | None, sign: int = 1, *, nodes: bool = True) -> None:
        """Adds a run; with sign -1 subtracts it. `nodes`: with its spans."""
        at = run.started_at // (MINUTE * MICROSECONDS) * MINUTE
        key = (app, MINUTE, at, row or 0, run.workflow_version or "", run.trigger or "", run.status._value_)
        entry = self._minutes.get(key)
        if entry is None:
            entry = self._minutes[key] = ([0] * len(MEASURES), {})
        measures, buckets = entry
        measures[0] += sign
        measures[1] += sign * run.duration
        tokens = run.tokens
        if tokens is not NO_TOKENS:
            _count_tokens(measures, 2, tokens, sign)
        cost, unpriced = run.cost, run.unpriced
        if cost is not None:
            measures[10] += sign * cost
            measures[11] += sign
        measures[12] += sign * unpriced
        tokens_in, tokens_out = tokens.input, tokens.output
        if tokens_in is not None or tokens_out is not None:
            amount = (tokens_in or 0) + (tokens_out or 0)
            measures[13] += sign
            measures[14] += sign * float(amount) ** 2
            number = _TOKENS + bucket(amount)
            buckets[number] = buckets.get(number, 0) + sign
        if not unpriced:
            amount = cost or 0
            measures[15] += sign
            measures[16] += sign * amount
            measures[17] += sign * float(amount) ** 2
            number = _COST + bucket(amount)
            buckets[number] = buckets.get(number, 0) + sign
        number = bucket(run.duration)
        buckets[number] = buckets.get(number, 0) + sign
        if nodes and run.spans:
            self._add_nodes(run, app, row or 0, at // HOUR * HOUR, sign)

    def _add_nodes(self, run: Run, app: int, row: int, at: int, sign: int) -> None:
        spans = run.spans
        inside, failed_inside = _inside(spans)
        for span in spans:
            if span.status is _SKIPPED:
                continue
            key = (app, at, row, span.node_id, (span.model or "") if span.is_model else "")
            entry = self.nodes.get(key)
            if entry is None:
                entry = self.nodes[key] = ([0] * len(NODE_MEASURES), {})
            if sign > 0:
                self.names[key] = span.name
            measures, buckets = entry
            measures[0] += sign
            if span.status is _FAILED:
                measures[1] += sign
                if span.span_id not in failed_inside:
                    measures[2] += sign
            duration = span.duration
            measures[3] += sign * duration
            measures[4] += sign * (max(0, duration - inside.get(span.span_id, 0)) if inside else duration)
            if span.is_model:  # a node around a call repeats its tokens, and a cached result has those of another run
                _count_tokens(measures, 5, span.tokens, sign)
                if span.cost is not None:
                    measures[13] += sign * span.cost
                    measures[14] += sign
                else:
                    measures[15] += sign
            number = bucket(duration)
            buckets[number] = buckets.get(number, 0) + sign

    def runs(self) -> Iterator[tuple[Cell, Entry]]:
        """Yields the entries of runs by the minute, then by the hour."""
        yield from self._minutes.items()
        hours: dict[Cell, Entry] = {}
        for (app, _, at, *rest), (measures, buckets) in self._minutes.items():
            key = (app, HOUR, at // HOUR * HOUR, *rest)
            have = hours.get(key)
            if have is None:
                hours[key] = (list(measures), dict(buckets))
            else:
                merge(have, measures, buckets)
        yield from hours.items()

    def apps(self) -> list[int]:
        return sorted({key[0] for key in self._minutes} | {key[0] for key in self.nodes})


def merge(into: Entry, measures: Measures, buckets: Buckets) -> None:
    """Adds an entry to another."""
    into[0][:] = map(add, into[0], measures)
    sketch.add(into[1], buckets)


def _count_tokens(measures: Measures, place: int, tokens: Tokens, sign: int) -> None:
    tokens_in, tokens_out, read, write = tokens.input, tokens.output, tokens.cache_read, tokens.cache_write
    if tokens_in is not None:
        measures[place] += sign * tokens_in
        measures[place + 1] += sign
    if tokens_out is not None:
        measures[place + 2] += sign * tokens_out
        measures[place + 3] += sign
    if read is not None:
        measures[place + 4] += sign * read
        measures[place + 5] += sign
    if write is not None:
        measures[place + 6] += sign * write
        measures[place + 7] += sign


def _inside(spans: tuple[Span, ...]) -> tuple[dict[str, int], set[str]]:
    """Returns by span_id how long the nodes directly inside took in all; and the spans with a failure inside."""
    taken: dict[str, int] = {}
    failed: set[str] = set()
    for span in spans:
        if span.parent_id is not None:
            taken[span.parent_id] = taken.get(span.parent_id, 0) + span.duration
            if span.status is _FAILED:
                failed.add(span.parent_id)
    return taken, failed


class Summed:
    """The rollups of a group, which a reader adds up to Sums."""

    def __init__(self) -> None:
        self._lines: dict[str, list[Sequence[Any]]] = {}

    def add(self, status: str, line: Sequence[Any]) -> None:
        """Adds a line: MEASURES, then as many of SKETCHES as were read."""
        self._lines.setdefault(status, []).append(line)

    def sums(self, *, by_status: bool = False) -> Sums:
        """Returns the Sums. `by_status`: with durations of refused and abandoned runs, too."""
        count = len(MEASURES)
        nothing = [0.0] * count
        by = {status: [*map(sum, zip(*(line[:count] for line in lines), strict=True))] for status, lines in self._lines.items()}
        total = [*map(sum, zip(nothing, *by.values(), strict=True))]
        counted = [*map(sum, zip(nothing, *(each for status, each in by.items() if status not in _LEFT_OUT), strict=True))]
        durations, costs, tokens = self._sketches(by_status=by_status)
        return Sums(
            runs=int(total[0]),
            failed=sum(int(by[status][0]) for status in _FAILED_STATUSES if status in by),
            refused=int(by.get(RunStatus.REFUSED.value, nothing)[0]),
            abandoned=int(by.get(RunStatus.ABANDONED.value, nothing)[0]),
            counted=int(counted[0]),
            duration=int(counted[1]),
            sketch=Sketch(durations),
            input_tokens=_known(total, 2),
            output_tokens=_known(total, 4),
            cache_read_tokens=_known(total, 6),
            cache_write_tokens=_known(total, 8),
            with_tokens=int(counted[13]),
            counted_tokens=int(counted[2] + counted[4]),
            token_sketch=Sketch(tokens),
            cost=_known(total, 10),
            unpriced=int(total[12]),
            priced=int(counted[15]),
            priced_cost=int(counted[16]),
            cost_sketch=Sketch(costs),
        )

    def _sketches(self, *, by_status: bool) -> tuple[Buckets, Buckets, Buckets]:
        """Returns the sketches of durations, cost and tokens.

        It leaves out a sketch of amounts that lacks runs of its line: a recorder without these sketches wrote to that line.
        """
        count = len(MEASURES)
        durations: Buckets = {}
        amounts: tuple[Buckets, Buckets] = ({}, {})
        for status, lines in self._lines.items():
            is_left_out = status in _LEFT_OUT
            for line in lines if by_status or not is_left_out else ():
                sketch.add_packed(durations, line[count])
                for into, data, runs in zip(amounts, line[count + 1 :], (line[15], line[13]), strict=False):
                    if not is_left_out:
                        sketch.add_packed(into, data, runs)
        return durations, *amounts


class SummedNode:
    """The rollups of a node, which a reader adds up to NodeSums."""

    def __init__(self) -> None:
        self._entry: Entry = ([0] * len(NODE_MEASURES), {})

    def add(self, measures: Measures, data: bytes) -> None:
        merge(self._entry, measures, {})
        sketch.add_packed(self._entry[1], data)

    def sums(self, node_id: str, name: str) -> NodeSums:
        measures, buckets = self._entry
        sums = Sums(
            runs=int(measures[0]),
            failed=int(measures[1]),
            counted=int(measures[0]),
            duration=int(measures[3]),
            sketch=Sketch(buckets),
            input_tokens=_known(measures, 5),
            output_tokens=_known(measures, 7),
            cache_read_tokens=_known(measures, 9),
            cache_write_tokens=_known(measures, 11),
            cost=_known(measures, 13),
            unpriced=int(measures[15]),
        )
        return NodeSums(node_id=node_id, name=name, sums=sums, own_duration=int(measures[4]), caused=int(measures[2]))


def _known(measures: Sequence[float], place: int) -> int | None:
    return int(measures[place]) if measures[place + 1] else None
