"""The diff of two flows: as correct as any other, and fast whatever the flows contain."""

from __future__ import annotations

import json
import random
import re

import pytest

from dynamiq_operator.views.flow_diff import READABLE_MOST, flow_diff, readable
from tests.unit.support.work import steps

LARGEST = 900 * 1024
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


def _applied(before: list[str], diff: tuple[str, ...]) -> list[str]:
    """Applies a diff to the lines before it, and returns the result. Its hunks have to match their places."""
    made, at = list[str](), 0
    for line in diff[2:]:
        if (hunk := HUNK.fullmatch(line)) is not None:
            begin = int(hunk[1]) - (hunk[2] != "0")
            made += before[at:begin]
            at = begin
        elif line[0] == "+":
            made.append(line[1:])
        else:
            assert before[at] == line[1:]
            made += [line[1:]] if line[0] == " " else []
            at += 1
    return made + before[at:]


@pytest.mark.parametrize("seed", range(40))
def test_a_diff_makes_one_flow_of_the_other(seed: int) -> None:
    by_chance = random.Random(seed)  # noqa: S311 - no secret
    before = [by_chance.choice("abcdefgh") for _ in range(by_chance.randrange(60))]
    after = list(before)
    for _ in range(by_chance.randrange(1, 6)):
        at = by_chance.randrange(len(after) + 1)
        after[at : at + by_chance.randrange(4)] = [by_chance.choice("abcdwxyz") for _ in range(by_chance.randrange(4))]
    diff = flow_diff("\n".join(before), "\n".join(after), "v1", "v2")
    if before != after:
        assert diff[:2] == ("--- v1", "+++ v2")
        assert _applied(before, diff) == after


def test_a_small_change_of_a_large_flow_is_a_small_diff() -> None:
    lines = [f"line {number}" for number in range(50_000)]
    changed = [*lines[:100], "new", *lines[100:40_000], *lines[40_001:]]
    diff = flow_diff("\n".join(lines), "\n".join(changed), "v1", "v2")
    assert [line for line in diff[2:] if line[0] in "+-"] == ["+new", "-line 40000"]


def test_flows_made_to_be_compared_for_hours_are_compared_in_the_time_of_a_few() -> None:
    """Each of many lines is frequent, but not so frequent that difflib ignores it."""

    def work(lines: int, kinds: int) -> int:
        by_chance = random.Random(lines)  # noqa: S311 - no secret
        before, after = ("\n".join(f"{by_chance.randrange(kinds):05}" for _ in range(lines)) for _ in range(2))
        diff: list[str] = []
        count = steps(lambda: diff.extend(flow_diff(before, after, "v1", "v2")))
        assert _applied(before.splitlines(), tuple(diff)) == after.splitlines()
        return count

    usual = work(3000, 150)
    assert work(LARGEST // 6, 150) < 20 * usual


def test_a_flow_that_would_be_mostly_indentation_is_left_as_it_is() -> None:
    deep = "{" + '"a":' + "[" * 190 + ",".join("1" for _ in range(LARGEST // 2 - 400)) + "]" * 190 + "}"
    assert len(deep) < LARGEST
    assert readable(deep) == [deep]
    usual = json.dumps({"nodes": [{"id": f"node-{number}", "depends": []} for number in range(5000)]})
    assert 15_000 < sum(map(len, readable(usual))) < READABLE_MOST
    assert len(readable(usual)) > 5000


def test_a_flow_nested_too_deeply_for_a_parser_is_compared_as_text() -> None:
    deep = '{"a":' + "[" * 100_000
    assert flow_diff(deep, "{}", "v1", "v2") == ("--- v1", "+++ v2", "@@ -1 +1 @@", f"-{deep}", "+{}")
