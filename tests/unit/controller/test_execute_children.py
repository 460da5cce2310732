"""Operations on children: creating, adopting, applying and refusing them. Objects that are not the App's stay untouched."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.controller.execute.apply import ATTEMPTS, OF_NO_OBJECT
from dynamiq_operator.desired.access_keys import access_keys
from dynamiq_operator.desired.base import CONFIG_MAP, ENDPOINT_SLICE, JOB, SERVICE, WORKLOAD, child, is_ours, owner
from dynamiq_operator.desired.callback_key import callback_key
from dynamiq_operator.desired.flow import flow as config_map
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, BY_KIND, JOBS, SECRETS, SLICES, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason
from dynamiq_operator.plan.observed.secrets import AccessKeys, CallbackKey, KeysPresence
from tests.support import factories as given
from tests.support.controller import FIRST_KEY, LEASE, NAMED, Process, at, execute, stored
from tests.support.scripted import Script, failure

APP = (given.NAMESPACE, given.NAME)
CHAT = given.an_app()
SERVICES, WORKLOADS = BY_KIND[SERVICE.kind], BY_KIND[WORKLOAD.kind]
APP_PATH, KEYS_PATH = at(APPS, given.NAME), at(SECRETS, names.access_keys(given.NAME))
THERE = given.stored(given.app_manifest())
"""The App, which still exists."""
BEFORE = {**owner(CHAT), "uid": "uid-before"}
"""The owner of children of a deleted App of the same name."""
SERVICE_PATH, WORKLOAD_PATH = at(SERVICES, given.NAME), at(WORKLOADS, given.NAME)
OBSERVED = {"uid": f"uid-of-{given.NAME}", "resourceVersion": "1"}
"""The metadata that identifies a child as it was observed."""


def service(**spec: Any) -> Manifest:
    return child(CHAT, SERVICE, given.NAME, spec={"type": "ClusterIP", **spec})


def workload(replicas: int = 1) -> Manifest:
    return child(CHAT, WORKLOAD, given.NAME, spec={"replicas": replicas, "minReadySeconds": 5})


def managed(manifest: Manifest, operation: str, version: int = 1, **changes: Any) -> Manifest:
    """Returns the manifest as stored. The operator owns its fields by a POST (`Update`) or an apply (`Apply`)."""
    fields: Manifest = {"f:spec": {f"f:{name}": {} for name in manifest.get("spec", {})}}
    entry = {"manager": names.FIELD_MANAGER, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}
    meta = {**manifest["metadata"], "managedFields": [entry], **changes}
    return stored({**manifest, "metadata": meta}, version)


def problem(process: Process, manifest: Manifest) -> ChildProblem | None:
    """Returns the problem that keeps the child from being created, as the next snapshot has it; None if there is none."""
    found = process.states.of(APP).problems.get((manifest["kind"], manifest["metadata"]["name"]))
    return found.problem if found else None


def cached(process: Process, manifest: Manifest) -> Manifest | None:
    return process.cache.get(BY_KIND[manifest["kind"]], given.NAMESPACE, manifest["metadata"]["name"])


# Creation.


async def test_child_is_created_by_one_apply_that_touches_no_object(process: Process, script: Script) -> None:
    script.on("PATCH", SERVICE_PATH, managed(service(), "Apply"))
    await execute(process, APP, operations.CreateChild(CHAT, service(), "d"))
    (sent,) = script.sent
    assert (sent.query["force"], sent.body["metadata"]["resourceVersion"]) == ("true", OF_NO_OBJECT)
    assert (cached(process, service()) or {})["metadata"]["resourceVersion"] == "1"


async def test_child_that_is_never_written_again_is_created_by_a_post(process: Process, script: Script) -> None:
    """An apply needs the right to patch, which the operator does not have for EndpointSlices."""
    made = child(CHAT, ENDPOINT_SLICE, names.gate_slice(given.NAME))
    script.on("POST", at(SLICES), managed(made, "Update"))
    await execute(process, APP, operations.CreateChild(CHAT, made, "d"))
    assert [sent.method for sent in script.sent] == ["POST"]
    assert problem(process, made) is None


@pytest.mark.parametrize(
    ("replicas", "scaled"), [(1, []), *((other, [{"metadata": OBSERVED, "spec": {"replicas": other}}]) for other in (0, 2))]
)
async def test_replicas_of_a_new_workload_are_the_scales(process: Process, script: Script, replicas: int, scaled: list[Any]) -> None:
    """Replicas that are applied once and left out later would be reset to 1."""
    script.on("PATCH", WORKLOAD_PATH, managed(workload(replicas), "Apply")).on("PATCH", f"{WORKLOAD_PATH}/scale", NAMED)
    script.on("GET", WORKLOAD_PATH, managed(workload(replicas), "Apply", 2))
    await execute(process, APP, operations.CreateChild(CHAT, workload(replicas), "d"))
    (applied,) = script.bodies("PATCH", WORKLOAD_PATH)
    assert applied["spec"] == {"minReadySeconds": 5}
    assert script.bodies("PATCH", f"{WORKLOAD_PATH}/scale") == scaled


@pytest.mark.parametrize(
    ("answer", "reason", "digest"),
    [
        (failure(422, "Invalid", "spec.type: Invalid"), ProblemReason.REFUSED, "d"),
        (failure(403, "Forbidden", "quota"), ProblemReason.DENIED, "d"),
    ],
)
async def test_child_that_is_refused_is_a_problem_and_the_plan_goes_on(
    process: Process, script: Script, answer: Any, reason: ProblemReason, digest: str
) -> None:
    script.on("PATCH", SERVICE_PATH, answer).on("PATCH", WORKLOAD_PATH, managed(workload(), "Apply"))
    await execute(process, APP, operations.CreateChild(CHAT, service(), "d"), operations.CreateChild(CHAT, workload(), "e"))
    found = problem(process, service())
    assert found is not None
    assert (found.reason, found.digest) == (reason, digest)
    assert answer.body["message"] in found.message
    assert cached(process, workload()) is not None


async def test_child_that_is_created_after_all_has_no_problem_any_more(process: Process, script: Script) -> None:
    script.on("PATCH", SERVICE_PATH, failure(403, "Forbidden"), managed(service(), "Apply"))
    await execute(process, APP, operations.CreateChild(CHAT, service(), "d"))
    await execute(process, APP, operations.CreateChild(CHAT, service(), "d"))
    assert problem(process, service()) is None


async def test_child_that_the_api_server_cannot_take_now_ends_the_plan(process: Process, script: Script) -> None:
    script.on("PATCH", SERVICE_PATH, failure(503, "ServiceUnavailable"))
    with pytest.raises(errors.Unavailable):
        await execute(process, APP, operations.CreateChild(CHAT, service(), "d"))
    assert problem(process, service()) is None


# An object of that name exists.


async def test_object_of_another_manager_is_left_alone(process: Process, script: Script) -> None:
    script.on("PATCH", SERVICE_PATH, failure(409, "Conflict"))
    script.on("GET", SERVICE_PATH, stored({"metadata": {"name": given.NAME}, "spec": {}}))
    await execute(process, APP, operations.CreateChild(CHAT, service(), "d"))
    found = problem(process, service())
    assert found is not None
    assert found.reason is ProblemReason.TAKEN
    assert [sent.body["metadata"].get("resourceVersion") for sent in script.writes()] == [OF_NO_OBJECT]


@pytest.mark.parametrize(
    ("labels", "other_app"), [({}, ""), (names.labels("chat-a"), "chat-a"), (names.labels("chat-a") | {names.MANAGED_BY: "helm"}, "")]
)
async def test_a_problem_names_the_other_app_of_the_name(process: Process, script: Script, labels: dict[str, str], other_app: str) -> None:
    script.on("PATCH", SERVICE_PATH, failure(409, "Conflict"))
    script.on("GET", SERVICE_PATH, stored({"metadata": {"name": given.NAME, "labels": labels}, "spec": {}}))
    await execute(process, APP, operations.CreateChild(CHAT, service(), "d"))
    found = problem(process, service())
    assert found is not None
    assert found.other_app == other_app


async def test_a_restored_child_is_adopted_and_keeps_its_replicas(process: Process, script: Script) -> None:
    restored = {**workload(), "metadata": {**workload()["metadata"], "ownerReferences": []}}
    assert is_ours(restored, CHAT)
    script.on("GET", APP_PATH, THERE)
    script.on("PATCH", WORKLOAD_PATH, failure(409, "Conflict"), managed(workload(), "Apply", 2)).on("GET", WORKLOAD_PATH, stored(restored))
    await execute(process, APP, operations.CreateChild(CHAT, workload(), "d"))
    _, applied = script.bodies("PATCH", WORKLOAD_PATH)
    assert applied["spec"] == {"minReadySeconds": 5}, "the autoscaler owns replicas"
    assert applied["metadata"]["ownerReferences"] == [owner(CHAT)]
    assert problem(process, workload()) is None


async def test_child_that_is_being_deleted_is_waited_for(process: Process, script: Script) -> None:
    ending = {**service(), "metadata": {**service()["metadata"], "deletionTimestamp": "2026-11-24T12:00:00Z"}}
    script.on("PATCH", SERVICE_PATH, failure(409, "Conflict")).on("GET", SERVICE_PATH, stored(ending))
    with pytest.raises(errors.Conflict, match="being deleted"):
        await execute(process, APP, operations.CreateChild(CHAT, service(), "d"))


@pytest.mark.parametrize("made", [service(), workload()], ids=["Service", "workload"])
async def test_child_of_a_deleted_app_of_the_same_name_is_waited_for(process: Process, script: Script, made: Manifest) -> None:
    """An adopted child would continue with the old App's content, and the new App starts with its own."""
    path = at(BY_KIND[made["kind"]], given.NAME)
    before = stored({**made, "metadata": {**made["metadata"], "ownerReferences": [BEFORE]}})
    script.on("PATCH", path, failure(409, "Conflict")).on("GET", path, before)
    with pytest.raises(errors.Conflict, match="of the App that had this name before is being deleted"):
        await execute(process, APP, operations.CreateChild(CHAT, made, "d"))
    assert problem(process, made) is None
    assert len(script.writes()) == 1


