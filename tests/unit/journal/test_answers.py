"""Answers to questions: which are taken, and which fields of the others are named as wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dynamiq_recorder.journal.model import Asks, Refused
from tests.support.journal_store import Kept, a_question

PARAMS = {"amount": 40, "to": "ann", "urgent": True}
PARTS = [
    {"id": "size", "header": "Size", "question": "How large?", "options": [{"label": "S"}, {"label": "L", "description": "x"}]},
    {
        "id": "more",
        "question": "What more?",
        "options": [{"label": "a"}, {"label": "b"}],
        "multi_select": True,
        "allow_custom_answer": True,
    },
]
SIZE = {"question_id": "size", "selected": ["S"]}


def test_an_approval_needs_a_yes_or_a_no_and_changes_only_what_may_be_changed(kept: Kept) -> None:
    question = a_question("pay:1", Asks.APPROVAL, params=PARAMS, editable_params=["amount", "note"])

    def refused(**data: Any) -> list[str]:
        with pytest.raises(Refused) as error:
            kept.answer(run_id, kind=Asks.APPROVAL, request_id="pay:1", **data)
        assert error.value.code == "validation_error"
        return list(error.value.details)

    run_id = kept.paused(question)
    assert refused(feedback="yes, I approve") == ["data.is_approved"]
    assert refused(is_approved=True, data={"to": "eve"}) == ["data.data.to"]
    assert refused(is_approved=True, data={"urgent": 1}) == ["data.data.urgent"]
    assert refused(is_approved=True, data={"other": None}) == ["data.data.other"]
    assert refused(is_approved=True, answers=[]) == ["data.answers"]
    with pytest.raises(Refused, match="type: must be approval_request"):
        kept.answer(run_id, request_id="pay:1", feedback="yes")
    assert kept.answer(run_id, kind=Asks.APPROVAL, request_id="pay:1", is_approved=True, data={"amount": 20, "to": "ann", "note": "x"})
    assert not kept.answer(run_id, kind=Asks.APPROVAL, request_id="pay:1", is_approved=True, data={"note": "x", "amount": 20})
    assert kept.event(run_id, "run.input_received") == {"request_id": "pay:1", "type": "approval_request", "is_approved": True, "by": "ann"}
    assert kept.event(run_id, "approval_request.created")["request"]["params"] == PARAMS
    (claim,) = kept.claim()
    stored = {"request_id": "pay:1", "is_approved": True, "data": {"amount": 20, "note": "x"}}
    assert msgspec.json.decode(claim.questions[0].answer or b"") == stored
    assert kept.answer(kept.paused(question), kind=Asks.APPROVAL, request_id="pay:1", is_approved=False, feedback="too much")


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        ({"feedback": "x", "is_approved": True}, "data.is_approved"),
        ({"feedback": None}, "data.answers"),
        ({"answers": []}, "data.answers"),
        ({"answers": [{"question_id": "none", "selected": ["S"]}]}, "data.answers[0].question_id"),
        ({"answers": [SIZE, SIZE]}, "data.answers[1].question_id"),
        ({"answers": [{"question_id": "size", "selected": ["XL"]}]}, "data.answers[0].selected"),
        ({"answers": [{"question_id": "size", "selected": ["S", "L"]}]}, "data.answers[0].selected"),
        ({"answers": [{"question_id": "more", "selected": ["a", "a"]}]}, "data.answers[0].selected"),
        ({"answers": [{"question_id": "size"}]}, "data.answers[0].selected"),
        ({"answers": [{"question_id": "size", "selected": [], "custom_text": "XL"}]}, "data.answers[0].custom_text"),
        ({"answers": [SIZE, {"question_id": "more", "selected": ["a", "b"], "custom_text": "c"}]}, ""),
        ({"feedback": "none of these"}, ""),
    ],
    ids=range(12),
)
def test_structured_questions_take_their_own_options(kept: Kept, data: dict[str, Any], wrong: str) -> None:
    run_id = kept.paused(a_question(questions=PARTS))
    problems: list[str] = []
    try:
        kept.answer(run_id, **data)
    except Refused as refused:
        problems = [refused.code, *refused.details]
    assert problems == (["validation_error", wrong] if wrong else [])


def test_a_question_without_parts_takes_a_text_alone(kept: Kept) -> None:
    run_id = kept.paused(a_question())
    wrong: list[dict[str, Any]] = [{"answers": [SIZE]}, {"feedback": None}]
    for data in wrong:
        with pytest.raises(Refused):
            kept.answer(run_id, **data)
    assert kept.answer(run_id, feedback='<b>"ü"</b> \U0001f600')
    (claim,) = kept.claim()
    assert msgspec.json.decode(claim.questions[0].answer or b"") == {"request_id": "ask:1", "feedback": '<b>"ü"</b> \U0001f600'}
