"""Plans for an App's children: drift is repaired, objects of others stay untouched, and correct children are not written."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from dynamiq_operator.desired.base import NETWORK_POLICY, SERVICE
from dynamiq_operator.desired.inputs import WorkloadInputs
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.workload import workload_manifest
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.row import Pinned
from dynamiq_operator.plan.operations import DeleteChild
from tests.support import factories as given
from tests.support.world import a_world, serving
from tests.unit.support.plan_lines import shown, told

CHILDREN = ("Service", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget")


@pytest.mark.parametrize("kind", CHILDREN)
def test_a_missing_child_is_created_again(kind: str) -> None:
    world = serving()
    del world.objects[(world.child(kind)["apiVersion"], kind, given.NAME)]
    assert shown(world.plan())[0] == f"create {kind}"
    world.run()
    assert world.child(kind)
    assert world.phases == {"a": "#1 Live"}


def test_a_missing_flow_and_missing_keys_are_created_again() -> None:
    world = serving()
    for key in [key for key in world.objects if key[1] in ("ConfigMap", "Secret")]:
        del world.objects[key]
    assert shown(world.plan()) == ["create access keys", "create flow of chat-v1"]
    world.run()
    assert {key[1] for key in world.objects} >= {"ConfigMap", "Secret"}


@pytest.mark.parametrize(
    ("kind", "field", "value", "said"),
    [
        ("Service", "selector", {"app": "other"}, ["app Repaired"]),
        ("Deployment", "strategy", {"type": "Recreate"}, ["app Repaired"]),
        ("HorizontalPodAutoscaler", "maxReplicas", 50, []),
        ("PodDisruptionBudget", "maxUnavailable", 0, []),
    ],
)
def test_an_edited_child_is_repaired(kind: str, field: str, value: object, said: list[str]) -> None:
    world = serving()
    child = world.child(kind)
    before = copy.deepcopy(child["spec"])
    child["spec"][field] = value
    world.edited(child)
    plan = world.plan()
    assert shown(plan)[0].startswith(f"apply {kind} for .spec.{field}")
    assert told(plan) == said
    world.run()
    assert world.child(kind)["spec"] == before


def test_a_change_of_the_app_that_keeps_the_pods_is_no_repair() -> None:
    world = serving()
    app = world.objects[(API_VERSION, kinds.APP.kind, given.NAME)]
    app["spec"]["rollout"] = {"progressDeadlineSeconds": 60}
    world.edited(app)
    plan = world.plan()
    assert "apply Deployment for .spec.progressDeadlineSeconds" in shown(plan)
    assert told(plan) == []


def test_fields_that_others_set_stay() -> None:
    world = serving()
    child = world.child("Service")
    child["spec"]["sessionAffinity"] = "ClientIP"
    child["metadata"]["labels"]["theirs"] = "yes"
    world.edited(child)
    workload = world.child("Deployment")
    workload["spec"]["replicas"] = 2
    world.edited(workload)
    world.roll()
    assert shown(world.plan()) == []


def test_a_workload_scaled_to_zero_is_scaled_back_once() -> None:
    world = serving()
    workload = world.child("Deployment")
    workload["spec"]["replicas"] = 0
    world.edited(workload)
    plan = world.plan()
    assert (shown(plan), told(plan)) == (["scale to 1"], ["app Scaled"])
    world.run()
    assert world.child("Deployment")["spec"]["replicas"] == 1


def test_an_upgrade_of_the_operator_changes_no_template() -> None:
    """The older operator wrote another template for the same inputs: the applied template is kept until they change."""
    world = serving()
    workload = world.child("Deployment")
    noted = json.loads(workload["metadata"]["annotations"][names.APPLIED_TEMPLATE_ANNOTATION])
    for template in (noted["template"], workload["spec"]["template"]):
        template["spec"]["terminationGracePeriodSeconds"] = 7
    workload["metadata"]["annotations"][names.APPLIED_TEMPLATE_ANNOTATION] = json.dumps(noted, sort_keys=True)
    world.written_by_ours(workload)
    world.roll()
    assert world.plan().operations == ()
    world.deploy("b", "v2")
    world.run()
    assert world.child("Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] != 7


def test_a_stranger_of_the_same_name_is_a_condition_and_stays_as_it_is() -> None:
    world = a_world()
    stranger = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": given.NAME, "namespace": given.NAMESPACE},
        "spec": {"theirs": 1},
    }
    world.add(stranger)
    world.deploy("a", "v1")
    world.run()
    assert world.condition("ChildrenApplied") == ("False", "NameTaken")
    assert world.condition("Ready")[0] == "False"
    assert world.child("Service")["spec"] == {"theirs": 1}
    assert ("App", "Hindered") in [(kind, reason) for kind, reason, _ in world.events.values()]
    assert world.plan().requeue_after == 15
    del world.objects[(SERVICE.api_version, "Service", given.NAME)]
    world.problems.clear()
    world.run()
    assert (world.condition("ChildrenApplied"), world.condition("Ready")) == (("True", "Applied"), ("True", "Serving"))


def test_a_refused_workload_fails_its_row_at_once_and_is_not_sent_again() -> None:
    world = a_world()
    world.refused[("Deployment", given.NAME)] = "a bad volume"
    world.deploy("a", "v1")
    world.run()
    assert world.phases == {"a": "#1 Failed"}
    outcome = world.rows["a"].outcome
    assert outcome is not None
    assert "a bad volume" in outcome.reason


def test_an_earlier_refusal_hinders_neither_the_app_nor_the_next_deploy() -> None:
    world = a_world()
    world.refused[("Deployment", given.NAME)] = "a bad volume"
    world.deploy("a", "v1")
    world.run()
    assert world.condition("ChildrenApplied") == ("True", "Applied")
    world.refused.clear()
    world.deploy("b", "v2")
    world.run()
    assert (world.phases, world.condition("Ready")) == ({"a": "#1 Failed", "b": "#2 Live"}, ("True", "Serving"))


def test_a_denied_child_is_a_condition_and_the_row_goes_on_waiting() -> None:
    world = a_world()
    world.denied.add(("Deployment", given.NAME))
    world.deploy("a", "v1")
    world.run()
    assert (world.phases, world.condition("ChildrenApplied")) == ({"a": "#1 Progressing"}, ("False", "Denied"))
    world.denied.clear()
    world.problems.clear()  # what the operator does after a while
    world.run()
    assert (world.phases, world.condition("Ready")) == ({"a": "#1 Live"}, ("True", "Serving"))


def test_a_restore_without_statuses_ends_on_the_same_phases_and_restarts_nothing() -> None:
    world = serving("v1")
    world.deploy("b", "v2")
    world.settle()
    world.stall({"waiting": {"reason": "InvalidImageName"}}, old=1)
    world.run()
    world.deploy("c", "v3")
    world.run()
    world.deploy("d", restores="a")
    world.run()
    phases, template = world.phases, copy.deepcopy(world.child("Deployment")["spec"]["template"])
    world.forget_statuses()
    assert {row.phase for row in world.rows.values()} != {None}
    world.run()
    assert (world.phases, world.serving) == (phases, "v1")
    assert world.child("Deployment")["spec"]["template"] == template
    assert world.condition("Ready") == ("True", "Serving")
    world.deploy("e", "v2")
    world.run()
    assert world.phases["e"] == "#5 Live"


def test_a_restore_in_the_middle_of_a_deploy_goes_on_with_it() -> None:
    world = serving("v1")
    world.deploy("b", "v2")
    world.settle()
    world.forget_statuses()
    world.run()
    assert (world.phases, world.serving) == ({"a": "#1 Superseded", "b": "#2 Live"}, "v2")


def test_pods_get_the_version_and_the_limits_of_the_runtime() -> None:
    pinned = given.a_row("a", given.live(1, "v1")).spec.pinned
    assert pinned is not None
    bounded = pinned.runtime.model_copy(update={"run_timeout_seconds": 90, "max_concurrent_runs": 8})
    plain, limited = (_settings(pinned), _settings(pinned.model_copy(update={"runtime": bounded})))
    assert plain["DYNAMIQ_WORKFLOW_VERSION"] == "v1"
    assert {"DYNAMIQ_RUN_TIMEOUT", "DYNAMIQ_MAX_CONCURRENT_RUNS"}.isdisjoint(plain)
    assert limited == plain | {"DYNAMIQ_RUN_TIMEOUT": "90", "DYNAMIQ_MAX_CONCURRENT_RUNS": "8"}


def _settings(pinned: Pinned) -> dict[str, str]:
    made = workload_manifest(given.an_app(), WorkloadInputs("", Pins.of(pinned)))
    assert made is not None
    return {each["name"]: each["value"] for each in made["spec"]["template"]["spec"]["containers"][0]["env"]}


def mutable_flow(**changes: object) -> dict[str, object]:
    """Returns a ConfigMap with the name of v1's flow and our labels, made by another user."""
    meta = {"name": names.flow(given.NAME, given.flow_hash("v1")), "namespace": given.NAMESPACE, "labels": names.labels(given.NAME)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"flow": given.flow("v1")}, **changes}


