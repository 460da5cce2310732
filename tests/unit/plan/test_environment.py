"""The variables, access and recording of pods while only rows may change them: the approved or applied ones, and no others.

Other changes must not bring unapproved ones: of the strategy, of the network, of the workload itself.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from dynamiq_operator.desired.gate_slice import read_note
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.gates import GateNote
from dynamiq_operator.model.objects import format_time
from tests.support import factories as given
from tests.support.world import BAD_NAME
from tests.unit.support.production import Production, tone

CHANGED = {"variables": tone("rude"), "access": {"type": "public"}, "runs": {"content": True}}
"""An environment that nobody has approved."""


def live_and_held(strategy: str = "Rolling", *, approved: bool = True) -> Production:
    """Returns a world whose row `a` is live, and whose App's environment was changed later."""
    world = Production(given.with_variables(*tone("kind")), given.with_spec(rollout={"strategy": strategy}), approvals=approved)
    if approved:
        world.deploy_approved("a")
    else:
        world.deploy("a", "v1")
        world.run()
        world.rule(approvals={"count": 1})
        world.run()
    world.patch(**CHANGED)
    world.run()
    assert world.tones == ["kind"]
    assert world.condition("VariablesHeld") == ("True", "AwaitsRow")
    return world


def frozen(world: Production) -> None:
    world.freeze()


def suspended(world: Production) -> None:
    world.patch(suspend=True)


def unreadable(world: Production) -> None:
    world.rule(unreadable="it is away")


def as_it_is(_: Production) -> None:
    """Changes nothing: rows need an approval."""


@pytest.mark.parametrize("rule", [as_it_is, frozen, suspended, unreadable])
@pytest.mark.parametrize(("strategy", "other"), [("Rolling", "Switch"), ("Switch", "Rolling")])
@pytest.mark.parametrize("approved", [True, False], ids=["approved", "of before the policy"])
def test_another_strategy_applies_no_held_variables(strategy: str, other: str, approved: bool, rule: Callable[[Production], None]) -> None:
    world = live_and_held(strategy, approved=approved)
    before = world.environments
    rule(world)
    world.run()
    world.patch(rollout={"strategy": other})
    world.run()
    assert len(world.workloads) == 1
    assert (names.workload(given.NAME) in world.workloads) is (other == "Rolling"), "the change of strategy itself goes on"
    assert world.environments == before
    assert world.condition("VariablesHeld") == ("True", "AwaitsRow")
    assert world.condition("Ready")[0] == "True"


def test_the_status_names_held_changes_and_the_command_that_applies_them() -> None:
    world = live_and_held()
    assert world.held() == (
        "Not in force yet: variables (TONE), access, runs. To apply them: `kubectl dynamiq deploy chat -n demo`. Else set them back"
    )
    world.patch(variables=tone("kind"), access={"type": "private"}, runs={"content": False})
    world.run()
    assert world.held() == ""


@pytest.mark.parametrize("rule", [frozen, suspended, unreadable])
def test_the_status_shows_that_changes_without_an_approval_apply_by_themselves(rule: Callable[[Production], None]) -> None:
    world = live_and_held(approved=False)
    world.rule()
    rule(world)
    world.patch(**CHANGED)
    world.run()
    assert "They take effect without a deploy once the App is not suspended, no freeze is on" in world.held()
    world.rule()
    world.patch(suspend=False)
    world.run()
    assert (world.tones, world.held()) == (["rude"], "")


@pytest.mark.parametrize("approved", [True, False], ids=["approved", "of before the policy"])
@pytest.mark.parametrize("strategy", ["Rolling", "Switch"])
def test_a_deleted_workload_is_not_made_with_held_variables(strategy: str, approved: bool) -> None:
    world = live_and_held(strategy, approved=approved)
    world.delete_workloads()
    world.run()
    assert world.workloads == {}
    assert (world.condition("VariablesHeld"), world.condition("Ready")) == (("True", "NotApproved"), ("False", "VariablesHeld"))
    assert world.held().startswith("No ")
    world.deploy_approved("b")
    assert (world.tones, world.phases["b"], world.held()) == (["rude"], "#2 Live", "")


def test_a_deleted_workload_is_made_once_the_variables_are_those_that_were_approved() -> None:
    world = live_and_held()
    world.delete_workloads()
    world.run()
    world.patch(variables=tone("kind"), access={"type": "private"}, runs={"content": False})
    world.run()
    assert (world.tones, world.held(), world.condition("Ready")[0]) == (["kind"], "", "True")