async def test_child_that_another_app_owns_is_a_strangers(process: Process, script: Script) -> None:
    """Two Apps may have the same child name, such as a trigger's CronJob. The other App's child is not deleted."""
    other = stored({**service(), "metadata": {**service()["metadata"], "ownerReferences": [{**BEFORE, "name": "chat-a"}]}})
    script.on("PATCH", SERVICE_PATH, failure(409, "Conflict")).on("GET", SERVICE_PATH, other)
    await execute(process, APP, operations.CreateChild(CHAT, service(), "d"))
    assert (found := problem(process, service())) is not None
    assert found.reason is ProblemReason.TAKEN


GONE = [failure(404, "NotFound"), {**THERE, "metadata": {**THERE["metadata"], "uid": "uid-of-the-next"}}]


@pytest.mark.parametrize("answer", GONE, ids=["deleted", "made again"])
async def test_no_restored_object_gets_a_deleted_owner(process: Process, script: Script, answer: Any) -> None:
    """The garbage collector would delete the object, which the next App of the name needs."""
    flow = config_map(CHAT, given.flow_hash("v1"), given.flow("v1"))
    restored = stored({**flow, "metadata": {**flow["metadata"], "ownerReferences": []}})
    resource, path = BY_KIND[CONFIG_MAP.kind], at(BY_KIND[CONFIG_MAP.kind], flow["metadata"]["name"])
    script.on("GET", APP_PATH, answer).on("GET", at(VERSIONS, "chat-v1"), given.version_manifest("v1"))
    script.on("POST", at(resource), failure(409, "AlreadyExists")).on("GET", path, restored)
    with pytest.raises(errors.Conflict, match="App chat was deleted"):
        await execute(process, APP, operations.OwnChild(CHAT, restored))
    with pytest.raises(errors.Conflict, match="App chat was deleted"):
        await execute(process, APP, operations.CreateFlow(CHAT, given.flow_hash("v1"), "chat-v1"))
    assert [sent.method for sent in script.writes() if sent.path != LEASE] == ["POST"]


