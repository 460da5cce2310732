"""Plans for references of variables: pods that could not start are not created, and the live row keeps serving."""

from __future__ import annotations

import copy
import json

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.guard_objects import DeployPolicy
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.guards import ObservedGuards
from dynamiq_operator.plan.operations import ApplyChild
from tests.support import factories as given
from tests.support.world import BAD_NAME, World, a_world, serving
from tests.unit.support.plan_lines import shown, told

TOKEN: Manifest = {"name": "TOKEN", "secret": {"name": "tokens", "key": "openai"}}
MODEL: Manifest = {"name": "MODEL", "configMap": {"name": "models", "key": "best"}}
PLAIN: Manifest = {"name": "PLAIN", "value": "x"}


def holding(kind: str, name: str, **data: str) -> Manifest:
    """Returns a Secret or ConfigMap of another owner."""
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": given.NAMESPACE}, "data": data}


def take(world: World, *variables: Manifest) -> None:
    """Changes the App's variables as a user."""
    app = world.objects[next(key for key in world.objects if key[1] == "App")]
    app["spec"]["variables"] = list(variables)
    world.edited(app)


def environment(world: World) -> dict[str, Manifest]:
    """Returns the variables of the newest template, without the runtime's own."""
    container = world.child("Deployment")["spec"]["template"]["spec"]["containers"][0]
    return {each["name"]: each for each in container["env"] if not each["name"].startswith("DYNAMIQ_") and each["name"] != "PORT"}


def message(world: World, type_: str) -> str:
    return next(found.message for found in world.app.status.conditions if found.type == type_)


@pytest.mark.parametrize(
    ("variable", "made", "said"),
    [
        (TOKEN, None, "variable TOKEN takes key openai of Secret tokens, which does not exist"),
        (TOKEN, holding("Secret", "tokens", other="x"), "variable TOKEN takes key openai of Secret tokens, which has no such key"),
        (MODEL, None, "variable MODEL takes key best of ConfigMap models, which does not exist"),
        (MODEL, holding("ConfigMap", "models"), "variable MODEL takes key best of ConfigMap models, which has no such key"),
    ],
)
def test_a_live_app_goes_on_with_the_variables_that_it_has(variable: Manifest, made: Manifest | None, said: str) -> None:
    world = serving("v1")
    before = copy.deepcopy(world.child("Deployment"))
    if made is not None:
        world.add(made)
    take(world, PLAIN, variable)
    plan = world.plan()
    assert (shown(plan), told(plan)) == (["app: Ready=True Serving, last #1"], ["app VariableMissing"])
    world.run()
    assert world.child("Deployment") == before
    assert (world.condition("VariablesResolved"), world.condition("Ready")) == (("False", "VariableMissing"), ("True", "Serving"))
    assert message(world, "VariablesResolved").startswith(said)
    assert [text for _, reason, text in world.events.values() if reason == "VariableMissing"] == [message(world, "VariablesResolved")]
    assert (world.plan().operations, world.plan().requeue_after) == ((), 3)


@pytest.mark.parametrize(("missing", "wait"), [(10, 3), (120, 12), (3600, 60)])
def test_a_key_that_stays_missing_is_looked_for_ever_more_seldom(missing: float, wait: float) -> None:
    world = serving("v1")
    take(world, TOKEN)
    world.run()
    world.later(missing)
    assert (world.plan().operations, world.plan().requeue_after) == ((), wait)


def test_it_goes_on_once_the_key_is_there() -> None:
    world = serving("v1")
    take(world, TOKEN, MODEL)
    world.run()
    world.add(holding("Secret", "tokens", openai="x"))
    world.run()
    assert message(world, "VariablesResolved").startswith("variable MODEL takes")
    assert environment(world) == {}
    world.add(holding("ConfigMap", "models", best="x"))
    world.run()
    assert environment(world)["TOKEN"]["valueFrom"] == {"secretKeyRef": {"name": "tokens", "key": "openai"}}
    assert world.condition("VariablesResolved") == ("True", "Resolved")
    assert world.phases == {"a": "#1 Live"}, "a change of variables is no row"
    assert world.plan().requeue_after is None