@pytest.mark.parametrize("approved", [True, False], ids=["approved", "of before the policy"])
def test_a_deleted_workload_is_made_again_where_nothing_was_changed(approved: bool) -> None:
    world = live_and_held(approved=approved)
    world.patch(variables=tone("kind"), access={"type": "private"}, runs={"content": False})
    world.run()
    world.delete_workloads()
    world.run()
    assert (world.tones, world.held()) == (["kind"], "")


def test_variables_that_are_changed_and_the_workload_that_is_deleted_at_once_are_not_brought() -> None:
    """No plan was made between the two changes, so the status does not show that the variables are on hold."""
    world = Production(given.with_variables(*tone("kind")), approvals=False)
    world.deploy("a", "v1")
    world.run()
    world.rule(approvals={"count": 1})
    world.run()
    world.patch(variables=tone("rude"))
    world.delete_workloads()
    world.run()
    assert (world.workloads, world.condition("VariablesHeld")) == ({}, ("True", "NotApproved"))


def test_a_row_of_before_the_policy_is_restored_without_its_workload_and_its_status() -> None:
    world = Production(given.with_variables(*tone("kind")), approvals=False)
    world.deploy("a", "v1")
    world.run()
    world.rule(approvals={"count": 1})
    world.run()
    world.delete_workloads()
    world.forget_statuses()
    world.run()
    assert (world.tones, world.held()) == (["kind"], "")


def test_a_workload_whose_note_was_edited_is_not_written_again_with_held_variables() -> None:
    world = live_and_held()
    edited = world.child("Deployment")
    edited["metadata"]["annotations"][names.APPLIED_TEMPLATE_ANNOTATION] = "{}"
    world.edited(edited)
    world.run()
    assert world.tones == ["kind"]
    assert len(world.environments) == 1


NETWORK = {"ingressFrom": [{"podSelector": {"matchLabels": {"app": "-x-"}}}]}
POLICY = ("NetworkPolicy", names.network_policy(given.NAME))


def held_up(**asking: Any) -> Production:
    """Returns a world whose first row is approved but whose NetworkPolicy is refused. Then the App is changed."""
    world = Production(given.with_variables(*tone("kind")), given.with_spec(network=NETWORK))
    world.refused[POLICY] = "a label value is invalid"
    world.ask("a", **asking)
    if "bypass" not in asking:
        world.approve("a")
    world.run()
    assert (world.phases, world.workloads) == ({"a": "#1 Progressing"}, {})
    world.patch(variables=tone("rude"), network={"ingressFrom": []})
    world.refused.clear()
    world.problems.clear()
    world.run()
    return world


@pytest.mark.parametrize("asking", [{}, {"bypass": {"reason": "night"}}], ids=["approved", "bypass"])
def test_a_row_that_was_held_up_does_not_go_live_with_other_variables(asking: dict[str, Any]) -> None:
    world = held_up(**asking)
    assert (world.phases, world.workloads) == ({"a": "#1 Progressing"}, {})
    assert world.condition("VariablesHeld") == ("True", "NotApproved")
    world.patch(variables=tone("kind"))
    world.run()
    assert (world.phases, world.tones, world.held()) == ({"a": "#1 Live"}, ["kind"], "")


def test_a_row_that_was_held_up_ends_at_its_deadline_with_the_reason() -> None:
    world = held_up()
    world.later(3600)
    world.run()
    outcome = world.rows["a"].outcome
    assert outcome is not None
    assert (outcome.result.value, world.workloads) == ("Failed", {})
    assert outcome.reason.startswith("No new pod is made: v1 (#1, a) was not approved with these: ")


@pytest.mark.parametrize("strategy", ["Rolling", "Switch"])
def test_serving_pods_keep_their_template_until_the_row_has_one_for_its_variables(strategy: str) -> None:
    """The row brings changed variables, which change again before its template is made."""
    world = live_and_held(strategy)
    before = world.environments
    world.patch(network=NETWORK)
    world.refused[POLICY] = "a label value is invalid"
    world.ask("b", "v2")
    world.approve("b")
    world.run()
    world.patch(variables=tone("worse"), network={"ingressFrom": []})
    world.refused.clear()
    world.problems.clear()
    world.run()
    assert (world.phases["b"], world.environments) == ("#2 Progressing", before)
    world.patch(variables=tone("rude"))
    world.run()
    assert (world.phases["b"], world.tones[-1]) == ("#2 Live", "rude")


