"""Figures of capacity: what is measured at each size, one slope for each factor, and what the slopes give for more Apps.

`docs/measured/capacity.txt` has them in sections of lines, `NAME = VALUE UNIT`, and docs/capacity.md shows what stands there: `python -m
tests.support.capacity_figures` writes the tables anew, and a unit test fails where they say anything else than the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MEASURED, PAGE = REPOSITORY / "docs" / "measured" / "capacity.txt", REPOSITORY / "docs" / "capacity.md"
BEGIN, END = "<!-- figures: python -m tests.support.capacity_figures -->\n", "<!-- end of figures -->\n"
NOT_MEASURED = "Not measured yet: there is no `docs/measured/capacity.txt`. This part of the page says nothing until there is.\n"
SLOPES, ARITHMETIC = "slopes", "arithmetic, not measured: "
MANY = 10_000
"""Apps for which the slopes are extended."""
_SECTION, _LINE = re.compile(r"^\[(.+)\]$"), re.compile(r"^(\S.*?) = (\S.*)$")


@dataclass(frozen=True)
class Size:
    """`apps` that serve; of each, `rows`, `releases` with a flow of `flow_kib`, and `large` ones with a flow of `large_kib`."""

    apps: int
    rows: int
    releases: int = 5
    flow_kib: int = 40
    large: int = 0
    large_kib: int = 200

    @property
    def flows_mib(self) -> float:
        """Of all releases together."""
        return self.apps * (self.releases * self.flow_kib + self.large * self.large_kib) / 1024

    def __str__(self) -> str:
        each = [f"{self.rows} rows", f"{self.releases} releases of {self.flow_kib} KiB"]
        each += [f"{self.large} of {self.large_kib} KiB"] if self.large else []
        return f"{self.apps} Apps, each with {', '.join(each)}"


@dataclass(frozen=True)
class Figure:
    """`grows`: with the number of Apps, so that a slope tells of more of them."""

    name: str
    unit: str
    words: str
    grows: bool = True


FIGURES = (
    Figure("operator.start.seconds", "s", "Operator: from its start until it leads and no App waits"),
    Figure("operator.start.requests", "requests", "Operator: requests until then"),
    Figure("operator.start.cpu", "s", "Operator: CPU until then"),
    Figure("operator.memory.peak", "MiB", "Operator: most memory until then"),
    Figure("operator.memory.rest", "MiB", "Operator: memory at rest"),
    Figure("operator.rest.cpu", "s/min", "Operator: CPU at rest, lists of everything left out"),
    Figure("operator.rest.requests", "requests/s", "Operator: requests at rest", grows=False),
    Figure("operator.list.cpu", "s", "Operator: CPU of one list of everything"),
    Figure("deploy.p50", "ms", "Deploy: from the row's POST until it is Live, at rest, p50", grows=False),
    Figure("deploy.p95", "ms", "Deploy: the same, p95", grows=False),
    Figure("api.start.seconds", "s", "API: from its start until it is ready"),
    Figure("api.memory.peak", "MiB", "API: most memory"),
    Figure("api.memory.rest", "MiB", "API: memory at rest"),
    Figure("api.rest.cpu", "s/min", "API: CPU at rest"),
    Figure("api.rest.requests", "requests/s", "API: requests at rest", grows=False),
    Figure("api.apps.p95", "ms", "API: a page of Apps of a project with a tenth of them, p95"),
    Figure("api.rows.p95", "ms", "API: a page of rows of an App, p95", grows=False),
    Figure("gate.memory.peak", "MiB", "Gate: most memory, no App asleep"),
    Figure("gate.rest.cpu", "s/min", "Gate: CPU at rest"),
    Figure("gate.rest.requests", "requests/s", "Gate: requests at rest", grows=False),
    Figure("kube-apiserver.memory", "MiB", "Kubernetes' API server: memory"),
    Figure("etcd.memory", "MiB", "etcd: memory"),
    Figure("etcd.size", "MiB", "etcd: size of its database"),
    Figure("etcd.bytes.app", "B", "etcd: an App", grows=False),
    Figure("etcd.bytes.row", "B", "etcd: a row", grows=False),
    Figure("etcd.bytes.release", "B", "etcd: a WorkflowVersion with its flow", grows=False),
)
Values = Mapping[str, float]
Point = tuple[Size, Values]


def lines(values: Values) -> Iterator[str]:
    """What was measured, or calculated, of some of the figures."""
    return (f"{each.name} = {_number(values[each.name])} {each.unit}" for each in FIGURES if each.name in values)


def section(size: Size, values: Values) -> list[str]:
    """What was measured at a size."""
    return [f"[{size}]", *lines(values)]


def conclusions(few: Point, more: Point, rows: Point, flows: Point) -> list[str]:
    """Slopes between sizes that differ in one factor each, and what the first of them gives for `MANY` Apps.

    `more` has more Apps than `few`, `rows` more rows of each App than `more`, and `flows` larger ones than `rows`.
    """
    found = [f"[{SLOPES}]"]
    per_app: dict[str, float] = {}
    for figure in FIGURES:
        if not figure.grows:
            continue
        per_app[figure.name] = slope = _slope(few, more, figure, more[0].apps - few[0].apps)
        found.append(f"{figure.name} of no App = {_number(few[1][figure.name] - few[0].apps * slope)} {figure.unit}")
        found.append(f"{figure.name} per App = {_small(slope, figure.unit)}")
        per_row = _slope(more, rows, figure, rows[0].apps * rows[0].rows - more[0].apps * more[0].rows)
        found.append(f"{figure.name} per row = {_small(per_row, figure.unit)}")
        per_flow = _slope(rows, flows, figure, flows[0].flows_mib - rows[0].flows_mib)
        found.append(f"{figure.name} per MiB of flow = {_small(per_flow, figure.unit)}")
    left = MANY - more[0].apps
    extended = {name: max(more[1][name] + left * slope, 0.0) for name, slope in per_app.items()}
    size = Size(MANY, more[0].rows, more[0].releases, more[0].flow_kib)
    return [*found, "", f"[{ARITHMETIC}{size}]", *lines(extended)]


def parse(text: str) -> dict[str, dict[str, str]]:
    """The sections of a log by their titles, and in each the figures as they are written. Other lines are for people."""
    found: dict[str, dict[str, str]] = {}
    here: dict[str, str] | None = None
    for line in text.splitlines():
        if title := _SECTION.match(line):
            here = found[title[1]] = {}
        elif here is not None and (said := _LINE.match(line)):
            here[said[1]] = said[2]
    return found


def tables(text: str | None) -> str:
    """What docs/capacity.md says of a log, or that there is none."""
    if text is None:
        return f"\n{NOT_MEASURED}\n"
    found = parse(text)
    slopes = found.pop(SLOPES, {})
    extended = {title: found.pop(title) for title in [*found] if title.startswith(ARITHMETIC)}
    made = ["", "### Measured", "", *_sizes(found), ""]
    made += ["### One slope for each factor", "", *_slopes(slopes), ""]
    for title, values in extended.items():
        made += [f"### {title[0].upper()}{title[1:]}", "", "| | |", "|---|--:|"]
        made += [f"| {each.words} | {values[each.name]} |" for each in FIGURES if each.name in values]
        made.append("")
    return "\n".join(made) + "\n"


def with_tables(page: str, text: str | None) -> str:
    """The page with what a log says in its place."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{tables(text)}{END}{after}"


