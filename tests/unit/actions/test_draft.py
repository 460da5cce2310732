"""A draft write that conflicts with another is retried, and never reaches another workflow of the same name."""

from __future__ import annotations

import pytest

from dynamiq_operator.actions.draft import perform_draft, perform_workflow, plan_draft, plan_workflow
from dynamiq_operator.actions.refusals import NotNow, Refusal, Taken, Unknown
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import WORKFLOWS
from tests.support.scripted import Reply, Script, ScriptedApi, failure

PATH = WORKFLOWS.path("demo", "support")
PLAN = plan_draft("demo", "support", "uid-1", {"flow": "{}"})
CONFLICT = failure(409, "Conflict", "the object has been modified")


def there(uid: str) -> dict[str, object]:
    return {"metadata": {"name": "support", "uid": uid}}


def test_a_conflict_is_followed_by_another_try_of_the_same() -> None:
    script = Script().on("GET", PATH, there("uid-1")).on("PATCH", PATH, CONFLICT, CONFLICT, CONFLICT, there("uid-1"))
    assert perform_draft(ScriptedApi(script), PLAN)["metadata"]["uid"] == "uid-1"
    assert script.bodies("PATCH", PATH) == [{"metadata": {"uid": "uid-1"}, "spec": {"flow": "{}"}}] * 4


@pytest.mark.parametrize(("uid", "refusal"), [("uid-2", Unknown), ("uid-1", NotNow)])
def test_a_draft_that_conflicts_every_time_is_refused_with_the_reason(uid: str, refusal: type[Refusal]) -> None:
    script = Script().on("GET", PATH, there(uid)).on("PATCH", PATH, CONFLICT)
    with pytest.raises(refusal):
        perform_draft(ScriptedApi(script), PLAN)


@pytest.mark.parametrize(
    ("patched", "read", "raised"),
    [
        (failure(404, "NotFound"), there("uid-1"), Unknown),
        (failure(403, "Forbidden"), there("uid-1"), errors.Denied),
        (failure(403, "Forbidden"), failure(403, "Forbidden"), Unknown),
        (failure(403, "Forbidden"), failure(404, "NotFound"), Unknown),
        (failure(401, "Unauthorized"), failure(401, "Unauthorized"), errors.Denied),
    ],
)
def test_a_caller_who_may_not_write_learns_no_more_than_they_may_read(patched: Reply, read: Reply, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        perform_draft(ScriptedApi(Script().on("GET", PATH, read).on("PATCH", PATH, patched)), PLAN)


def test_a_workflow_is_made_with_what_was_given_of_it() -> None:
    script = Script().on("POST", WORKFLOWS.path("demo"), there("uid-1"), failure(409, "AlreadyExists"))
    plan = plan_workflow("demo", "support", "nodes: []", description="Answers")
    assert perform_workflow(ScriptedApi(script), plan) == there("uid-1")
    assert script.bodies("POST", WORKFLOWS.path("demo"))[0]["spec"] == {"description": "Answers", "flow": "nodes: []"}
    with pytest.raises(Taken) as taken:
        perform_workflow(ScriptedApi(script), plan)
    assert (taken.value.field, taken.value.reason) == ("name", "taken")
