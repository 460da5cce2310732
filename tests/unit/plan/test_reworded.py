"""A waiting row keeps the message of the older operator while it means the same: an upgrade writes no row."""

from __future__ import annotations

import pytest

from dynamiq_operator.model.base import Condition
from dynamiq_operator.model.guards import GuardReason, Waits
from dynamiq_operator.model.needs import in_order
from dynamiq_operator.model.row import Phase, RowStatus
from dynamiq_operator.plan.guards.reworded import with_former_message
from tests.support import factories as given

UNTIL = "2026-11-30T06:00:00Z"
APPROVE = "it awaits 1 approval (policy production): `kubectl dynamiq approve chat`, by who may, and did not make the row"
NEEDS = "someone other than the author, with the role dynamiq-approver, runs `kubectl dynamiq approve chat -n demo`"
RESUMES = "someone who may deploy runs `kubectl dynamiq resume chat -n demo`"
HELD = "row chat-a (#1) went back, and what Git asks for waits: `kubectl dynamiq resume chat` deploys it, a deploy by hand of another version takes its place"
UNSTAMPED = "no admission policy stamps who makes one (Kubernetes 1.36 or later, manifests/admission)"


def status(message: str, reason: GuardReason = GuardReason.FROZEN) -> RowStatus:
    condition = Condition(type="Succeeded", status="Unknown", reason=reason.value, message=message, last_transition_time=UNTIL)
    return RowStatus(phase=Phase.PENDING, waits=Waits(reason=reason, message=message), conditions=(condition,))


@pytest.mark.parametrize(
    ("before", "needs"),
    [
        (APPROVE, [f"Needs 1 approval (policy production): {NEEDS}"]),
        (
            "it awaits 2 approvals (policies a, b), 1 of them is there: `kubectl dynamiq approve chat`, by who may, and did not make the row",
            [f"Needs 2 approvals (policies a, b), has 1: {NEEDS}"],
        ),
        (f"it awaits 1 approval (policy p), and none counts: {UNSTAMPED}", [f"Needs 1 approval (policy p), and none counts: {UNSTAMPED}"]),
        (
            "App chat is suspended: nothing of it is deployed before `kubectl dynamiq suspend chat --off`",
            ["App chat is suspended: someone who may deploy runs `kubectl dynamiq suspend chat --off -n demo`"],
        ),
        (f"nothing is deployed before {UNTIL} (freeze night of policy p)", [f"Frozen until {UNTIL} (freeze night of policy p)"]),
        (
            f"nothing is deployed before {UNTIL} (freeze night of policy p), and then it waits until somebody resumes it; {APPROVE}",
            [f"Frozen until {UNTIL} (freeze night of policy p), then {RESUMES}", f"Needs 1 approval (policy production): {NEEDS}"],
        ),
        (
            f"freeze night of policy p was over at {UNTIL}: it waits until somebody resumes it, by `kubectl dynamiq resume chat`",
            [f"Freeze night of policy p ended at {UNTIL}: {RESUMES}"],
        ),
        (
            f"freeze night of policy p was over at {UNTIL}: it is deployed within a minute",
            [f"Freeze night of policy p ended at {UNTIL}: this is deployed within a minute"],
        ),
        (
            f"its version has to be live as App chat in staging until {UNTIL} (policy p)",
            [f"Its version has to be live as App chat in staging until {UNTIL} (policy p)"],
        ),
        (HELD, [f"Changes from Git are on hold after the rollback in #1. To apply this one, {RESUMES}"]),
    ],
)
def test_a_reworded_sentence_of_the_same_meaning_is_not_written(before: str, needs: list[str]) -> None:
    was, now = status(before), status(in_order(needs))
    assert with_former_message(was, now, given.NAME, given.NAMESPACE) == was
    uncounted = status(in_order([*needs[:-1], f"{needs[-1]}. The approval by anna does not count: anna is the author"]))
    assert with_former_message(was, uncounted, given.NAME, given.NAMESPACE) == was, "an operator of before did not say that"


@pytest.mark.parametrize(
    "needs",
    [
        [f"Needs 2 approvals (policy production): {NEEDS}"],
        [f"Needs 1 approval (policy other): {NEEDS}"],
        [
            f"Needs 1 approval (policy production): {NEEDS}",
            f"Changes from Git are on hold after the rollback in #1. To apply this one, {RESUMES}",
        ],
    ],
)
def test_a_sentence_of_another_meaning_is_written(needs: list[str]) -> None:
    now = status(in_order(needs))
    assert with_former_message(status(APPROVE), now, given.NAME, given.NAMESPACE) == now