@pytest.mark.parametrize("strategy", ["Rolling", "Switch"])
def test_a_live_bypass_applies_no_later_variables(strategy: str) -> None:
    world = live_and_held(strategy)
    world.deploy("b", "v2", bypass={"reason": "night"})
    world.run()
    assert world.rows["b"].pinned is not None
    assert (world.phases["b"], world.held()) == ("#2 Live", "")
    world.patch(variables=tone("worse"), rollout={"strategy": {"Rolling": "Switch", "Switch": "Rolling"}[strategy]})
    world.run()
    assert "worse" not in world.tones
    world.delete_workloads()
    world.run()
    assert (world.workloads, world.condition("VariablesHeld")) == ({}, ("True", "NotApproved"))


def test_a_bypass_pinned_by_an_operator_of_before_goes_on_as_applied() -> None:
    world = live_and_held()
    world.deploy("b", "v2", bypass={"reason": "night"})
    world.run()
    del world.objects[("dynamiq.getdynamiq.ai/v1alpha1", "Deployment", "b")]["spec"]["pinned"]["environment"]
    world.patch(variables=tone("worse"), rollout={"strategy": "Switch"})
    world.run()
    assert (world.tones, world.phases["b"]) == (["rude"], "#2 Live")


def test_the_environment_that_was_approved_is_taken_from_the_workload_that_still_has_it() -> None:
    """The live workload has the approved environment. The App has another, and the row's own workload was deleted."""
    world = live_and_held("Switch")
    world.patch(variables=tone("kind"), access={"type": "private"}, runs={"content": False})
    world.ask("b", "v2")
    world.approve("b")
    world.settle()
    made = next(
        name for name in world.workloads if world.workloads[name]["spec"]["template"] and "v2" in str(world.workloads[name]["spec"])
    )
    del world.objects[("apps/v1", "Deployment", made)]
    world.patch(variables=tone("worse"))
    world.run()
    assert (world.phases["b"], set(world.tones)) == ("#2 Live", {"kind"})


def as_applied(world: Production) -> GateNote:
    """Returns the note for the gate after the App has been idle for long."""
    world.install_gate("gate-a")
    world.later(60)
    world.say_idle(60)
    world.settle()
    note = read_note(world.child("EndpointSlice", names.gate_slice(given.NAME))["metadata"]["annotations"][names.GATE_ANNOTATION])
    assert note is not None
    return note


def test_calls_without_a_key_do_not_wake_an_app_until_its_public_access_is_approved() -> None:
    world = Production(given.with_variables(*tone("kind")))
    world.install_gate("gate-a")
    world.deploy_approved("a", config={"type": "serverless", "idleSeconds": 60})
    world.patch(access={"type": "public"})
    world.run()
    world.gate_keys = world.snapshot().secrets.access_keys.version
    assert as_applied(world).private
    assert [private for _, private, _ in world.environments] == [True]


def test_pages_of_other_origins_may_call_only_once_that_is_approved() -> None:
    before, after = ({"type": "private", "origins": [f"https://{name}.example.com"]} for name in ("before", "after"))
    world = Production(given.with_spec(access=before))
    world.install_gate("gate-a")
    world.deploy_approved("a", config={"type": "serverless", "idleSeconds": 60})
    world.patch(access=after)
    world.run()
    world.gate_keys = world.snapshot().secrets.access_keys.version
    assert world.held().startswith("Not in force yet: access. ")
    assert as_applied(world).origins == ("https://before.example.com",)
    world.deploy_approved("b", "v2", config={"type": "serverless", "idleSeconds": 60})
    assert (world.held(), as_applied(world).origins) == ("", ("https://after.example.com",))


def test_keys_of_pods_that_stay_private_are_made_again() -> None:
    world = live_and_held()
    world.remove_other("Secret", names.access_keys(given.NAME))
    world.run()
    assert ("v1", "Secret", names.access_keys(given.NAME)) in world.objects


def test_triggers_send_a_key_while_the_pods_stay_private() -> None:
    world = live_and_held()
    world.patch(triggers=[{"name": "daily", "schedule": "0 9 * * *"}])
    world.run()
    spec = world.child("CronJob", f"{given.NAME}-daily")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert [each["name"] for each in spec["volumes"]] == ["access-keys"]


def test_a_rollback_is_not_refused_for_a_key_that_held_variables_name() -> None:
    world = live_and_held()
    world.deploy("b", "v2", bypass={"reason": "night"})
    world.run()
    world.patch(variables=[{"name": "TOKEN", "secret": {"name": "missing", "key": "x"}}])
    world.run()
    world.ask("c", restores="a")
    world.run()
    assert (world.phases["c"], world.tones) == ("#3 Live", ["rude"])