@pytest.mark.parametrize("found", [{}, {"immutable": True, "data": {"flow": "another"}}], ids=["it could change", "another flow"])
def test_no_pod_mounts_a_flow_that_is_not_ours_for_good(found: dict[str, object]) -> None:
    world = a_world()
    world.add(mutable_flow(**found))
    world.deploy("a", "v1")
    world.settle()
    assert (world.condition("ChildrenApplied"), world.workload) == (("False", "NameTaken"), None)
    world.later(301)
    world.run()
    assert world.phases == {"a": "#1 Failed"}
    outcome = world.rows["a"].outcome
    assert outcome is not None
    assert "is not this flow" in outcome.reason


def test_a_row_waits_for_its_network_policy() -> None:
    world = a_world(given.with_spec(network={"ingressFrom": []}))
    world.denied.add(("NetworkPolicy", given.NAME))
    world.deploy("a", "v1")
    world.run()
    assert (world.phases, world.workload) == ({"a": "#1 Progressing"}, None)
    world.later(11)
    world.run()
    assert "NetworkPolicy chat is not allowed" in world.rows["a"].status.conditions[0].message
    world.denied.clear()
    world.problems.clear()  # what the operator does after a while
    world.run()
    assert (world.phases, world.condition("Ready")) == ({"a": "#1 Live"}, ("True", "Serving"))