async def test_a_flow_that_was_found_since_gets_no_owner_that_went_meanwhile(process: Process, script: Script) -> None:
    """The App existed at its snapshot. For objects that are found later it is read again."""
    flow, restored = config_map(CHAT, given.flow_hash("v1"), given.flow("v1")), stored({**service(), "metadata": {"name": given.NAME}})
    path = at(BY_KIND[CONFIG_MAP.kind], flow["metadata"]["name"])
    script.on("GET", APP_PATH, THERE, failure(404, "NotFound")).on("PATCH", SERVICE_PATH, stored(service(), 2))
    script.on("GET", at(VERSIONS, "chat-v1"), given.version_manifest("v1"))
    script.on("POST", at(BY_KIND[CONFIG_MAP.kind]), failure(409, "AlreadyExists"))
    script.on("GET", path, stored({**flow, "metadata": {**flow["metadata"], "ownerReferences": []}}))
    with pytest.raises(errors.Conflict, match="App chat was deleted"):
        await execute(process, APP, operations.OwnChild(CHAT, restored), operations.CreateFlow(CHAT, given.flow_hash("v1"), "chat-v1"))
    assert script.bodies("PATCH", path) == []


async def test_a_child_that_was_deleted_before_it_was_read_is_created_again(process: Process, script: Script) -> None:
    """A quota that was changed meanwhile is also a conflict."""
    script.on("PATCH", SERVICE_PATH, failure(409, "Conflict")).on("GET", SERVICE_PATH, failure(404, "NotFound"))
    with pytest.raises(errors.Conflict):
        await execute(process, APP, operations.CreateChild(CHAT, service(), "d"))
    assert problem(process, service()) is None