def test_changes_of_recording_are_held_without_a_recorder_too() -> None:
    world = Production(given.with_spec(runs={"content": True}))
    world.deploy_approved("a")
    world.patch(runs={"redact": {"fields": ["email"]}})
    world.run()
    world.patch(rollout={"strategy": "Switch"})
    world.run()
    assert "runs" in world.held()
    world.patch(runs={"content": True})
    world.run()
    assert world.held() == ""


def private_tones(world: Production) -> list[tuple[str, bool]]:
    """Returns the values of TONE, each with whether Access Keys are checked."""
    return sorted((json.loads(tone)["value"], private) for (tone,), private, _ in world.environments)


@pytest.mark.parametrize("after", ["Deploy", "Hold"])
def test_a_rollback_that_waited_for_a_freeze_applies_no_held_variables(after: str) -> None:
    """A rollback is exempt from approvals, so nobody has approved variables with it."""
    world = live_and_held()
    world.freeze_rollbacks(after)
    world.ask("b", restores="a")
    assert world.phases["b"] == "#2 Pending"
    world.later(3700)
    if after == "Hold":
        world.resume("b")
    world.later(100)
    world.run()
    assert (world.phases["b"], private_tones(world)) == ("#2 Live", [("kind", True)])
    assert world.condition("VariablesHeld") == ("True", "AwaitsRow")


def test_a_rollback_that_waits_for_a_freeze_does_not_end_by_variables_that_it_does_not_apply() -> None:
    world = live_and_held()
    world.freeze_rollbacks("Deploy")
    world.ask("b", restores="a")
    world.patch(variables=tone("worse"))
    world.later(3800)
    world.run()
    assert (world.phases["b"], world.tones) == ("#2 Live", ["kind"])


def made_again(world: Production, **spec: Any) -> None:
    """Deletes the App without its objects, then the workload, and creates the App again."""
    world.delete_workloads()
    made_anew(world, **spec)


def made_anew(world: Production, **spec: Any) -> None:
    made = world.objects[(API_VERSION, kinds.APP.kind, given.NAME)]
    new = copy.deepcopy(made)
    new.pop("status", None)
    new["metadata"] |= {"uid": f"made-at-{world.now}", "generation": 1, "creationTimestamp": format_time(world.now)}
    new["spec"] |= spec
    for each in world.objects.values():
        each["metadata"].pop("ownerReferences", None)
    world.objects[(API_VERSION, kinds.APP.kind, given.NAME)] = new
    world.run()


def rolled_back(world: Production) -> None:
    world.deploy("c", None, restores="a", createdBy="oncall")
    world.run()


def rolled_back_after_a_freeze(world: Production) -> None:
    world.freeze_rollbacks("Deploy")
    world.ask("c", restores="a")
    world.later(3800)
    world.run()


@pytest.mark.parametrize("strategy", ["Rolling", "Switch"])
@pytest.mark.parametrize("rollback", [rolled_back, rolled_back_after_a_freeze])
def test_an_app_that_is_made_again_brings_no_variables_to_a_rollback(rollback: Callable[[Production], None], strategy: str) -> None:
    world = Production(given.with_variables(*tone("kind")), given.with_spec(rollout={"strategy": strategy}))
    world.deploy_approved("a", "v1")
    world.deploy_approved("b", "v2")
    rollback(world)
    assert world.phases["c"] == "#3 Live"
    made_again(world, variables=tone("rude"), access={"type": "public"})
    assert (world.workloads, world.condition("VariablesHeld")) == ({}, ("True", "NotApproved"))


def test_an_app_that_is_made_again_goes_on_once_its_variables_are_those_that_the_rollback_had() -> None:
    world = Production(given.with_variables(*tone("kind")))
    world.deploy_approved("a", "v1")
    rolled_back(world)
    made_again(world, variables=tone("rude"), access={"type": "public"})
    assert world.workloads == {}
    assert world.held().startswith("No new pod is made: v1 (#2, c) did not run with these: variables, access and runs. Set them back, or ")
    world.patch(variables=tone("kind"), access={"type": "private"})
    world.run()
    assert (private_tones(world), world.held(), world.condition("Ready")[0]) == ([("kind", True)], "", "True")


@pytest.mark.parametrize("rollback", [rolled_back, rolled_back_after_a_freeze])
def test_a_rollback_is_restored_without_its_workload_and_its_status(rollback: Callable[[Production], None]) -> None:
    world = Production(given.with_variables(*tone("kind")))
    world.deploy_approved("a", "v1")
    rollback(world)
    world.delete_workloads()
    world.forget_statuses()
    world.run()
    assert (world.tones, world.held()) == (["kind"], "")


