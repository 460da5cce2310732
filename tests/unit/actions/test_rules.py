"""Previews list the guards that would block a row. Also: suspension, and confirmed rollbacks, which stay rollbacks."""

from __future__ import annotations

import pytest

from dynamiq_operator.actions.confirmed import perform_confirmed
from dynamiq_operator.actions.deploy import DeployRequest, PreviewedDeploy, plan_deploy
from dynamiq_operator.actions.guards import TAKES_EFFECT, read_guards
from dynamiq_operator.actions.promote import PromotionRequest, plan_promotion
from dynamiq_operator.actions.refusals import Changed, Unknown
from dynamiq_operator.actions.suspend import perform_suspension, plan_suspension
from dynamiq_operator.actions.waiting import preview_of as waiting_preview
from dynamiq_operator.kube.resources import APPS, NAMESPACES, ROWS, RUNTIMES, VERSIONS
from dynamiq_operator.model.guards import RowKind
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.scripted import Script, ScriptedApi, Sent, listed
from tests.support.scripted_namespace import CONFLICT, environment, flow_path, holding, lacking
from tests.unit.support import rules

APP = APPS.path(given.NAMESPACE, given.NAME)


def stage(*guards: Manifest, **spec: object) -> Script:
    """Returns a script of an App that serves v2 after v1. These guards would block rows."""
    rows = (given.row_manifest("chat-1", given.superseded(1, "v1")), given.row_manifest("chat-2", given.live(2, "v2")))
    app = given.app_manifest(given.with_status(guards=list(guards)), given.with_spec(**spec))
    script = holding(app, *rows, *(given.version_manifest(version) for version in ("v1", "v2", "v3")))
    return lacking(script, *(flow_path(version) for version in ("v1", "v2", "v3")))


def plan(script: Script, **asked: object) -> PreviewedDeploy:
    return plan_deploy(ScriptedApi(script), DeployRequest(given.NAMESPACE, given.NAME, **asked))  # type: ignore[arg-type]


def held(script: Script, **asked: object) -> list[str]:
    """Returns the reasons for which the row would wait."""
    return [each.reason.value for each in plan(script, **asked).preview.guards]


PROMOTED = {"namespace": "dev", "app": "chat", "row": "chat-9", "hash": given.flow_hash("v3")}


@pytest.mark.parametrize(
    ("asked", "reasons"),
    [
        ({"version": "v3"}, ["AwaitingApproval", "Frozen"]),
        ({"version": "v3", "promoted_from": PROMOTED}, ["AwaitingApproval", "Frozen"]),
        ({"restores": "chat-1"}, ["Frozen"]),
        ({"restores": "chat-1", "config": given.CONFIG}, ["AwaitingApproval", "Frozen"]),
        ({"version": "v3", "bypass_reason": "the shop is down"}, []),
    ],
    ids=["deploy", "promotion", "rollback", "with other scaling it is a deploy", "bypass"],
)
def test_a_preview_says_what_would_hold_such_a_row(asked: Manifest, reasons: list[str]) -> None:
    assert held(stage(rules.WOULD_AWAIT, rules.WOULD_BE_FROZEN), **asked) == reasons


def test_a_bypass_does_not_go_past_a_suspension() -> None:
    assert held(stage(rules.IS_SUSPENDED, rules.WOULD_AWAIT), version="v3", bypass_reason="now") == ["Suspended"]


def test_the_sentences_are_the_operators_own() -> None:
    lines = plan(stage(rules.WOULD_AWAIT), version="v3").preview.lines()
    assert f"  it would wait: {rules.WOULD_AWAIT['message']}" in lines


def with_held_variables(*guards: Manifest) -> Script:
    """Returns a script of an App whose variables were changed and wait for a row."""
    script = stage()
    conditions = [given.VARIABLES_HELD | {"message": "Not in force yet: variables (TONE)"}]
    return script.on("GET", APP, given.stored(given.app_manifest(given.with_status(guards=list(guards), conditions=conditions))))


@pytest.mark.parametrize(
    ("guards", "asked", "brings"),
    [
        ([rules.WOULD_AWAIT], {"version": "v2"}, True),
        ([rules.WOULD_AWAIT], {"version": "v2", "bypass_reason": "the shop is down"}, True),
        ([rules.WOULD_BE_FROZEN], {"version": "v2"}, True),
        ([rules.WOULD_BE_FROZEN], {"restores": "chat-2"}, False),
        ([rules.IS_SUSPENDED], {"version": "v2"}, False),
    ],
    ids=["approved", "bypass", "after a freeze", "a rollback", "only suspended"],
)
def test_a_preview_says_that_held_changes_take_effect(guards: list[Manifest], asked: Manifest, brings: bool) -> None:
    """The App already runs these pins: the deploy that the condition advises must not look like a deploy without changes."""
    preview = plan(with_held_variables(*guards), **asked).preview
    assert (preview.restarts, preview.no_op, TAKES_EFFECT in preview.warnings) == (brings, not brings, brings)


def test_who_approves_is_told_that_held_changes_take_effect() -> None:
    script, waiting = (
        with_held_variables(rules.WOULD_AWAIT),
        given.row_manifest("chat-3", given.pinned(3, "v2", guards=[{"reason": "AwaitingApproval", "approvals": 1}])),
    )
    lines = waiting_preview(ScriptedApi(script), given.stored(waiting)).lines()
    assert f"  {TAKES_EFFECT}" in lines
    assert "  pods are replaced one by one; requests are still answered" in lines


GIT = {"deploy": {"workflowVersion": "v2"}}


