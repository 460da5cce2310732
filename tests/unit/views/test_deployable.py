"""The obstacles of a row, shown before a rollback to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dynamiq_operator.desired.base import SECRET, ChildKey
from dynamiq_operator.model.guard_objects import Rejection
from dynamiq_operator.model.kinds import REJECTION
from dynamiq_operator.model.objects import Row
from dynamiq_operator.views.deployable import Stock, deployable
from tests.support import factories as given

OLD = given.a_row("chat-a", given.superseded(1, "v1"))
LIVE = given.a_row("chat-b", given.live(2, "v2"))
KEY = {"name": "TOKEN", "secret": {"name": "model", "key": "token"}}
MODEL: ChildKey = (SECRET.kind, "model")
FLOWS = frozenset({given.flow_hash("v1"), given.flow_hash("v2")})
STOCK = Stock(given.an_app(), LIVE, FLOWS, {}, {})
WITH_KEY = replace(STOCK, app=given.an_app(given.with_variables(KEY)), named={MODEL: frozenset({"token"})})
APPROVAL = {"reason": "AwaitingApproval", "message": "production asks for 1 approval", "appliesTo": ["Deploy", "Rollback"]}
FROZEN = {"reason": "Frozen", "message": "weekend until Monday", "appliesTo": ["Deploy"]}

REJECTED = Rejection.of(given.manifest(REJECTION, "no", {"workflowHash": given.flow_hash("v1"), "reason": "loses invoices", "by": "anna"}))


def test_a_complete_row_that_went_live_is_deployable() -> None:
    found = deployable(OLD, WITH_KEY)
    assert (found.ok, found.reasons, found.in_words) == (True, (), "yes")
    assert deployable(OLD, WITH_KEY, warm=True).in_words == "yes, warm"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (given.a_row("chat-c", given.failed(3, "v3")), "row chat-c failed: only a row that went live can be restored"),
        (
            given.a_row("chat-c", given.overtaken(3, "v3")),
            "row chat-c was overtaken before it went live: only a row that went live can be restored",
        ),
        (given.a_row("chat-c", given.progressing(3, "v3")), "row chat-c has not ended yet: only a row that went live can be restored"),
    ],
)
def test_a_row_that_never_went_live_has_only_that_reason(row: Row, why: str) -> None:
    assert deployable(row, replace(STOCK, flows=frozenset(), rejected=None)).reasons == (why,)


def test_every_obstacle_is_a_sentence() -> None:
    app = given.an_app(given.with_variables(KEY), given.with_status(imagePolicy="digest"))
    tagged = given.a_row("chat-a", given.superseded(1, "v1", runtime=given.a_runtime(given.with_image("registry.test/old:1"))))
    found = deployable(tagged, Stock(app, LIVE, frozenset(), {given.flow_hash("v1"): REJECTED}, {MODEL: None}))
    assert found.ok is False
    flow, rejected, image, key = found.reasons
    assert "is in no ConfigMap and no WorkflowVersion" in flow
    assert rejected == "v1 was rejected by anna: loses invoices"
    assert "names its image by a tag (registry.test/old:1), but this cluster requires a digest" in image
    assert key == "variable TOKEN takes key token of Secret model, which does not exist"
    assert found.in_words.startswith("no: the flow of row chat-a")


def test_an_unreadable_requirement_is_unknown_and_not_missing() -> None:
    found = deployable(OLD, replace(WITH_KEY, flows=None, rejected=None, named={}))
    assert found.ok is None
    assert found.reasons == (
        "you may not read whether its flow is kept",
        "you may not read Rejections",
        "you may not read Secret model, which variables name",
    )
    known = deployable(OLD, replace(WITH_KEY, flows=frozenset(), named={}))
    assert known.ok is False, "what is known to be missing is no question any more"


def test_the_live_version_needs_no_key_and_no_rejection_counts() -> None:
    """The live row's pods exist: nothing refuses scaling it."""
    again = given.a_row("chat-c", given.superseded(3, "v2"))
    stock = replace(WITH_KEY, named={MODEL: None}, rejected={given.flow_hash("v2"): REJECTED})
    assert deployable(again, stock).ok is True
    assert deployable(OLD, stock).ok is False


def test_a_deployable_row_has_the_guards_of_its_rollback() -> None:
    app = given.an_app(given.with_status(guards=[APPROVAL, FROZEN]))
    found = deployable(OLD, replace(STOCK, app=app))
    assert found.ok is True
    assert found.as_json()["waits"] == ["production asks for 1 approval"]
    assert found.in_words == "yes, waits: AwaitingApproval"


def test_notes_are_no_obstacle() -> None:
    runtime = given.a_runtime(given.with_image("registry.test/old:1"), name="old")
    row = given.a_row("chat-a", given.superseded(1, "v1", runtime=runtime))
    found = deployable(row, replace(STOCK, deprecated=frozenset({"old"})))
    assert found.ok is True
    assert found.notes == (
        "Runtime old is deprecated",
        "Runtime old names its image by a tag (registry.test/old:1), which may be another image now",
    )
    assert found.in_words == f"yes; {'; '.join(found.notes)}"
    unread = deployable(row, replace(STOCK, deprecated=frozenset({"old"}), rejected=None))
    assert unread.in_words == f"unknown: you may not read Rejections; {'; '.join(found.notes)}"
