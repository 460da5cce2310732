"""Releasing a draft, or a given flow, as the next version of its workflow."""

from __future__ import annotations

import pytest

from dynamiq_operator.actions.refusals import BrokenFlow, NotNow, Unknown
from dynamiq_operator.actions.release import TRIES, perform_release, plan_release
from dynamiq_operator.kube.resources import VERSIONS, WORKFLOWS
from tests.support import factories as given
from tests.support.scripted import ScriptedApi
from tests.support.scripted_namespace import EXISTS, created, holding, lacking

PATH = VERSIONS.path(given.NAMESPACE)


def test_the_first_release_of_a_draft() -> None:
    script = holding(given.workflow_manifest())
    plan = plan_release(ScriptedApi(script), given.NAMESPACE, given.NAME)
    assert (plan.before, plan.version, plan.is_no_op, plan.flow_diff) == (None, "v1", False, ())
    assert plan.lines() == ["chat in demo", "  version  (none) → v1"]
    assert script.writes() == []
    made = perform_release(ScriptedApi(script), plan)
    assert script.bodies("POST", PATH) == [plan.manifest]
    assert made["spec"] == {"workflow": given.NAME, "version": "v1", "flow": given.flow("draft"), "description": "Answers questions"}


def test_a_release_shows_the_changes_since_the_former_version() -> None:
    releases = [given.version_manifest(version) for version in ("v9", "v10")]
    plan = plan_release(ScriptedApi(holding(given.workflow_manifest(), *releases)), given.NAMESPACE, given.NAME, description="Faster")
    assert (plan.before, plan.version, plan.is_no_op) == ("v10", "v11", False)
    assert any("draft" in line for line in plan.lines())
    assert plan.manifest["spec"]["description"] == "Faster"


def test_a_release_without_changes_is_a_no_op() -> None:
    same = given.version_manifest("v1", given.with_spec(flow=given.flow("draft")))
    plan = plan_release(ScriptedApi(holding(given.workflow_manifest(), same)), given.NAMESPACE, given.NAME)
    assert plan.is_no_op
    assert "nothing changed since v1" in "\n".join(plan.lines())


def test_a_flow_that_is_given_takes_one_read() -> None:
    script = holding(given.version_manifest("v1"))
    flow = given.flow("another")
    plan = plan_release(ScriptedApi(script), given.NAMESPACE, given.NAME, flow=flow, is_compared=False)
    assert (plan.before, plan.version, plan.flow_diff) == ("v1", "v2", ())
    assert len(script.sent) == 1
    assert plan.manifest["spec"] == {"workflow": given.NAME, "version": "v2", "flow": flow}


def test_a_flow_that_cannot_run_is_released_by_force_alone() -> None:
    """A version never changes: one that cannot run would be listed for good."""
    script = holding(
        given.workflow_manifest(given.with_spec(flow="nodes: [{id: a, type: dynamiq.nodes.utils.Output, depends: [{node: b}]}]"))
    )
    with pytest.raises(BrokenFlow, match='node "a" depends on "b", which is not in the flow') as broken:
        plan_release(ScriptedApi(script), given.NAMESPACE, given.NAME)
    assert (broken.value.field, script.writes()) == ("flow", [])
    plan = plan_release(ScriptedApi(script), given.NAMESPACE, given.NAME, force=True)
    assert plan.lines()[-1] == '  node "a" depends on "b", which is not in the flow'
    assert perform_release(ScriptedApi(script), plan)["spec"]["version"] == "v1"


def test_a_number_that_was_taken_meanwhile_is_passed_over() -> None:
    script = holding(given.workflow_manifest())
    api = ScriptedApi(script)
    plan = plan_release(api, given.NAMESPACE, given.NAME)
    holding(given.version_manifest("v1"), script=script).on("POST", PATH, EXISTS, created)
    assert perform_release(api, plan)["metadata"]["name"] == "chat-v2"
    script.on("POST", PATH, EXISTS)
    with pytest.raises(NotNow, match="somebody else is releasing chat"):
        perform_release(api, plan)
    assert len(script.bodies("POST", PATH)) == 2 + TRIES


@pytest.mark.parametrize(("others", "says"), [(["other"], "workflows there: other"), ([], "there are none")])
def test_a_workflow_that_is_not_there(others: list[str], says: str) -> None:
    script = holding(*(given.workflow_manifest(name=name) for name in others))
    with pytest.raises(Unknown, match=says):
        plan_release(ScriptedApi(lacking(script, WORKFLOWS.path(given.NAMESPACE, given.NAME))), given.NAMESPACE, given.NAME)
