"""Formats runs and their figures as text. Pure. It reads the recorder's responses without models, so that the plugin starts fast.

Unknown values are `-`. A cost that is partly unknown begins with ≥.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dynamiq_operator.views.history import duration_in_words

UNKNOWN = "-"
Data = Mapping[str, Any]


def milliseconds(value: float | None) -> str:
    """Returns a duration: `8 ms`, `1.23 s`, `2 min 5 s`."""
    if value is None:
        return UNKNOWN
    if value < 999.5:
        return f"{value:.0f} ms" if value >= 9.5 or value == 0 else f"{value:.1f} ms"
    return f"{value / 1000:.2f} s" if value < 59_995 else duration_in_words(value / 1000)


def dollars(cost: float | None, unpriced: int = 0) -> str:
    """Returns a cost: `$0.0123`, `$12.30`; `≥ $0.0123` if `unpriced` calls have no price."""
    if cost is None:
        return UNKNOWN
    shown = f"${cost:.2f}" if cost >= 10 else f"${cost:.4f}" if cost >= 0.0001 or cost == 0 else f"${cost:.2g}"
    return f"≥ {shown}" if unpriced else shown


def tokens(of: Data) -> str:
    """Returns the tokens of the input and of the output: `1200+300`."""
    inputs, outputs = of.get("input_tokens"), of.get("output_tokens")
    if inputs is None and outputs is None:
        return UNKNOWN
    return f"{UNKNOWN if inputs is None else inputs}+{UNKNOWN if outputs is None else outputs}"


def row_of(run: Data) -> str:
    """Returns the row of a run: `#12`."""
    return f"#{run['sequence']}" if run.get("sequence") else UNKNOWN


def at_second(time: str | None) -> str:
    """Returns an RFC 3339 time without its fraction."""
    return f"{time.partition('.')[0].rstrip('Z')}Z" if time else UNKNOWN


def in_tree(nodes: Sequence[Data]) -> Iterator[tuple[int, Data]]:
    """Yields the nodes of a run with their depth, each below its parent. A node whose parent is missing is at the top."""
    known = {node["span_id"] for node in nodes}
    inside: dict[str | None, list[Data]] = {}
    for node in nodes:
        parent = node.get("parent_id")
        inside.setdefault(parent if parent in known and parent != node["span_id"] else None, []).append(node)
    shown: set[str] = set()
    for begin in (inside.get(None, []), nodes):  # in a circle of parents no node is at the top
        stack = [(0, node) for node in reversed(begin)]
        while stack:
            depth, node = stack.pop()
            if node["span_id"] not in shown:
                shown.add(node["span_id"])
                yield depth, node
                stack += [(depth + 1, child) for child in reversed(inside.get(node["span_id"], []))]


def compared(comparison: Data) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Yields a line for each figure of a comparison: name, the row's value, the other row's, ratio, 95 % interval, result."""
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
    """Returns the result of a comparison in words: `too few runs`."""
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
