"""Computes figures of capacity: the measures at each size, one slope for each factor, and an extrapolation to more Apps.

`docs/measured/capacity.txt` and `capacity-many.txt` have the measures, in sections of lines, `NAME = VALUE UNIT`. docs/capacity-measured.md shows these and the rest: `python
-m tests.soak.capacity_figures` writes its tables again. A unit test fails if they differ from the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MEASURED = tuple(REPOSITORY / "docs" / "measured" / f"{name}.txt" for name in ("capacity", "capacity-many"))
PAGE = REPOSITORY / "docs" / "capacity-measured.md"
BEGIN, END = "<!-- figures: python -m tests.soak.capacity_figures -->\n", "<!-- end of figures -->\n"
NOT_MEASURED = "Not measured yet: there is no `docs/measured/capacity.txt`. This part of the page says nothing until there is.\n"
NO_VALUE = "-"
MANY = 10_000
"""Apps for which the slopes are extended."""
_SECTION, _LINE = re.compile(r"^\[(.+)\]$"), re.compile(r"^(\S+) = (\S+) \S+$")
_SIZE = re.compile(r"(\d+) Apps, each with (\d+) rows, (\d+) releases of (\d+) KiB(?:, (\d+) of (\d+) KiB)?")


@dataclass(frozen=True)
class Size:
    """The number of `apps` that serve; for each, of `rows`, of `releases` with a flow of `flow_kib`, and of `large` ones with `large_kib`."""

    apps: int
    rows: int
    releases: int = 5
    flow_kib: int = 40
    large: int = 0
    large_kib: int = 200

    @classmethod
    def of(cls, title: str) -> Size:
        """Parses the title of a section. Raises ValueError."""
        if (match := _SIZE.fullmatch(title)) is None:
            raise ValueError(f"{title} is no size")
        return cls(*(int(each) for each in match.groups() if each is not None))

    @property
    def flows_mib(self) -> float:
        """Returns the size of all releases together."""
        return self.apps * (self.releases * self.flow_kib + self.large * self.large_kib) / 1024

    def __str__(self) -> str:
        each = [f"{self.rows} rows", f"{self.releases} releases of {self.flow_kib} KiB"]
        each += [f"{self.large} of {self.large_kib} KiB"] if self.large else []
        return f"{self.apps} Apps, each with {', '.join(each)}"


@dataclass(frozen=True)
class Figure:
    """A measured figure. `grows`: it grows with the number of Apps, so a slope extrapolates it."""

    name: str
    unit: str
    words: str
    grows: bool = True


FIGURES = (
    Figure("operator.start.seconds", "s", "Operator: from its start until it leads and no App waits"),
    Figure("operator.leads.seconds", "s", "Operator: from its start until it leads"),
    Figure("operator.bare.seconds", "s", "A client: lists and decodes what the operator watches", grows=False),
    Figure("operator.start.requests", "requests", "Operator: requests until then"),
    Figure("operator.start.cpu", "s", "Operator: CPU until then"),
    Figure("operator.memory.peak", "MiB", "Operator: most memory until then"),
    Figure("operator.memory.rest", "MiB", "Operator: memory at rest"),
    Figure("operator.rest.cpu", "s/min", "Operator: CPU at rest, lists of everything left out"),
    Figure("operator.rest.requests", "requests/s", "Operator: requests at rest", grows=False),
    Figure("operator.scrape.cpu", "s", "Operator: CPU of one scrape of its metrics"),
    Figure("operator.list.cpu", "s", "Operator: CPU of one list of everything"),
    Figure("deploy.p50", "ms", "Deploy: from the row's POST until it is Live, at rest, p50", grows=False),
    Figure("deploy.p95", "ms", "Deploy: the same, p95", grows=False),
    Figure("api.bare.seconds", "s", "A client: lists and decodes what the API keeps", grows=False),
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
FACTORS = ("of no App", "per App", "per row", "per MiB of flow")


def section(size: Size, values: Values) -> list[str]:
    """Returns the lines of the measures at a size."""
    return [f"[{size}]", *(f"{each.name} = {_number(values[each.name])} {each.unit}" for each in FIGURES if each.name in values)]


def parse(text: str) -> dict[Size, Values]:
    """Parses the measures of each size in a log. Other lines are for people. Raises ValueError for a section without a size."""
    values_by_size: dict[Size, Values] = {}
    current: dict[str, float] | None = None
    for line in text.splitlines():
        if title := _SECTION.match(line):
            current = {}
            values_by_size[Size.of(title[1])] = current
        elif current is not None and (match := _LINE.match(line)):
            current[match[1]] = float(match[2])
    return values_by_size


def slopes(values: Mapping[Size, Values]) -> dict[tuple[str, str], float]:
    """Returns the slopes of growing figures, by name and factor, between the largest two sizes that differ in that factor alone."""
    known: dict[tuple[str, str], float] = {}
    for factor, field in zip(FACTORS[1:], ("apps", "rows", "large"), strict=True):
        if (pair := _pair(values, field)) is None:
            continue
        before, after = pair
        more = {
            "apps": after.apps - before.apps,
            "rows": after.apps * (after.rows - before.rows),
            "large": after.flows_mib - before.flows_mib,
        }
        for each in FIGURES:
            if each.grows and each.name in values[before] and each.name in values[after]:
                known[each.name, factor] = slope = (values[after][each.name] - values[before][each.name]) / more[field]
                if field == "apps":
                    known[each.name, FACTORS[0]] = values[before][each.name] - before.apps * slope
    return known


def extended(values_by_size: Mapping[Size, Values]) -> tuple[Size, Values] | None:
    """Extrapolates the slopes of Apps to `MANY` of them. None if so many were measured, or if there are no two suitable sizes."""
    if any(size.apps >= MANY for size in values_by_size) or (pair := _pair(values_by_size, "apps")) is None:
        return None
    _, largest = pair
    known, added = slopes(values_by_size), MANY - largest.apps
    values = {
        name: max(values_by_size[largest][name] + added * slope, 0.0) for (name, factor), slope in known.items() if factor == FACTORS[1]
    }
    return replace(largest, apps=MANY), values


def _pair(sizes: Iterable[Size], field: str) -> tuple[Size, Size] | None:
    """Returns the largest two sizes that differ in this field alone, the smaller one first."""
    by_size = sorted(sizes, key=lambda size: (size.apps, size.rows, size.large))
    for after in reversed(by_size):
        alike = [
            each for each in by_size if getattr(each, field) < (most := getattr(after, field)) and replace(each, **{field: most}) == after
        ]
        if alike:
            return alike[-1], after
    return None


def tables(text: str | None) -> str:
    """Returns the text of docs/capacity-measured.md for a log, or for no log."""
    if text is None:
        return f"\n{NOT_MEASURED}\n"
    values_by_size = parse(text)
    lines = ["", "### Measured", "", *_measured(values_by_size), ""]
    lines += ["### One slope for each factor", "", *_slopes(slopes(values_by_size)), ""]
    if (more := extended(values_by_size)) is not None:
        size, values = more
        lines += [f"### Arithmetic, not measured: {size}", "", "| | |", "|---|--:|"]
        lines += [f"| {each.words} | {_number(values[each.name])} {each.unit} |" for each in FIGURES if each.name in values]
        lines.append("")
    return "\n".join(lines) + "\n"


def with_tables(page: str, text: str | None) -> str:
    """Returns the page with the tables of a log."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{tables(text)}{END}{after}"