def test_no_reference_is_read_while_the_desired_pods_run() -> None:
    world = a_world(given.with_variables(TOKEN))
    world.add(holding("Secret", "tokens", openai="x"))
    world.deploy("a", "v1")
    assert world.snapshot().secrets.named == {("Secret", "tokens"): frozenset({"openai"})}
    world.run()
    world.remove_other("Secret", "tokens")
    assert world.snapshot().secrets.named == {}
    assert world.plan().operations == ()
    assert world.condition("VariablesResolved") == ("True", "Resolved")


def test_a_deploy_fails_at_once_and_the_live_row_stays_untouched() -> None:
    world = serving("v1")
    take(world, TOKEN)
    world.run()
    before = copy.deepcopy(world.child("Deployment"))
    world.deploy("b", "v2")
    plan = world.plan()
    assert [line for line in shown(plan) if line.startswith("b:")] == ["b: #2 pinned v2", "b: Failed"]
    assert plan.of(ApplyChild) == ()
    world.run()
    outcome = world.rows["b"].outcome
    assert outcome is not None
    assert outcome.reason == "variable TOKEN takes key openai of Secret tokens, which does not exist"
    assert world.phases == {"a": "#1 Live", "b": "#2 Failed"}
    assert world.child("Deployment") == before


def test_a_first_deploy_fails_at_once_and_makes_no_workload() -> None:
    world = a_world(given.with_variables(TOKEN))
    world.deploy("a", "v1")
    world.run()
    assert (world.phases, world.workload) == ({"a": "#1 Failed"}, None)
    assert message(world, "Ready").endswith("variable TOKEN takes key openai of Secret tokens, which does not exist")
    world.add(holding("Secret", "tokens", openai="x"))
    world.deploy("b", "v1")
    world.run()
    assert world.phases == {"a": "#1 Failed", "b": "#2 Live"}


