"""The pages on capacity have the figures of the measured log and the limits of the code, and no others."""

from __future__ import annotations

import re

import pytest
import yaml

from dynamiq_operator.controller.defaults import RELIST_PERIOD
from dynamiq_operator.controller.reconciling.workers import RESYNC_PERIOD
from dynamiq_operator.gate.callers import UNTAKEN
from dynamiq_operator.gate.forwarding import KERNEL
from dynamiq_operator.gate.limits import AHEAD, ANSWERED, CALL, CONNECTION, OWN, Limits
from dynamiq_operator.kube.resources import WATCHED
from dynamiq_operator.kube.watching import WATCH_FOR
from tests.soak import capacity_figures as figures
from tests.soak.capacity_figures import FIGURES, MANY, PAGE, REPOSITORY, Size

TASKS, DETAILS = REPOSITORY / "docs" / "capacity.md", REPOSITORY / "docs" / "capacity-details.md"
UNITS = r"(?:KiB|MiB/s|MiB|GiB|ms|s|min|%|kinds|requests a second)"
SAID = re.compile(rf"(?<![\w.,])(\d[\d,.]*) ({UNITS})\b")
NUMBER = re.compile(r"(?<![\w.])-?\d[\d.]*(?:e[+-]\d+)?")
NAMESPACED = sum(resource.namespaced for resource in WATCHED)
FLOWS = MANY * 10 * 40 / 2**20
"""GiB of 10 releases of 40 KiB."""


def gate_memory() -> dict[str, float]:
    """Returns the page's figures about parts of the gate's memory, with the code's values, and the measured ones."""
    limits = Limits.within(1 << 30, 1000, 5000, 1 << 30)
    parts = {
        "calls": limits.calls,
        "connections": limits.connections * CONNECTION,
        "heads": limits.heads,
        "runs": limits.runs,
        "answers": limits.answers,
    }
    own = (1 << 30) // 4
    claims = {
        "256 MiB": own >> 20,
        "128 MiB": OWN >> 20,
        "336 MiB": parts["calls"] >> 20,
        "64 MiB": parts["runs"] >> 20,
        "54 MiB": parts["heads"] >> 20,
        "967 MiB": (own + sum(parts.values())) / (1 << 20),
        "57 MiB": ((1 << 30) - own - sum(parts.values())) / (1 << 20),
        "8 KiB": CONNECTION >> 10,
        "32 KiB": CALL >> 10,
        "320 KiB": AHEAD >> 10,
        "128 KiB": 2 * KERNEL >> 10,
    }
    assert (parts["connections"], parts["answers"], UNTAKEN, ANSWERED) == (OWN, OWN, AHEAD, CONNECTION)
    return {**claims, **{each: float(each.split()[0].replace(",", "")) for each in MEASURED}}


MEASURED = (
    *("74 MiB", "13 KiB", "200 MiB", "56 KiB", "1 MiB", "448 KiB"),
    *(
        "5 KiB",
        "61 KiB",
        "131 KiB",
        "12 KiB",
        "11 KiB",
        "141 KiB",
        "140 KiB",
        "47 KiB",
        "148 KiB",
        "1,016 KiB",
        "24 KiB",
        "22 KiB",
        "74 KiB",
        "298 KiB",
    ),
)
"""Figures on the page that `python -m tests.bench.gate_memory` measured, and what they describe."""
AT_MANY = next(found for size, found in figures.parse(figures.measured() or "").items() if size.apps == MANY)
LIMITS = {
    "40 KiB": 40,
    "3.8 GiB": FLOWS,
    "2 GiB": 2,
    "8 GiB": 8,
    "600 s": RELIST_PERIOD,
    "6.5 MiB/s": FLOWS * 1024 / RELIST_PERIOD,
    "3 s": RESYNC_PERIOD,
    "15 s": 15,
    "30,000 s": MANY * RESYNC_PERIOD,
    "6 s": WATCH_FOR,
    "20 kinds": len(WATCHED),
    "17 kinds": NAMESPACED,
    "29 requests a second": (len(WATCHED) - NAMESPACED + 10 * NAMESPACED) / WATCH_FOR,
    "284 requests a second": (len(WATCHED) - NAMESPACED + 100 * NAMESPACED) / WATCH_FOR,
    "20 requests a second": 20,
    "512 MiB": 512,
    "1 GiB": 1,
    "2 KiB": 2,
    "376 MiB": AT_MANY["operator.memory.peak"],
    "209 MiB": AT_MANY["api.memory.peak"],
    "11 GiB": AT_MANY["kube-apiserver.memory"] / 1024,
    "10 s": 10,  # this and the next four were measured once, at 10,000 Apps
    "2 s": 2,
    "190 s": 190,
    "1.3 s": 1.3,
    "25 MiB": 25,
    **gate_memory(),
}
"""The page's limits of the code and of Kubernetes, with their values. Every other figure has to be measured."""
FEW, HALF = Size(1000, 20), Size(500, 20)
SIZES = (FEW, Size(3000, 20), HALF, Size(500, 60), Size(500, 60, large=2))