@pytest.mark.parametrize("found", [{"immutable": False}, {"immutable": None}, {"data": {"flow": "another"}}, {"data": None}])
async def test_config_map_that_is_not_the_flow_or_may_change_is_left_alone(process: Process, script: Script, found: Manifest) -> None:
    flow = config_map(CHAT, given.flow_hash("v1"), given.flow("v1"))
    path = at(BY_KIND[CONFIG_MAP.kind], flow["metadata"]["name"])
    script.on("GET", at(VERSIONS, "chat-v1"), given.version_manifest("v1"))
    script.on("POST", at(BY_KIND[CONFIG_MAP.kind]), failure(409, "AlreadyExists")).on("GET", path, stored({**flow, **found}))
    with pytest.raises(errors.Conflict):
        await execute(process, APP, operations.CreateFlow(CHAT, given.flow_hash("v1"), "chat-v1"))
    noted = problem(process, flow)
    assert noted is not None
    assert (noted.reason, noted.other_app) == (ProblemReason.TAKEN, "")
    assert [sent.method for sent in script.writes()] == ["POST"]


async def test_a_restored_flow_is_adopted_unchanged(process: Process, script: Script) -> None:
    flow = config_map(CHAT, given.flow_hash("v1"), given.flow("v1"))
    path = at(BY_KIND[CONFIG_MAP.kind], flow["metadata"]["name"])
    restored = {**flow, "metadata": {**flow["metadata"], "ownerReferences": []}}
    script.on("GET", APP_PATH, THERE)
    script.on("GET", at(VERSIONS, "chat-v1"), given.version_manifest("v1"))
    script.on("POST", at(BY_KIND[CONFIG_MAP.kind]), failure(409, "AlreadyExists")).on("GET", path, stored(restored))
    script.on("PATCH", path, stored(flow, 2))
    await execute(process, APP, operations.CreateFlow(CHAT, given.flow_hash("v1"), "chat-v1"))
    (patch,) = script.bodies("PATCH", path)
    assert patch["metadata"]["ownerReferences"] == [owner(CHAT)]
    assert "data" not in patch
    assert problem(process, flow) is None


# Apply.


async def test_child_is_applied_to_the_object_that_was_observed(process: Process, script: Script) -> None:
    observed = managed(service(), "Apply", 4, uid="uid-observed")
    script.on("PATCH", SERVICE_PATH, managed(service(), "Apply", 5, uid="uid-observed"))
    await execute(process, APP, operations.ApplyChild(CHAT, service(), observed, "d", "spec.type"))
    (sent,) = script.sent
    assert sent.query["force"] == "true"
    assert sent.body["metadata"]["uid"] == "uid-observed"


async def test_fields_of_a_post_go_to_apply_first(process: Process, script: Script) -> None:
    script.on("PATCH", SERVICE_PATH, managed(service(), "Apply", 5))
    await execute(process, APP, operations.ApplyChild(CHAT, service(), managed(service(), "Update", 4), "d", "spec.type"))
    assert [isinstance(sent.body, list) for sent in script.sent] == [True, False]