def test_a_workload_whose_variables_are_held_is_still_repaired_and_scaled() -> None:
    world = serving("v1")
    before = copy.deepcopy(world.child("Deployment")["spec"])
    take(world, TOKEN)
    world.run()
    edited = world.child("Deployment")
    edited["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    edited["spec"]["replicas"] = 0
    world.edited(edited)
    world.run()
    assert world.child("Deployment")["spec"] == before


def test_a_deleted_workload_is_not_made_of_pods_that_cannot_start() -> None:
    world = serving("v1")
    take(world, TOKEN)
    world.run()
    del world.objects[("apps/v1", "Deployment", given.NAME)]
    world.run()
    assert (world.workload, world.condition("Ready")) == (None, ("False", "VariableMissing"))
    world.add(holding("Secret", "tokens", openai="x"))
    world.run()
    assert (world.serving, world.condition("Ready")) == ("v1", ("True", "Serving"))


def test_a_row_that_failed_is_not_what_the_live_one_is_held_at() -> None:
    """The key was deleted during a deploy that failed for another reason: the live row's pins are restored anyway."""
    world = a_world(given.with_variables(TOKEN))
    world.add(holding("Secret", "tokens", openai="x"))
    world.deploy("a", "v1")
    world.run()
    world.deploy("b", "v2")
    world.settle()
    world.remove_other("Secret", "tokens")
    take(world, {**TOKEN, "name": "OTHER"})
    world.stall(BAD_NAME, old=1)
    world.run()
    assert (world.phases, world.serving) == ({"a": "#1 Live", "b": "#2 Failed"}, "v1")


def test_a_key_that_goes_while_the_pods_run_moves_nothing() -> None:
    """Kubernetes reads a variable when a pod starts, and so does the operator: running pods are not checked again."""
    world = a_world(given.with_variables(TOKEN))
    world.add(holding("Secret", "tokens", openai="x"))
    world.deploy("a", "v1")
    world.run()
    world.remove_other("Secret", "tokens")
    world.deploy("b", "v1", config={"autoscaling": {"maxReplicas": 5}})
    world.run()
    assert world.phases == {"a": "#1 Superseded", "b": "#2 Live"}


def test_a_note_without_pins_belongs_to_no_row() -> None:
    """An older operator noted no pins: its applied variables may be those of a failed row, so the live row is not held at them."""
    world = serving("v1")
    child = world.child("Deployment")
    noted = json.loads(child["metadata"]["annotations"][names.APPLIED_TEMPLATE_ANNOTATION])
    del noted["pins"]
    child["metadata"]["annotations"][names.APPLIED_TEMPLATE_ANNOTATION] = json.dumps(noted, sort_keys=True)
    world.written_by_ours(child)
    template = copy.deepcopy(child["spec"]["template"])
    world.run()
    assert world.child("Deployment")["spec"]["template"] == template


def test_changed_variables_that_break_pods_are_reported_and_old_pods_keep_serving() -> None:
    world = serving("v1")
    take(world, {"name": "PYTHONHOME", "value": "/nowhere"})
    world.settle()
    ended = {"waiting": {"reason": "CrashLoopBackOff"}}
    world.stall(ended, old=1, lastState={"terminated": {"exitCode": 1, "reason": "Error", "message": "no encodings"}})
    world.settle()
    assert (world.condition("Ready"), world.condition("Progressing")) == (("True", "Serving"), ("False", "Crashed"))
    assert message(world, "Progressing") == (
        "not all pods of v1 (#1, a) serve: the runtime of pod chat-0 ends with exit code 1: no encodings"
    )
    take(world)
    world.run()
    assert world.condition("Progressing") == ("False", "Settled")


def test_variables_that_no_workload_can_carry_hold_new_pods_back_in_our_words() -> None:
    """An older schema accepted such variables, or their characters take six bytes each."""
    world = serving("v1")
    take(world, *({"name": f"LONG_{number}", "value": "\u00fc" * 10_000} for number in range(5)))
    world.run()
    assert world.condition("VariablesResolved") == ("False", "VariablesTooLarge")
    assert (world.serving, world.condition("Ready")) == ("v1", ("True", "Serving"))
    world.deploy("b", "v2")
    world.run()
    assert world.phases == {"a": "#1 Live", "b": "#2 Failed"}


@pytest.mark.parametrize("rule", ["approvals", "freeze", "suspended", "unknown"])
def test_changed_variables_take_effect_with_the_next_row_where_rows_are_guarded(rule: str) -> None:
    world = serving("v1", given.with_variables({"name": "TONE", "value": "kind"}))
    guarded(world, rule)
    world.run()
    change(world, rule, {"name": "TONE", "value": "rude"})
    world.run()
    assert world.condition("VariablesHeld") == ("True", "AwaitsRow")
    assert tone(world) == "kind"
    assert world.condition("Ready")[0] == "True"
    if rule == "suspended":
        return
    world.deploy("b", "v1", bypass={"reason": "night"})
    world.run()
    assert (tone(world), world.phases["b"]) == ("rude", "#2 Live")
    change(world, rule, {"name": "TONE", "value": "kind"})
    world.run()
    assert tone(world) == "rude", "of this row, too"
    world.guards = ObservedGuards()
    world.run()
    assert tone(world) == "kind", "nothing holds it any more"


def test_pods_stay_when_policies_come_and_go() -> None:
    world = serving("v1", given.with_variables({"name": "TONE", "value": "kind"}))
    before = world.workload
    assert before is not None
    for rule in ("approvals", "freeze", ""):
        guarded(world, rule)
        world.run()
        assert world.workload is not None
        assert world.workload["spec"]["template"] == before["spec"]["template"]


def guarded(world: World, rule: str) -> None:
    policy: Manifest = {"namespaceSelector": {}}
    if rule == "approvals":
        policy["approvals"] = {"count": 1}
    if rule == "freeze":
        policy["freezes"] = [{"name": "night", "from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}]
    made = DeployPolicy.of({"metadata": {"name": "production"}, "spec": policy})
    world.guards = ObservedGuards(policies=(made,) if len(policy) > 1 else (), unknown="it is away" if rule == "unknown" else "")


def change(world: World, rule: str, variable: Manifest) -> None:
    made = world.objects[(API_VERSION, "App", given.NAME)]
    made["spec"] |= {"variables": [variable]} | ({"suspend": True} if rule == "suspended" else {})
    world.edited(made)


def tone(world: World) -> str:
    assert world.workload is not None
    return tone_of(world.workload)


@pytest.mark.parametrize("strategy", ["Rolling", "Switch"])
@pytest.mark.parametrize("back", ["a", "b"], ids=["to what ran before", "to what runs"])
def test_a_rollback_does_not_apply_changed_variables_without_an_approval(strategy: str, back: str) -> None:
    """A rollback is exempt, so that anybody on call may do it: with it, variables would bypass the guards of deploys."""
    world = serving("v1", given.with_variables({"name": "TONE", "value": "kind"}), given.with_spec(rollout={"strategy": strategy}))
    world.deploy("b", "v2")
    world.run()
    guarded(world, "freeze")
    world.run()
    change(world, "freeze", {"name": "TONE", "value": "rude"})
    change_access(world)
    world.run()
    world.deploy("c", restores=back)
    world.run()
    assert world.phases["c"] == "#3 Live"
    assert {tone_of(each) for each in workloads_of(world)} == {"kind"}
    assert all(any(volume["name"] == "access-keys" for volume in volumes_of(each)) for each in workloads_of(world))


def test_changed_variables_do_not_come_with_a_rollback_that_was_only_suspended() -> None:
    world = serving("v1", given.with_variables({"name": "TONE", "value": "kind"}))
    guarded(world, "approvals")
    world.run()
    change(world, "suspended", {"name": "TONE", "value": "rude"})
    world.run()
    world.deploy("back", restores="a")
    world.run()
    assert world.phases["back"] == "#2 Pending"
    made = world.objects[(API_VERSION, "App", given.NAME)]
    made["spec"]["suspend"] = False
    world.edited(made)
    world.run()
    assert (world.phases["back"], tone(world)) == ("#2 Live", "kind")


def test_serving_pods_keep_their_variables_while_a_row_with_others_begins() -> None:
    world = serving("v1", given.with_variables({"name": "TONE", "value": "kind"}), given.with_spec(rollout={"strategy": "Switch"}))
    guarded(world, "approvals")
    world.run()
    change(world, "approvals", {"name": "TONE", "value": "rude"})
    world.run()
    world.deploy("b", "v2", bypass={"reason": "night"})
    world.settle()
    assert sorted(tone_of(each) for each in workloads_of(world)) == ["kind", "rude"]
    world.run()
    assert sorted(tone_of(each) for each in workloads_of(world)) == ["kind", "rude"], "the one kept warm is as it was"


def change_access(world: World) -> None:
    made = world.objects[(API_VERSION, "App", given.NAME)]
    made["spec"]["access"] = {"type": "public"}
    world.edited(made)


def workloads_of(world: World) -> list[Manifest]:
    return [made for (version, kind, _), made in world.objects.items() if (version, kind) == ("apps/v1", "Deployment")]


def volumes_of(made: Manifest) -> list[Manifest]:
    volumes: list[Manifest] = made["spec"]["template"]["spec"]["volumes"]
    return volumes


def tone_of(made: Manifest) -> str:
    (container,) = made["spec"]["template"]["spec"]["containers"]
    return next(str(each["value"]) for each in container["env"] if each["name"] == "TONE")