def values(first: float) -> dict[str, float]:
    return {each.name: first + number for number, each in enumerate(FIGURES)}


@pytest.fixture
def log() -> str:
    """Returns a log with figures of each size, as the measuring program writes it."""
    points = [(size, values(first)) for size, first in zip(SIZES, (100.0, 300.0, 60.0, 80.0, 177.65625), strict=True)]
    lines = [line for size, found in points for line in ("", *figures.section(size, found), "What is new was written in 9 s.")]
    return "\n".join(["make soak: Kubernetes", *lines])


def test_the_page_has_the_figures_of_the_log_and_no_others() -> None:
    page = PAGE.read_text()
    assert page == figures.with_tables(page, figures.measured()), "python -m tests.soak.capacity_figures writes them anew"


def test_limits_named_on_the_page_are_those_of_the_code() -> None:
    before, _, rest = PAGE.read_text().partition(figures.BEGIN)
    text = " ".join((TASKS.read_text() + DETAILS.read_text() + before + rest.partition(figures.END)[2]).split())
    amounts = {f"{number} {unit}" for number, unit in SAID.findall(text)}
    assert amounts == set(LIMITS)
    for each in amounts:
        number = each.split()[0].replace(",", "")
        digits = len(number.partition(".")[2])
        assert f"{LIMITS[each]:.{digits}f}" == number, each


def test_the_limits_of_memory_are_those_of_the_manifests() -> None:
    found = {}
    for name in ("base", "api", "gate"):
        manifest = yaml.safe_load((REPOSITORY / "manifests" / name / "deployment.yaml").read_text())
        found[name] = manifest["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
    assert found == {"base": "512Mi", "api": "512Mi", "gate": "1Gi"}


def test_every_figure_of_what_was_measured_stands_in_the_log(log: str) -> None:
    tables, _, _ = figures.tables(log).partition("### One slope")
    assert set(NUMBER.findall(tables)) - set(NUMBER.findall(log)) == set()
    for size in SIZES:
        assert str(size) in tables
    assert f"{figures.NO_VALUE} |" not in figures.tables(log)


def test_an_unmeasured_figure_is_left_out_and_marked(log: str) -> None:
    without = [line for line in log.splitlines() if not line.startswith("gate.")]
    assert "| Gate: most memory" not in figures.tables("\n".join(without))
    more = ["", "[2000 Apps, each with 1 rows, 1 releases of 1 KiB]", "gate.memory.peak = 7.0 MiB"]
    (line,) = (each for each in figures.tables("\n".join([*without, *more])).splitlines() if each.startswith("| Gate: most memory"))
    assert [each.strip() for each in line.split("|")[2:-1]] == [*[figures.NO_VALUE] * len(SIZES), "7.0"]
    assert "Not measured yet" in figures.tables(None)


def test_slopes_have_one_factor_each_and_are_extended_by_the_one_of_apps(log: str) -> None:
    tables = figures.tables(log)
    (start,) = (line for line in tables.partition("### One slope")[2].partition("### Arithmetic")[0].splitlines() if "no App waits" in line)
    cells = [each.strip() for each in start.split("|")[2:-1]]
    assert cells == [
        "0.0 s",
        "100 ms",  # 200 s more for 2,000 Apps more
        "1 ms",  # 20 s more for 20,000 rows more
        "500 ms",  # 97.7 s more for 195.3 MiB more
    ]
    _, _, extended = tables.partition(f"### Arithmetic, not measured: {Size(10_000, 20)}")
    assert "until it leads and no App waits | 1000 s |" in extended, "300 s for 3,000 Apps, and 100 ms for each of 7,000"
    assert "Deploy" not in extended, "it does not grow with Apps"


def test_a_slope_without_two_sizes_is_not_measured(log: str) -> None:
    tables = figures.tables("\n".join(log.partition(f"[{HALF}]")[0].splitlines()))
    (start,) = (line for line in tables.partition("### One slope")[2].partition("### Arithmetic")[0].splitlines() if "no App waits" in line)
    assert [each.strip() for each in start.split("|")[2:-1]] == ["0.0 s", "100 ms", figures.NO_VALUE, figures.NO_VALUE]


def test_nothing_is_extended_once_as_many_apps_were_measured(log: str) -> None:
    lines = ["", *figures.section(Size(MANY, 20, 2, 2), values(1.0))]
    assert "Arithmetic" in figures.tables(log)
    assert "Arithmetic" not in figures.tables("\n".join([log, *lines]))


def test_a_size_names_its_objects_and_the_share_of_flows() -> None:
    assert str(SIZES[-1]) == "500 Apps, each with 60 rows, 5 releases of 40 KiB, 2 of 200 KiB"
    assert [Size.of(str(size)) for size in SIZES] == list(SIZES)
    assert FEW.flows_mib == pytest.approx(195.3, abs=0.1)
