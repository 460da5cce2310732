"""Tests that the callers whom a new version breaks are those that are told, against both flows run on what the callers send."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import pytest

from dynamiq_operator.model.breaking import Compatibility, JudgedChange, Judgement, judged
from dynamiq_operator.model.contract import ChangeKind, contract_of
from dynamiq_operator.model.shapes import CallerShapes, Shapes
from dynamiq_runtime.shapes import shape_of, text_of
from tests.sdk.support import pairs
from tests.sdk.support.pair_flows import RUNS, SDK, TINY, Call, Pair
from tests.support.preloaded import Preloaded

BREAKING, SAFE = pairs.named(pairs.BREAKING), pairs.named(pairs.SAFE)
EVERY = BREAKING | SAFE
AT_LEAST = {"selectors": 8, "python": 8, "prompts": 8, "agents": 8, "choice": 5, "map": 5}
MOST_UNTOLD = 4
TOLD = (ChangeKind.FAILS, ChangeKind.READS)


@pytest.fixture(scope="module")
def outcomes(sdk: Preloaded, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Provides the outcomes of all runs, by pair and engine."""
    folder = tmp_path_factory.mktemp("pairs")
    variables = {"PATH": os.environ["PATH"], "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    found: dict[str, Any] = json.loads(sdk.run("tests.sdk.support.pair_answers", environment=variables, given="", folder=folder))
    return found


def broken(pair: Pair, outcome: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
    """Returns the runs that only the live flow answered, or that the new one answers differently, by caller."""
    ends = zip(pair.calls, outcome["live"], outcome["new"], strict=True)
    return {call.caller: call.runs for call, live, new in ends if "answer" in live and live != new}


def failed(pair: Pair, outcome: Mapping[str, list[dict[str, Any]]]) -> set[str]:
    """Returns the callers whose runs the new flow fails."""
    return {call.caller for call, new in zip(pair.calls, outcome["new"], strict=True) if "failed" in new}


def judgement(pair: Pair) -> Judgement:
    """Returns what an App's preview tells of the new flow."""
    told = judged(contract_of(pair.live), contract_of(pair.new))
    callers = tuple(_shapes(call, told.fields) for call in pair.calls)
    runs = sum(call.runs for call in pair.calls)
    return told.counted(Shapes(enabled=True, days=7, recorded=runs, runs=runs, callers=callers))


def _shapes(call: Call, fields: tuple[str, ...]) -> CallerShapes:
    """Returns the shapes of a caller's runs, as the recorder counts those that it is asked for."""
    sent = json.loads(text_of(shape_of(call.given)))
    return CallerShapes(call.key, call.trigger, call.runs, 0, {name: {sent[name]: call.runs} for name in fields if name in sent})


def concerned(changes: tuple[JudgedChange, ...], *kinds: ChangeKind) -> dict[str, int]:
    """Returns the runs that changes of these kinds concern, by caller."""
    return {each.trigger or str(each.key): each.runs for change in changes if change.change.kind in kinds for each in change.callers}


@pytest.mark.parametrize("name", [name for name, pair in BREAKING.items() if not pair.is_untold])
def test_the_callers_whom_a_new_flow_breaks_are_told_with_their_runs(name: str, outcomes: dict[str, Any]) -> None:
    pair, outcome = BREAKING[name], outcomes[name][BREAKING[name].engine]
    told = judgement(pair)
    assert concerned(told.changes, *TOLD) == broken(pair, outcome)
    assert set(concerned(told.changes, ChangeKind.FAILS)) <= failed(pair, outcome)
    assert told.result is Compatibility.BREAKING


@pytest.mark.parametrize("name", [name for name, pair in SAFE.items() if not pair.is_untold])
def test_no_run_is_told_of_a_new_flow_that_breaks_no_caller(name: str) -> None:
    told = judgement(SAFE[name])
    assert concerned(told.changes, *TOLD) == {}
    assert not [each.change for each in told.changes if each.change.kind is ChangeKind.CANNOT_TELL]


@pytest.mark.parametrize("name", [name for name, pair in EVERY.items() if pair.is_untold])
def test_a_flow_that_cannot_be_told_is_never_told_as_compatible(name: str, outcomes: dict[str, Any]) -> None:
    pair = EVERY[name]
    told = judgement(pair)
    assert told.result is not Compatibility.COMPATIBLE
    assert concerned(told.changes, *TOLD).items() <= broken(pair, outcomes[name][pair.engine]).items()


def test_at_most_a_few_flows_cannot_be_told() -> None:
    untold = [name for name, pair in EVERY.items() if ChangeKind.CANNOT_TELL in (each.change.kind for each in judgement(pair).changes)]
    print(f"\ncannot be told: {len(untold)} of {len(EVERY)} ({len(untold) / len(EVERY):.0%}): {', '.join(untold)}")
    assert len(untold) <= MOST_UNTOLD


@pytest.mark.parametrize("name", EVERY)
def test_a_pair_breaks_what_it_says_with_each_engine_that_runs_it(name: str, outcomes: dict[str, Any]) -> None:
    pair, by_engine = EVERY[name], outcomes[name]
    assert list(by_engine) == ([TINY, SDK] if pair.engine == TINY else [SDK])
    callers = [broken(pair, outcome) for outcome in by_engine.values()]
    assert bool(callers[0]) == (name in BREAKING)
    assert all(each == callers[0] for each in callers)
    assert pair.live != pair.new


def test_there_are_sixty_pairs_of_all_groups() -> None:
    sizes = {group: len(pairs.BREAKING[group]) + len(pairs.SAFE[group]) for group in AT_LEAST}
    assert len(BREAKING) == len(SAFE) == 30
    assert all(sizes[group] >= least for group, least in AT_LEAST.items())
    assert {call.caller for pair in EVERY.values() for call in pair.calls} == set(RUNS)
    assert all(len(pair.calls) == len(RUNS) for pair in EVERY.values())