def measured() -> str | None:
    """The log; None where nothing was measured yet."""
    return MEASURED.read_text() if MEASURED.exists() else None


def _sizes(found: Mapping[str, Mapping[str, str]]) -> list[str]:
    head = [f"| | {' | '.join(found)} |", f"|---|{'--:|' * len(found)}"]
    rows = [(each.words, [values.get(each.name, "not measured") for values in found.values()]) for each in FIGURES]
    return [*head, *(f"| {words} | {' | '.join(cells)} |" for words, cells in rows)]


def _slopes(found: Mapping[str, str]) -> list[str]:
    factors = ("of no App", "per App", "per row", "per MiB of flow")
    head = [f"| | {' | '.join(factors)} |", f"|---|{'--:|' * len(factors)}"]
    cells = [(each.words, [found.get(f"{each.name} {factor}", "not measured") for factor in factors]) for each in FIGURES if each.grows]
    return [*head, *(f"| {words} | {' | '.join(values)} |" for words, values in cells)]


def _slope(before: Point, after: Point, figure: Figure, factor: float) -> float:
    return (after[1][figure.name] - before[1][figure.name]) / factor


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}"


def _small(value: float, unit: str) -> str:
    """A slope, in a unit in which it can be read."""
    smaller = {"MiB": (1024, "KiB"), "s": (1000, "ms"), "s/min": (1000, "ms/min")}
    factor, name = smaller.get(unit, (1, unit))
    return f"{value * factor:.3g} {name}" if abs(value * factor) < 1000 else f"{value * factor:.0f} {name}"


def main() -> None:
    """Writes the tables of docs/capacity.md anew."""
    PAGE.write_text(with_tables(PAGE.read_text(), measured()))


if __name__ == "__main__":
    main()
