"""Whom a version may break: its new reads are counted in the shapes of recorded runs, and unknown is never told as compatible."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from dynamiq_operator.model.breaking import Compatibility, Judgement, judged, of_pins
from dynamiq_operator.model.contract import AnsweredField, Contract, DeclaredField, UntoldNode
from dynamiq_operator.model.guards import RowOf
from dynamiq_operator.model.shapes import Shapes

LIVE = Contract(reads=("message",))
ASKS = Contract(reads=("message", "question"))
FAILS = Contract(reads=("message", "question"), needs=("question",))
DECLARED = partial(DeclaredField, type="string", required=True)
AGAINST = RowOf(row="chat-a", sequence=3)
TEXT = {"string": 1}


def caller(runs: int, *, key: str | None = None, trigger: str | None = None, others: int = 0, **fields: dict[str, int]) -> dict[str, Any]:
    return {"key": key, "trigger": trigger, "runs": runs, "others": others, "fields": fields}


def shapes(*callers: dict[str, Any], recorded: int | None = None, enabled: bool = True) -> Shapes:
    runs = sum(each["runs"] for each in callers)
    return Shapes.of(
        {"enabled": enabled, "days": 7, "recorded": runs if recorded is None else recorded, "runs": runs, "callers": list(callers)}
    )


NIGHTLY = caller(300, trigger="nightly", key="jobs")
WEB = caller(700, key="web", question={"string": 688})


def test_a_new_read_names_the_callers_that_do_not_send_the_field() -> None:
    judgement = judged(LIVE, ASKS).counted(shapes(WEB, NIGHTLY))
    assert judgement.result is Compatibility.BREAKING
    assert judgement.lines("v3") == [
        "v3 reads `question`, which 312 of the last 1,000 runs (7 days) did not send: trigger nightly (300), key web (12)"
    ]


def test_a_field_without_which_runs_fail_is_told_so() -> None:
    assert judged(LIVE, FAILS).counted(shapes(NIGHTLY)).lines("v3") == [
        "v3 fails without `question`, which 300 of the last 300 runs (7 days) did not send: trigger nightly (300)"
    ]


def test_a_new_read_that_every_run_sent_breaks_nobody() -> None:
    judgement = judged(LIVE, ASKS).counted(shapes(caller(20, key="web", question={"string": 20})))
    assert judgement.result is Compatibility.COMPATIBLE
    assert judgement.lines("v3") == ["v3 reads `question`: all of the last 20 runs (7 days) sent it"]


def test_null_counts_as_not_sent() -> None:
    judgement = judged(LIVE, ASKS).counted(shapes(caller(20, key="web", question={"null": 5, "string": 15})))
    assert "which 5 of the last 20 runs" in judgement.lines("v3")[0]


def test_many_callers_are_shown_with_the_rest_by_number() -> None:
    every = [caller(count, key=f"k{count}") for count in range(1, 9)]
    assert judged(LIVE, ASKS).counted(shapes(*every)).lines("v3") == [
        "v3 reads `question`, which 36 of the last 36 runs (7 days) did not send: "
        "key k8 (8), key k7 (7), key k6 (6), key k5 (5), key k4 (4), 3 more callers (6)"
    ]


def test_a_public_apps_callers_have_no_key() -> None:
    assert "callers without a key (2)" in judged(LIVE, ASKS).counted(shapes(caller(2))).lines("v3")[0]


@pytest.mark.parametrize(
    ("known", "why"),
    [
        (shapes(), "no run of the last 7 days was recorded"),
        (shapes(enabled=False), "the App records no shapes (spec.runs.shapes)"),
        (shapes(recorded=40), "40 of the last 40 runs have no recorded shape: their pods run an older Runtime"),
        (None, "the recorder does not answer"),
    ],
)
def test_what_was_not_counted_is_unknown(known: Shapes | None, why: str) -> None:
    judgement = judged(LIVE, ASKS).counted(known)
    assert judgement.result is Compatibility.UNKNOWN
    assert judgement.lines("v3") == ["v3 reads `question`", f"how many callers it may break is unknown: {why}"]


def test_before_it_is_counted_a_new_read_is_unknown() -> None:
    assert judged(LIVE, ASKS).result is Compatibility.UNKNOWN


def test_runs_without_a_shape_make_a_clean_count_unknown_if_they_are_many() -> None:
    sent = caller(90, key="web", question={"string": 90})
    assert judged(LIVE, ASKS).counted(shapes(sent, recorded=95)).result is Compatibility.COMPATIBLE
    assert judged(LIVE, ASKS).counted(shapes(sent, recorded=120)).result is Compatibility.UNKNOWN


def test_runs_with_more_fields_than_are_recorded_are_unknown_and_not_missing() -> None:
    judgement = judged(LIVE, ASKS).counted(shapes(caller(10, key="web", others=10)))
    assert judgement.result is Compatibility.UNKNOWN
    assert judgement.lines("v3") == [
        "v3 reads `question`: 10 of the last 10 runs (7 days) had more fields than are recorded, and may have sent it; the others sent it"
    ]


def test_more_fields_than_the_recorder_counts_are_unknown_and_not_missing() -> None:
    many = Contract(
        reads=tuple(f"field{each:03}" for each in range(100)), declares=tuple(DECLARED(name=f"other{each:03}") for each in range(100))
    )
    judgement = judged(LIVE, many).counted(shapes(WEB))
    assert judgement.result is Compatibility.UNKNOWN
    assert judgement.why_unknown == "200 fields changed, and at most 128 are counted"


def test_a_node_that_cannot_be_told_is_never_compatible() -> None:
    untold = Contract(reads=("message",), untold=(UntoldNode(node="answer", digest="sha256:" + "1" * 64),))
    judgement = judged(LIVE, untold).counted(shapes(WEB))
    assert judgement.result is Compatibility.UNKNOWN
    assert judgement.lines("v3") == ["cannot be told for node `answer` of v3: it may read other fields than the live version"]
    assert judged(untold, untold).result is Compatibility.COMPATIBLE, "the same node reads the same"


def test_a_flow_that_cannot_be_read_is_unknown() -> None:
    assert judged(None, LIVE).result is Compatibility.UNKNOWN
    assert judged(LIVE, None).lines("v3") == ["cannot be told for v3: its flow cannot be read"]


def test_declared_fields_are_counted_and_told_as_declared() -> None:
    required = Contract(reads=("message",), declares=(DeclaredField(name="tier", type="string", required=True),))
    assert judged(LIVE, required).counted(shapes(NIGHTLY)).lines("v3") == [
        "declared: `tier` is required now, which 300 of the last 300 runs (7 days) did not send: trigger nightly (300)"
    ]
    number, text = (Contract(declares=(DeclaredField(name="n", type=kind),)) for kind in ("number", "string"))
    typed = judged(text, number).counted(shapes(caller(5, key="web", n={"string": 2, "number": 3})))
    assert typed.lines("v3") == ["declared: `n` is of type number now, which 2 of the last 5 runs (7 days) sent another type: key web (2)"]


@pytest.mark.parametrize(
    ("sent", "others", "result", "told"),
    [
        ({"number": 5}, 0, Compatibility.COMPATIBLE, ": no run of the last 5 runs (7 days) sent another type"),
        ({}, 0, Compatibility.COMPATIBLE, ": no run of the last 5 runs (7 days) sent another type"),
        ({"number": 4}, 3, Compatibility.UNKNOWN, None),
        ({"number": 5}, 3, Compatibility.COMPATIBLE, ": no run of the last 5 runs (7 days) sent another type"),
    ],
    ids=["sent", "not sent", "maybe left out", "others left out"],
)
def test_a_type_that_is_declared_anew_breaks_only_runs_that_sent_another_one(
    sent: dict[str, int], others: int, result: Compatibility, told: str | None
) -> None:
    number, text = (Contract(declares=(DeclaredField(name="n", type=kind),)) for kind in ("number", "string"))
    judgement = judged(text, number).counted(shapes(caller(5, key="web", others=others, n=sent)))
    told = (
        told or ": 1 of the last 5 runs (7 days) had more fields than are recorded, and may have sent another type; no other run sent one"
    )
    assert judgement.result is result
    assert judgement.lines("v3") == [f"declared: `n` is of type number now{told}"]


def test_a_field_that_is_no_longer_answered_breaks() -> None:
    before, after = (Contract(answers=tuple(AnsweredField(name=each) for each in names)) for names in (("text", "sources"), ("text",)))
    assert judged(before, after).result is Compatibility.BREAKING
    assert judged(before, after).lines("v3") == ["v3 no longer answers `sources`"]
    untold = judged(before, Contract())
    assert (untold.result, untold.lines("v3")) == (Compatibility.UNKNOWN, ["cannot be told what v3 answers"])


def test_a_field_that_is_no_longer_read_is_a_note() -> None:
    judgement = judged(ASKS, LIVE)
    assert (judgement.result, judgement.lines("v3")) == (Compatibility.COMPATIBLE, ["v3 no longer reads `question`"])


def test_what_a_row_pins_has_counts_and_no_caller() -> None:
    pinned = judged(LIVE, ASKS).counted(shapes(WEB, NIGHTLY)).pins(ASKS, AGAINST)
    assert pinned.as_json() == {
        "reads": ["message", "question"],
        "needs": [],
        "defaults": [],
        "declares": [],
        "untold": [],
        "form": 2,
        "result": "Breaking",
        "against": {"row": "chat-a", "sequence": 3},
        "breaks": [{"kind": "Reads", "name": "question", "runs": 312, "of": 1000, "callers": 2}],
    }
    told = of_pins(pinned)
    assert told.result is Compatibility.BREAKING
    assert told.lines("v3") == ["v3 reads `question`, which 312 of the last 1,000 runs (7 days) did not send: 2 callers (312)"]


def test_what_a_row_pins_without_a_count_stays_unknown() -> None:
    pinned = judged(LIVE, ASKS).counted(None, "the recorder cannot be reached").pins(ASKS, AGAINST)
    assert (pinned.result, pinned.unknown) == (Compatibility.UNKNOWN, "the recorder cannot be reached")
    assert of_pins(pinned).result is Compatibility.UNKNOWN


def test_a_row_that_pinned_unknown_stays_unknown_though_the_counted_runs_sent_all() -> None:
    counted = judged(LIVE, ASKS).counted(shapes(caller(20, key="web", question={"string": 20}), recorded=40))
    told = of_pins(counted.pins(ASKS, AGAINST))
    assert (counted.result, told.result) == (Compatibility.UNKNOWN, Compatibility.UNKNOWN)
    assert told.lines("v3") == [
        "how many callers it may break is unknown: 20 of the last 40 runs have no recorded shape: their pods run an older Runtime"
    ]


def test_the_first_row_of_an_app_can_break_nobody() -> None:
    assert Judgement(()).pins(ASKS, None).result is None


@pytest.mark.parametrize("data", [{}, {"callers": 7}, [], None, {"enabled": True, "days": 7, "recorded": 1, "runs": 1, "callers": [{}]}])
def test_an_answer_of_another_shape_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="no answer about shapes"):
        Shapes.of(data)
