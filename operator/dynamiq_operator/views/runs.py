"""Runs and their figures as text. Pure; it reads the recorder's answers as they are, without models: the plugin starts with it.

What is not known is `-`, and a cost of which a part is not known begins with ≥.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dynamiq_operator.views.history import duration_in_words

UNKNOWN = "-"
Data = Mapping[str, Any]


def milliseconds(value: float | None) -> str:
    """A duration: `8 ms`, `1.23 s`, `2 min 5 s`."""
    if value is None:
        return UNKNOWN
    if value < 999.5:
        return f"{value:.0f} ms" if value >= 9.5 or value == 0 else f"{value:.1f} ms"
    return f"{value / 1000:.2f} s" if value < 59_995 else duration_in_words(value / 1000)


def dollars(cost: float | None, unpriced: int = 0) -> str:
    """A cost: `$0.0123`, `$12.30`; `≥ $0.0123` where `unpriced` calls have no price."""
    if cost is None:
        return UNKNOWN
    shown = f"${cost:.2f}" if cost >= 10 else f"${cost:.4f}" if cost >= 0.0001 or cost == 0 else f"${cost:.2g}"
    return f"≥ {shown}" if unpriced else shown


def tokens(of: Data) -> str:
    """Tokens of the input and of the output: `1200+300`."""
    given, made = of.get("input_tokens"), of.get("output_tokens")
    if given is None and made is None:
        return UNKNOWN
    return f"{UNKNOWN if given is None else given}+{UNKNOWN if made is None else made}"


def row_of(run: Data) -> str:
    """The row of a run: `#12`."""
    return f"#{run['sequence']}" if run.get("sequence") else UNKNOWN


def at_second(time: str | None) -> str:
    """An RFC 3339 time without its fraction."""
    return f"{time.partition('.')[0].rstrip('Z')}Z" if time else UNKNOWN


def in_tree(nodes: Sequence[Data]) -> Iterator[tuple[int, Data]]:
    """The nodes of a run with their depth, each below the one that it ran inside of; one whose parent is not there stands at the top."""
    known = {node["span_id"] for node in nodes}
    inside: dict[str | None, list[Data]] = {}
    for node in nodes:
        parent = node.get("parent_id")
        inside.setdefault(parent if parent in known and parent != node["span_id"] else None, []).append(node)
    shown: set[str] = set()
    for begin in (inside.get(None, []), nodes):  # in a circle of parents nobody is at the top
        left = [(0, node) for node in reversed(begin)]
        while left:
            depth, node = left.pop()
            if node["span_id"] not in shown:
                shown.add(node["span_id"])
                yield depth, node
                left += [(depth + 1, child) for child in reversed(inside.get(node["span_id"], []))]


def compared(comparison: Data) -> Iterator[tuple[str, str, str, str, str, str]]:
    """The figures of a comparison, a line each: name, the row's, the other row's, ratio, 95 % interval, verdict."""
    row, base = comparison["deployment"]["figures"], (comparison.get("baseline") or {}).get("figures")
    yield "runs", str(row["runs"]), str(base["runs"]) if base else UNKNOWN, "", "", ""
    for name, title in (("p50_ms", "p50"), ("p95_ms", "p95"), ("failure_rate", "failed"), ("cost_usd", "cost"), ("tokens", "tokens")):
        figure = comparison.get(name)
        if figure is None:
            yield title, UNKNOWN, UNKNOWN, "", "", ""
            continue
        value, before = (_figure(name, figure[side]) for side in ("value", "baseline"))
        ratio = UNKNOWN if figure["ratio"] is None else f"{figure['ratio']:.2f}"
        yield title, value, before, ratio, _interval(name, figure), verdict(figure["verdict"])


def verdict(word: str) -> str:
    """A verdict in words: `too few runs`."""
    return word.replace("_", " ")


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return UNKNOWN
    if name.endswith("_ms"):
        return milliseconds(value)
    if name == "failure_rate":
        return f"{100 * value:.1f} %"
    return dollars(value) if name == "cost_usd" else f"{value:.0f}"


def _interval(name: str, figure: Data) -> str:
    low, high = figure["low"], figure["high"]
    if low is None or high is None:
        return UNKNOWN
    if name == "failure_rate":
        return f"{100 * low:+.1f} to {100 * high:+.1f} points"
    return f"{low:.2f} to {high:.2f}"
