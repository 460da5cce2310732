"""How rows ended, if their phase does not show it."""

from __future__ import annotations

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.model.endings import Ending, ending, live_reverts
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given

WAITED = [{"reason": "AwaitingApproval", "policy": "production", "approvals": 1}]
RELEASED = given.with_spec(released={"at": "2026-11-24T12:00:00Z", "guards": ["AwaitingApproval"]})
BACK = names.revert_row(given.NAME, "a")


def ended(*modifiers: given.Modifier, name: str = "a") -> Manifest:
    return given.row_manifest(name, *modifiers)


def back(result: str = "Succeeded", source: str = "Revert") -> Manifest:
    return ended(given.pinned(3, "v1", source=source), given.ended(result), name=BACK)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (ended(given.failed(2, reason="rejected by bert: no", guards=WAITED)), Ending.REJECTED),
        (ended(given.failed(2, reason="withdrawn by anna", guards=WAITED)), Ending.WITHDRAWN),
        (ended(given.failed(2, reason="v2 was rejected by bert: it loses invoices", guards=WAITED)), Ending.REJECTED),
        (ended(given.never_deployed(2, reason="v2 was rejected by bert: it loses invoices")), Ending.REJECTED),
        (ended(given.failed(2, reason="its base was rejected by bert", guards=WAITED)), None),
        (ended(given.failed(2, reason="rejected by the API server", guards=WAITED), RELEASED), None),
        (ended(given.failed(2, reason="rejected by the API server")), None),
        (ended(given.failed(2)), None),
        (ended(given.overtaken(2)), Ending.OVERTAKEN),
        (ended(given.superseded(2)), None),
        (ended(given.live(2)), None),
        (ended(given.progressing(2)), None),
        (ended(), None),
    ],
)
def test_the_ending_of_a_row_follows_its_outcome(row: Manifest, expected: Ending | None) -> None:
    assert ending("a", row["spec"]) == expected


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (back(), Ending.REVERTED),
        (back("Overtaken"), None),
        (back("Failed"), None),
        (ended(given.progressing(3, source="Revert"), name=BACK), None),
        (back(source="Record"), None),
        (ended(given.live(3, source="Revert"), name=names.revert_row(given.NAME, "b")), None),
    ],
    ids=["it went live", "overtaken", "failed", "under way", "a row that somebody named so", "of another row"],
)
def test_a_row_is_reverted_if_a_later_row_names_it(later: Manifest, expected: Ending | None) -> None:
    assert ending("a", ended(given.superseded(2))["spec"], live_reverts([later])) == expected


def test_a_row_with_an_unknown_revert_has_it_in_its_own_status() -> None:
    assert ending("a", ended(given.superseded(2))["spec"], noted="Reverted") is Ending.REVERTED
    assert ending("a", ended(given.failed(2))["spec"], noted="Reverted") is None, "a status says nothing that the row contradicts"