def measured() -> str | None:
    """Returns the logs as one text; None if nothing was measured yet."""
    return "\n".join(log.read_text() for log in MEASURED if log.exists()) or None


def _measured(values_by_size: Mapping[Size, Values]) -> list[str]:
    def cell(each: Figure, values: Values) -> str:
        return _number(values[each.name]) if each.name in values else NO_VALUE

    known = {name for values in values_by_size.values() for name in values}
    lines = ((f"{each.words}, {each.unit}", map(partial(cell, each), values_by_size.values())) for each in FIGURES if each.name in known)
    return _table(map(str, values_by_size), lines)


def _slopes(known: Mapping[tuple[str, str], float]) -> list[str]:
    def cell(each: Figure, factor: str) -> str:
        if (slope := known.get((each.name, factor))) is None:
            return NO_VALUE
        return f"{_number(slope)} {each.unit}" if factor == FACTORS[0] else _small(slope, each.unit)

    names = {name for name, _ in known}
    return _table(FACTORS, ((each.words, map(partial(cell, each), FACTORS)) for each in FIGURES if each.name in names))


def _table(head: Iterable[str], lines: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    columns = list(head)
    first = [f"| | {' | '.join(columns)} |", f"|---|{'--:|' * len(columns)}"]
    return [*first, *(f"| {words} | {' | '.join(cells)} |" for words, cells in lines)]


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}"


def _small(value: float, unit: str) -> str:
    """Returns a slope in a readable unit."""
    smaller = {"MiB": (1024, "KiB"), "s": (1000, "ms"), "s/min": (1000, "ms/min")}
    factor, name = smaller.get(unit, (1, unit))
    return f"{value * factor:.3g} {name}" if abs(value * factor) < 1000 else f"{value * factor:.0f} {name}"


def main() -> None:
    """Writes the tables of docs/capacity-measured.md again."""
    PAGE.write_text(with_tables(PAGE.read_text(), measured()))


if __name__ == "__main__":
    main()