async def test_fields_of_another_manager_that_the_api_server_refuses_are_replaced(process: Process, script: Script) -> None:
    """Without managedFields no item of a list has a known owner: the whole spec is patched, and becomes the operator's again."""
    refused = failure(422, "Invalid", "duplicate port")
    script.on("PATCH", SERVICE_PATH, refused, managed(service(), "Update", 6), managed(service(), "Apply", 7))
    observed = managed(service(), "Apply", 4)
    await execute(process, APP, operations.ApplyChild(CHAT, service(), observed, "d", "spec.type"))
    applied, patched, adopted = script.bodies("PATCH", SERVICE_PATH)
    assert patched == {"metadata": {"uid": observed["metadata"]["uid"], "resourceVersion": "4"}, "spec": service()["spec"]}
    assert (applied["kind"], isinstance(adopted, list)) == ("Service", True)
    assert (cached(process, service()) or {})["metadata"]["resourceVersion"] == "7"


async def test_apply_that_stays_refused_is_a_problem(process: Process, script: Script) -> None:
    script.on("PATCH", SERVICE_PATH, failure(422, "Invalid", "spec.ports: Required value"))
    await execute(process, APP, operations.ApplyChild(CHAT, service(), managed(service(), "Apply", 4), "d", "spec.ports"))
    found = problem(process, service())
    assert found is not None
    assert (found.reason, found.digest) == (ProblemReason.REFUSED, "d")


# Owners, deletions, replicas.


async def test_child_of_a_restore_gets_its_owner_and_keeps_its_content(process: Process, script: Script) -> None:
    script.on("PATCH", SERVICE_PATH, stored(service(), 2)).on("GET", APP_PATH, THERE)
    observed = stored(service())
    await execute(process, APP, operations.OwnChild(CHAT, observed))
    assert script.bodies("PATCH", SERVICE_PATH) == [{"metadata": {**OBSERVED, "ownerReferences": [owner(CHAT)]}}]


@pytest.mark.parametrize(("keep", "policy"), [(False, "Background"), (True, "Orphan")])
async def test_child_is_deleted_as_it_was_observed(process: Process, script: Script, keep: bool, policy: str) -> None:
    script.on("DELETE", SERVICE_PATH, NAMED)
    observed = stored(service())
    await execute(process, APP, operations.DeleteChild(observed, keep))
    (options,) = script.bodies("DELETE", SERVICE_PATH)
    assert options == {"preconditions": OBSERVED, "propagationPolicy": policy}


@pytest.mark.parametrize(
    ("answer", "is_there"),
    [
        ({"kind": "Status", "status": "Success", "metadata": {}}, False),
        (failure(404, "NotFound"), False),
        (failure(409, "Conflict"), True),
        (stored({**service(), "metadata": {**service()["metadata"], "finalizers": ["example.test/held"]}}), True),
    ],
    ids=["deleted", "gone before", "written since", "held by a finalizer"],
)
async def test_the_next_reconcile_sees_no_child_that_was_deleted(process: Process, script: Script, answer: Any, is_there: bool) -> None:
    """Its event may arrive later: an App whose slice at the gate is deleted must not fall asleep."""
    script.on("DELETE", SERVICE_PATH, answer)
    process.cache.update(SERVICES, stored(service()))
    await execute(process, APP, operations.DeleteChild(stored(service())))
    assert (cached(process, service()) is not None) is is_there


async def test_replicas_are_set_by_a_manager_of_their_own(process: Process, script: Script) -> None:
    script.on("PATCH", f"{WORKLOAD_PATH}/scale", NAMED).on("GET", WORKLOAD_PATH, stored(workload(1), 2))
    await execute(process, APP, operations.ScaleWorkload(stored(workload()), 1))
    (sent,) = script.writes()
    assert (sent.query["fieldManager"], sent.body) == (names.REPLICAS_MANAGER, {"metadata": OBSERVED, "spec": {"replicas": 1}})


async def test_the_next_reconcile_sees_the_replicas_that_were_set(process: Process, script: Script) -> None:
    """Its event may arrive after those of the ending pods: an App that falls asleep must not look awake."""
    script.on("PATCH", f"{WORKLOAD_PATH}/scale", NAMED).on("GET", WORKLOAD_PATH, stored(workload(0), 2))
    process.cache.update(WORKLOADS, stored(workload(1)))
    await execute(process, APP, operations.ScaleWorkload(stored(workload(1)), 0))
    assert (cached(process, workload()) or {})["spec"]["replicas"] == 0


