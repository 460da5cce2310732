"""Rows pin whom they may break, and a policy may ask for approvals only for those that may break somebody."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.model.breaking import Compatibility, PinnedContract
from dynamiq_operator.model.contract import Contract, UntoldNode
from dynamiq_operator.model.guards import ApprovalWhen
from dynamiq_operator.model.shapes import Shapes
from dynamiq_operator.plan.guards.now import standing_guards
from dynamiq_operator.plan.observed.contracts import ObservedContracts
from dynamiq_operator.plan.rows.contracts import NOT_COUNTED
from dynamiq_operator.plan.rows.judging import fields_to_count, flows_to_read, rows_to_judge
from tests.support import factories as given
from tests.unit.support.guarded_rows import BERT, GuardedRows

V1, V2 = Contract(reads=("message",)), Contract(reads=("message", "question"))
ASKS_WHERE_BREAKING = {"approvals": {"count": 1, "when": "Breaking"}}


def shapes(sent: int, runs: int = 100) -> Shapes:
    caller = {"key": "web", "trigger": None, "runs": runs, "others": 0, "fields": {"question": {"string": sent}}}
    return Shapes.of({"enabled": True, "days": 7, "recorded": runs, "runs": runs, "callers": [caller]})


def rows_with(contracts: ObservedContracts, **policy: Any) -> GuardedRows:
    """Returns rows of which v1 is live, and then the policy `production`."""
    rows = GuardedRows()
    rows.contracts = contracts
    rows.ask(workflowVersion="v1")
    rows.settle()
    rows.later()
    rows.set_policy("production", **(policy or ASKS_WHERE_BREAKING))
    return rows


def observed(answer: Shapes | None = None, problem: str = "", **by_version: Contract) -> ObservedContracts:
    contracts = {"v1": V1, "v2": V2, **by_version}
    return ObservedContracts({given.flow_hash(version): each for version, each in contracts.items()}, answer, problem)


def contract(rows: GuardedRows, name: str) -> PinnedContract:
    pinned = rows.record(name).pinned
    assert pinned is not None
    assert pinned.contract is not None
    return pinned.contract


def test_a_version_that_breaks_a_caller_needs_an_approval() -> None:
    rows = rows_with(observed(shapes(sent=88)))
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    assert rows.waiting == [row]
    assert rows.why(row).startswith("AwaitingApproval: Needs 1 approval (policy production)")
    assert [each.as_json() for each in contract(rows, row).breaks] == [
        {"kind": "Reads", "name": "question", "runs": 12, "of": 100, "callers": 1}
    ]
    rows.say(row, "Approve", BERT)
    rows.settle()
    assert rows.live == row


def test_a_version_that_breaks_nobody_is_deployed_at_once() -> None:
    rows = rows_with(observed(shapes(sent=100)))
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    assert (rows.live, contract(rows, row).result) == (row, Compatibility.COMPATIBLE)
    assert "guards" not in rows.rows[row]["spec"]["pinned"]


UNTOLD = Contract(reads=("message",), untold=(UntoldNode(node="answer", digest="sha256:" + "1" * 64),))


@pytest.mark.parametrize(
    "contracts",
    [
        observed(problem="the recorder cannot be reached"),
        observed(shapes(sent=100), v2=UNTOLD),
        ObservedContracts({given.flow_hash("v1"): V1}),
        ObservedContracts({given.flow_hash("v2"): V2}, shapes(sent=100)),
    ],
    ids=["recorder away", "cannot be told", "the flow cannot be read", "the live flow cannot be read"],
)
def test_unknown_counts_as_breaking(contracts: ObservedContracts) -> None:
    rows = rows_with(contracts)
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    assert rows.waiting == [row]


def test_what_a_row_pinned_decides_while_it_waits() -> None:
    rows = rows_with(observed(shapes(sent=88)))
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.contracts = observed(shapes(sent=100))
    rows.later(3600)
    rows.settle()
    assert rows.waiting == [row], "callers send the field since, and the row was judged before"
    rows.contracts = ObservedContracts()
    admitted = rows_with(observed(shapes(sent=100)))
    other = admitted.ask(workflowVersion="v2")
    admitted.settle()
    assert admitted.live == other


def test_every_row_needs_an_approval_by_a_policy_without_a_condition() -> None:
    rows = rows_with(observed(shapes(sent=100)), approvals={"count": 1})
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    assert rows.waiting == [row]


def test_a_row_that_only_scales_and_the_first_row_break_nobody() -> None:
    rows = rows_with(observed())
    scaled = rows.ask(workflowVersion="v1", config={"autoscaling": {"minReplicas": 3, "maxReplicas": 4}})
    rows.settle()
    assert rows.live == scaled
    new = GuardedRows()
    new.contracts = observed()
    new.set_policy("production", **ASKS_WHERE_BREAKING)
    first = new.ask(workflowVersion="v2")
    new.settle()
    assert (new.live, contract(new, first).result) == (first, None)


def test_a_rollback_that_breaks_goes_on_and_pins_what_breaks_without_a_count() -> None:
    rows = rows_with(observed(shapes(sent=100)))
    first = rows.live
    rows.ask(workflowVersion="v2")
    rows.settle()
    rows.contracts = observed(shapes(sent=0), v1=V2, v2=V1)
    back = rows.ask(restores=first)
    rows.settle()
    assert rows.live == back
    assert contract(rows, back).unknown == NOT_COUNTED
    assert [each.as_json() for each in contract(rows, back).breaks] == [{"kind": "Reads", "name": "question"}]


def test_a_rollback_that_a_policy_may_block_is_counted() -> None:
    rows = rows_with(observed(shapes(sent=100)))
    first = rows.live
    rows.ask(workflowVersion="v2")
    rows.settle()
    rows.set_policy("production", **ASKS_WHERE_BREAKING, exempt=[])
    rows.contracts = observed(shapes(sent=0), v1=V2, v2=V1)
    back = rows.ask(restores=first)
    rows.settle()
    assert (rows.waiting, contract(rows, back).breaks[0].runs) == ([back], 100)


def test_a_row_pins_no_contract_that_was_not_read() -> None:
    rows = rows_with(ObservedContracts(), approvals={"count": 1})
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    assert "contract" not in rows.rows[row]["spec"]["pinned"]


def test_the_contract_is_part_of_the_digest() -> None:
    digests = set()
    for contracts in (observed(shapes(sent=100)), observed(shapes(sent=88)), ObservedContracts()):
        rows = rows_with(contracts, freezes=[])
        row = rows.ask(workflowVersion="v2")
        rows.settle()
        digests.add(rows.rows[row]["spec"]["pinned"]["digest"])
    assert len(digests) == 3


def test_the_flows_and_fields_of_the_next_row_are_known_before_it_is_pinned() -> None:
    rows = rows_with(observed())
    assert rows_to_judge(rows.context().snapshot, rows.context().app) == ()
    rows.ask(workflowVersion="v2")
    snapshot, app = rows.context().snapshot, rows.context().app
    judged = rows_to_judge(snapshot, app)
    assert [pinned.workflow_version for _, pinned in judged] == ["v2"]
    assert set(flows_to_read(snapshot, app, judged)) == {given.flow_hash("v1"), given.flow_hash("v2")}
    assert fields_to_count(snapshot, app, judged) == ("question",)


def test_no_fields_are_counted_for_a_bypass() -> None:
    rows = rows_with(observed())
    rows.ask(workflowVersion="v2", bypass={"reason": "on fire"})
    snapshot, app = rows.context().snapshot, rows.context().app
    assert fields_to_count(snapshot, app, rows_to_judge(snapshot, app)) == ()


def test_the_apps_guards_tell_the_condition() -> None:
    (guard,) = standing_guards(rows_with(observed()).context())
    assert guard.when is ApprovalWhen.BREAKING
    assert guard.message == "someone else would have to approve it (policy production), if it may break callers or that is unknown"
