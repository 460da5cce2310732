"""Asleep Apps are found by the words that the operator writes."""

from __future__ import annotations

from dynamiq_operator.plan.status import conditions
from dynamiq_operator.views.sleep import ASLEEP, is_asleep


def test_an_app_is_asleep_by_the_reason_of_ready() -> None:
    assert ASLEEP == conditions.ASLEEP
    ready = {"type": conditions.READY, "status": "True", "reason": ASLEEP}
    assert is_asleep({"conditions": [{"type": conditions.LIVE, "status": "True", "reason": "Serving"}, ready]})
    for other in ({**ready, "reason": "Serving"}, {**ready, "status": "False"}, {**ready, "type": conditions.SLEEP}):
        assert not is_asleep({"conditions": [other]})
    assert not is_asleep({})