@pytest.mark.parametrize(("found", "sent"), [(2, ["1", "7"]), (5, ["1"])], ids=["its status was written", "somebody scaled it"])
async def test_replicas_that_somebody_set_meanwhile_are_left_alone(process: Process, script: Script, found: int, sent: list[str]) -> None:
    script.on("PATCH", f"{WORKLOAD_PATH}/scale", failure(409, "Conflict"), NAMED)
    script.on("GET", WORKLOAD_PATH, stored(workload(found), 7))
    await execute(process, APP, operations.ScaleWorkload(stored(workload(2)), 1))
    assert [body["metadata"]["resourceVersion"] for body in script.bodies("PATCH", f"{WORKLOAD_PATH}/scale")] == sent


# Writes since the observation.


async def test_an_apply_names_the_version_that_it_was_decided_from(process: Process, script: Script) -> None:
    script.on("PATCH", SERVICE_PATH, managed(service(), "Apply", 5))
    await execute(process, APP, operations.ApplyChild(CHAT, service(), managed(service(), "Apply", 4), "d", "spec.type"))
    (body,) = script.bodies("PATCH", SERVICE_PATH)
    assert {key: body["metadata"][key] for key in OBSERVED} == {**OBSERVED, "resourceVersion": "4"}


async def test_an_apply_to_what_only_got_another_status_is_sent_again(process: Process, script: Script) -> None:
    """Controllers write the status of a workload all the time during a rollout."""
    script.on("PATCH", WORKLOAD_PATH, failure(409, "Conflict"), managed(workload(), "Apply", 8))
    script.on("GET", WORKLOAD_PATH, managed(workload(), "Apply", 7, generation=3))
    observed = managed(workload(), "Apply", 4, generation=3)
    await execute(process, APP, operations.ApplyChild(CHAT, workload(), observed, "d", "spec"))
    assert [body["metadata"]["resourceVersion"] for body in script.bodies("PATCH", WORKLOAD_PATH)] == ["4", "7"]


@pytest.mark.parametrize(
    "found",
    [
        managed(service(clusterIP="10.0.0.9"), "Apply", 7),
        managed(service(), "Apply", 7, uid="another"),
        managed(service(), "Apply", 7, generation=2),
    ],
    ids=["another spec", "another object", "another generation"],
)
async def test_an_apply_to_what_was_changed_is_decided_anew(process: Process, script: Script, found: Manifest) -> None:
    script.on("PATCH", SERVICE_PATH, failure(409, "Conflict")).on("GET", SERVICE_PATH, found)
    with pytest.raises(errors.Conflict):
        await execute(process, APP, operations.ApplyChild(CHAT, service(), managed(service(), "Apply", 4), "d", "spec.type"))
    assert [sent.method for sent in script.writes()] == ["PATCH"]


async def test_an_apply_to_what_is_written_on_and_on_ends(process: Process, script: Script) -> None:
    script.on("PATCH", SERVICE_PATH, failure(409, "Conflict")).on("GET", SERVICE_PATH, managed(service(), "Apply", 7))
    with pytest.raises(errors.Conflict):
        await execute(process, APP, operations.ApplyChild(CHAT, service(), managed(service(), "Apply", 4), "d", "spec.type"))
    assert len(script.writes()) == ATTEMPTS


# ConfigMaps and Secrets that pods mount.


async def test_flow_is_read_from_its_version_and_written_as_it_is(process: Process, script: Script) -> None:
    flow = config_map(CHAT, given.flow_hash("v1"), given.flow("v1"))
    script.on("GET", at(VERSIONS, "chat-v1"), given.version_manifest("v1"))
    script.on("POST", at(BY_KIND[CONFIG_MAP.kind]), stored(flow))
    await execute(process, APP, operations.CreateFlow(CHAT, given.flow_hash("v1"), "chat-v1"))
    (created,) = script.bodies("POST", at(BY_KIND[CONFIG_MAP.kind]))
    assert created["data"] == {"flow": given.flow("v1")}


async def test_version_that_was_made_again_with_another_flow_is_not_written(process: Process, script: Script) -> None:
    script.on("GET", at(VERSIONS, "chat-v1"), given.version_manifest("v2"))
    with pytest.raises(errors.Conflict, match="another flow"):
        await execute(process, APP, operations.CreateFlow(CHAT, given.flow_hash("v1"), "chat-v1"))
    assert script.writes() == []