@pytest.mark.parametrize("row", [given.live(2, "v2", source="App"), given.asking(createdBy="system:serviceaccount:argocd:controller")])
def test_a_rollback_says_so_where_git_deployed_before(row: given.Modifier) -> None:
    script = stage()
    script.on("GET", ROWS.path(given.NAMESPACE), listed(given.row_manifest("chat-2", given.live(2, "v2"), row)))
    assert plan(script, restores="chat-1").preview.begins_hold


@pytest.mark.parametrize(
    ("spec", "asked", "holds"),
    [
        ({**GIT}, {"restores": "chat-1"}, True),
        ({**GIT}, {"restores": "chat-1", "hold": False}, False),
        ({**GIT, "rollout": {"holdAfterRollback": False}}, {"restores": "chat-1"}, False),
        ({**GIT}, {"version": "v1"}, False),
        ({**GIT}, {"restores": "chat-1", "config": given.CONFIG}, False),
        ({}, {"restores": "chat-1"}, False),
    ],
)
def test_a_rollback_says_that_git_waits_after_it(spec: Manifest, asked: Manifest, holds: bool) -> None:
    preview = plan(stage(**spec), **asked).preview
    assert preview.begins_hold is holds
    assert ("  changes from Git are on hold after it, until somebody resumes them" in preview.lines()) is holds


def test_what_is_asked_of_the_rules_is_in_the_row() -> None:
    record = plan(stage(), restores="chat-1", hold=False, bypass_reason="the shop is down").row
    assert (record["spec"]["hold"], record["spec"]["bypass"]) == (False, {"reason": "the shop is down"})


def test_a_confirmed_rollback_stays_a_rollback() -> None:
    """A rollback with a config would be a deploy, and would wait for guards that exempt rollbacks."""
    script = stage()
    perform_confirmed(ScriptedApi(script), plan(script, restores="chat-1"))
    (sent,) = script.bodies("POST", ROWS.path(given.NAMESPACE))
    assert sent["spec"] == {"app": given.NAME, "restores": "chat-1"}


def test_a_guard_that_came_after_the_preview_is_told_before_anything_is_made() -> None:
    before = plan(stage(), version="v3")
    later = stage(rules.WOULD_AWAIT)
    with pytest.raises(Changed, match="someone else would have to approve it"):
        perform_confirmed(ScriptedApi(later), before)
    assert later.bodies("POST", ROWS.path(given.NAMESPACE)) == []


def test_what_would_hold_each_kind_of_row_now() -> None:
    script = stage(rules.WOULD_AWAIT, rules.IS_SUSPENDED)
    found = read_guards(ScriptedApi(script), given.NAMESPACE, given.NAME)
    assert {kind: len(found.of(kind)) for kind in RowKind} == {
        RowKind.DEPLOY: 2,
        RowKind.PROMOTION: 2,
        RowKind.ROLLBACK: 1,
        RowKind.GIT: 2,
    }


# Suspension.


def patched(script: Script) -> list[Manifest]:
    sent: list[Manifest] = []

    def answer(request: Sent) -> Manifest:
        sent.append(request.body)
        return given.stored(given.app_manifest())

    script.on("PATCH", APP, answer)
    return sent


def test_an_app_is_suspended_and_that_is_taken_off_again() -> None:
    for spec, suspend, sent in (({}, True, True), ({"suspend": True}, False, None)):
        script = stage(**spec)
        bodies = patched(script)
        perform_suspension(ScriptedApi(script), plan_suspension(ScriptedApi(script), given.NAMESPACE, given.NAME, suspend=suspend))
        assert [each["spec"] for each in bodies] == [{"suspend": sent}]
        assert bodies[0]["metadata"] == {"uid": given.an_app().meta.uid}


def test_what_is_so_already_is_not_written() -> None:
    script = stage(suspend=True)
    plan = plan_suspension(ScriptedApi(script), given.NAMESPACE, given.NAME, suspend=True)
    assert plan.lines() == ["chat in demo is suspended already: nothing changes"]
    perform_suspension(ScriptedApi(script), plan)
    assert script.writes() == []


def test_another_app_of_the_name_is_not_suspended() -> None:
    script = stage().on("PATCH", APP, CONFLICT)
    with pytest.raises(Unknown, match="was deleted or replaced"):
        perform_suspension(ScriptedApi(script), plan_suspension(ScriptedApi(script), given.NAMESPACE, given.NAME, suspend=True))


def test_a_first_promotion_says_what_the_policies_of_its_target_ask() -> None:
    """The App does not exist yet. The guards of another App in the target show those that would block it, except that App's own."""
    script = stage()
    guards = [rules.WOULD_AWAIT, rules.IS_SUSPENDED]
    other = given.stored(given.app_manifest(given.in_namespace("prod"), given.with_status(guards=guards), name="other"))
    holding(namespace="prod", script=script).on("GET", APPS.path("prod"), listed(other))
    script.on("GET", NAMESPACES.path("", "prod"), environment("prod", "production")).on(
        "GET", NAMESPACES.path("", given.NAMESPACE), environment(given.NAMESPACE, "staging")
    )
    lacking(script, APPS.path("prod", given.NAME), VERSIONS.path("prod", "chat-v2"))
    script.on("GET", RUNTIMES.path("", given.RUNTIME_NAME), given.stored(given.runtime_manifest()))
    planned = plan_promotion(ScriptedApi(script), PromotionRequest(given.NAMESPACE, given.NAME, target_namespace="prod"))
    assert [each.reason.value for each in planned.preview.guards] == ["AwaitingApproval"]