def test_no_row_goes_live_beside_a_network_policy_that_could_not_be_made() -> None:
    """The live row's pods run on, and the new row waits."""
    world = serving("v1")
    world.denied.add(("NetworkPolicy", given.NAME))
    app = world.objects[(API_VERSION, kinds.APP.kind, given.NAME)]
    app["spec"]["network"] = {"egress": []}
    world.edited(app)
    world.deploy("b", "v1", config={"autoscaling": {"maxReplicas": 5}})
    world.run()
    assert (world.phases, world.serving) == ({"a": "#1 Live", "b": "#2 Progressing"}, "v1")


@pytest.mark.parametrize(
    "added",
    [
        {"paused": True},
        {"minReadySeconds": 30},
        {"template": {"spec": {"serviceAccountName": "theirs"}}},
        {"template": {"spec": {"initContainers": [{"name": "theirs", "image": "theirs:1"}]}}},
        {"template": {"metadata": {"labels": {"theirs": "x"}}}},
    ],
)
def test_additions_of_another_manager_to_a_workload_are_removed_and_reported(added: dict[str, Any]) -> None:
    world = serving()
    child = world.child("Deployment")
    before = copy.deepcopy(child["spec"])
    merge(child["spec"], added)
    world.edited(child)
    assert told(world.plan()) == ["app Repaired"]
    world.run()
    assert world.child("Deployment")["spec"] == before


def test_fields_without_an_owner_were_added_by_admission_and_stay() -> None:
    world = serving()
    child = world.child("Deployment")
    child["spec"]["template"]["spec"]["containers"].insert(0, {"name": "mesh", "image": "mesh:1"})
    child["spec"]["template"]["spec"]["containers"][1]["image"] = "mirror.test/runtime"
    world.written_by_ours(child)
    world.roll()
    assert shown(world.plan()) == []


def merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def test_endpoints_are_watched_only_under_strategy_switch_and_their_label_is_no_repair() -> None:
    world = serving()
    label = (names.ENDPOINTS_LABEL, names.WATCHED_ENDPOINTS)
    assert label not in world.child(SERVICE.kind)["metadata"]["labels"].items()
    for rollout, watched in (({"strategy": "Switch"}, True), ({}, False)):
        app = world.objects[(API_VERSION, kinds.APP.kind, given.NAME)]
        app["spec"]["rollout"] = rollout
        world.edited(app)
        world.run()
        assert (label in world.child(SERVICE.kind)["metadata"]["labels"].items()) is watched
        assert "Repaired" not in world.said(kinds.APP.kind)


def test_a_copy_of_the_workload_is_not_taken_for_it() -> None:
    world = serving("v1", given.with_spec(network={"ingressFrom": [{"namespaceSelector": {}}]}))
    world.copy_workload(given.NAME)
    assert shown(world.plan()) == []
    del world.objects[(NETWORK_POLICY.api_version, NETWORK_POLICY.kind, given.NAME)]
    assert shown(world.plan())[:1] == ["create NetworkPolicy"]
    world.written.clear()
    world.run()
    assert not [each for each in world.written if isinstance(each, DeleteChild)], "the workload that serves is not taken for a stranger"
    world.deploy("b", "v2")
    world.run()
    assert world.phases["b"] == "#2 Live"