@pytest.mark.parametrize("answer", [NAMED, failure(409, "AlreadyExists")])
async def test_access_keys_are_created_once_and_then_observed(process: Process, script: Script, answer: Any) -> None:
    script.on("POST", at(SECRETS), answer).on("GET", KEYS_PATH, stored(access_keys(CHAT, "")))
    state = process.states.of(APP)
    state.access_keys = AccessKeys(KeysPresence.ABSENT)
    await execute(process, APP, operations.CreateAccessKeys(CHAT))
    (created,) = script.bodies("POST", at(SECRETS))
    assert created["stringData"] == {"default": FIRST_KEY}
    assert state.access_keys is None, "the next reconcile reads the Secret"


async def test_access_keys_of_a_deleted_app_of_the_same_name_are_waited_for(process: Process, script: Script) -> None:
    """Callers of the deleted App would otherwise have access to the new one."""
    before = access_keys(CHAT, "")
    before["metadata"]["ownerReferences"] = [BEFORE]
    script.on("POST", at(SECRETS), failure(409, "AlreadyExists")).on("GET", KEYS_PATH, stored(before))
    with pytest.raises(errors.Conflict, match="of the App that had this name before is being deleted"):
        await execute(process, APP, operations.CreateAccessKeys(CHAT))


async def test_access_keys_that_may_not_be_created_are_a_problem(process: Process, script: Script) -> None:
    script.on("POST", at(SECRETS), failure(403, "Forbidden", "quota"))
    await execute(process, APP, operations.CreateAccessKeys(CHAT))
    found = problem(process, access_keys(CHAT, ""))
    assert found is not None
    assert found.reason is ProblemReason.DENIED


async def test_the_key_for_callbacks_is_created_once_and_shown_in_no_log(process: Process, script: Script, caplog: Any) -> None:
    script.on("POST", at(SECRETS), NAMED)
    state = process.states.of(APP)
    state.callback_key = CallbackKey(KeysPresence.ABSENT)
    with caplog.at_level("DEBUG"):
        await execute(process, APP, operations.CreateCallbackKey(CHAT))
    (created,) = script.bodies("POST", at(SECRETS))
    assert (created["metadata"]["name"], list(created["stringData"])) == (names.callback_key("chat"), ["key"])
    assert created["metadata"]["ownerReferences"] == [owner(CHAT)], "it is deleted with its App"
    assert created["stringData"]["key"] not in caplog.text
    assert state.callback_key is None, "the next reconcile reads the Secret"


async def test_a_key_for_callbacks_that_exists_is_left_as_it_is(process: Process, script: Script) -> None:
    existing = SECRETS.path(CHAT.meta.namespace, names.callback_key("chat"))
    script.on("POST", at(SECRETS), failure(409, "AlreadyExists")).on("GET", existing, stored(callback_key(CHAT, "")))
    await execute(process, APP, operations.CreateCallbackKey(CHAT))
    assert [sent.method for sent in script.writes()] == ["POST"]


# Runs.


def job() -> Manifest:
    return child(CHAT, JOB, "nightly-1", spec={}) | {
        "metadata": {**child(CHAT, JOB, "nightly-1")["metadata"], "labels": names.labels(given.NAME) | {names.TRIGGER_LABEL: "nightly"}}
    }


async def test_run_is_created_once(process: Process, script: Script) -> None:
    script.on("POST", at(JOBS), stored(job()))
    await execute(process, APP, operations.RunOnce(CHAT, job(), "d"))
    assert cached(process, job()) is not None


async def test_run_that_exists_was_made_before(process: Process, script: Script) -> None:
    script.on("POST", at(JOBS), failure(409, "AlreadyExists")).on("GET", at(JOBS, "nightly-1"), stored(job()))
    await execute(process, APP, operations.RunOnce(CHAT, job(), "d"))
    assert cached(process, job()) is not None
    assert problem(process, job()) is None


@pytest.mark.parametrize("labels", [{}, names.labels(given.NAME)])
async def test_job_of_that_name_that_is_no_run_is_left_alone(process: Process, script: Script, labels: dict[str, str]) -> None:
    found = {"metadata": {"name": "nightly-1", "labels": labels}}
    script.on("POST", at(JOBS), failure(409, "AlreadyExists")).on("GET", at(JOBS, "nightly-1"), stored(found))
    await execute(process, APP, operations.RunOnce(CHAT, job(), "d"))
    noted = problem(process, job())
    assert noted is not None
    assert noted.reason is ProblemReason.TAKEN