def live_beside_a_standby() -> Production:
    """Returns a world whose live workload is private. The standby was approved earlier, and is public."""
    world = Production(given.with_variables(*tone("old")), given.with_spec(rollout={"strategy": "Switch"}, access={"type": "public"}))
    world.deploy_approved("a", "v1")
    world.patch(variables=tone("new"), access={"type": "private"})
    world.run()
    world.deploy_approved("b", "v2")
    assert sorted(world.tones) == ["new", "old"]
    return world


@pytest.mark.parametrize("service", ["there", "deleted"])
def test_a_deleted_workload_is_not_made_with_what_the_standby_has(service: str) -> None:
    world = live_beside_a_standby()
    world.patch(variables=tone("x"))
    world.run()
    serving = next(name for name, made in world.workloads.items() if "'new'" in str(made["spec"]))
    del world.objects[("apps/v1", "Deployment", serving)]
    if service == "deleted":
        world.objects.pop(("v1", "Service", names.service(given.NAME)))
    world.run()
    assert (world.tones, world.condition("VariablesHeld")) == (["old"], ("True", "NotApproved"))
    world.patch(variables=tone("new"))
    world.run()
    assert (sorted(world.tones), world.held()) == (["new", "old"], "")


def after_a_failed_row() -> Production:
    """Returns a world whose row was approved with bad variables and failed. The pods of the previous row have them."""
    world = Production(given.with_variables(*tone("good")))
    world.deploy_approved("a", "v1")
    world.patch(variables=tone("bad"))
    world.run()
    world.ask("b", "v2")
    world.approve("b")
    world.settle()
    world.stall(BAD_NAME, old=1)
    world.run()
    assert (world.phases, world.tones) == ({"a": "#1 Live", "b": "#2 Failed"}, ["bad"])
    return world


def test_variables_that_are_set_back_to_what_the_live_row_was_approved_with_take_effect() -> None:
    world = after_a_failed_row()
    world.patch(variables=tone("good"))
    world.run()
    assert (world.tones, world.held(), world.phases["a"]) == (["good"], "", "#1 Live")


def test_they_do_not_in_a_freeze() -> None:
    world = after_a_failed_row()
    world.freeze()
    world.patch(variables=tone("good"))
    world.run()
    assert (world.tones, world.condition("VariablesHeld")) == (["bad"], ("True", "AwaitsRow"))


def test_changes_made_while_the_live_row_is_missing_are_held_when_it_is_back() -> None:
    """The row is older than the note of the applied environment."""
    world = Production(given.with_variables(*tone("kind")))
    world.deploy_approved("a", "v1")
    world.deploy_approved("b", "v2")
    rolled_back(world)
    key = (API_VERSION, kinds.ROW.kind, "c")
    world.objects[key]["spec"]["pinned"].pop("environment", None)
    row = world.objects.pop(key)
    world.run()
    world.patch(variables=tone("rude"), access={"type": "public"})
    world.run()
    world.delete_workloads()
    world.run()
    world.objects[key] = row
    world.run()
    assert (world.workloads, world.condition("VariablesHeld")) == ({}, ("True", "NotApproved"))


def of_before_the_policy() -> Production:
    """Returns a world with a live row. Rows need an approval since then."""
    world = Production(given.with_variables(*tone("kind")), approvals=False)
    world.deploy("a", "v1")
    world.run()
    world.later(3600)
    world.rule(approvals={"count": 1})
    world.run()
    return world


def of_before_a_freeze() -> Production:
    """Returns a world whose live row was under no rule. Deploys are frozen now."""
    world = Production(given.with_variables(*tone("kind")), approvals=False)
    world.rule(freezes=[{"name": "fair", "from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}])
    world.deploy("a", "v1")
    world.run()
    world.later(3600)
    world.freeze()
    world.run()
    return world


@pytest.mark.parametrize("begun", [of_before_the_policy, of_before_a_freeze])
def test_an_app_that_is_made_again_brings_no_variables_to_a_row_that_notes_none(begun: Callable[[], Production]) -> None:
    """A restore recreates the rows as well: an App that is newer than its live row was not restored."""
    world = begun()
    made_again(world, variables=tone("rude"), access={"type": "public"})
    assert (world.workloads, world.condition("VariablesHeld")) == ({}, ("True", "NotApproved"))
    world.ask("b", restores="a")
    made_again(world, variables=tone("worse"))
    assert (world.workloads, world.condition("VariablesHeld")) == ({}, ("True", "NotApproved"))


def test_an_app_that_is_made_again_beside_its_workload_goes_on_as_applied() -> None:
    world = of_before_the_policy()
    made_anew(world, variables=tone("rude"))
    assert (world.tones, world.condition("VariablesHeld")) == (["kind"], ("True", "AwaitsRow"))
