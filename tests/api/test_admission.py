"""Admission policies: what they stamp and refuse, request by request, for rows, Apps, AppChanges, statuses, flows and restorers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Row
from dynamiq_operator.plan.status.row_status import given_up_status
from local.clusters import Cluster
from tests.support.admission import (
    ADMIN,
    COLLECTOR,
    NOBODY,
    OPERATOR,
    PRUNE,
    RESTORING,
    SYNC,
    SYSTEM,
    admin,
    adopt,
    essence,
    flow_map,
    made,
    operator,
    owned_by,
    refused,
    restorer,
    set_status,
    without_stamps,
)
from tests.support.api import Answer, Api, Manifest, path
from tests.support.factories import (
    Modifier,
    annotated,
    app_change_manifest,
    app_manifest,
    asking,
    in_namespace,
    live,
    numbered,
    row_manifest,
    runtime_manifest,
    with_meta,
    with_spec,
)

pytestmark = pytest.mark.usefixtures("guarded")

STRANGER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": NOBODY}
PROTECTED = with_spec(history={"protect": True})


def row(namespace: str, *modifiers: Modifier, name: str = "first") -> Manifest:
    return row_manifest(name, in_namespace(namespace), asking(message="why"), *modifiers)


def app(namespace: str, *modifiers: Modifier) -> Manifest:
    return app_manifest(in_namespace(namespace), *modifiers)


def change(namespace: str, *modifiers: Modifier) -> Manifest:
    return app_change_manifest(in_namespace(namespace), *modifiers)


# Rows: created.


@pytest.mark.stamped
def test_a_row_has_its_creator_and_no_owner(api: Api, namespace: str) -> None:
    found = made(api.create(row(namespace, with_spec(createdBy="mallory"), with_meta(ownerReferences=[STRANGER], finalizers=["a.test/b"]))))
    assert found["spec"]["createdBy"] == ADMIN
    assert not {"ownerReferences", "finalizers"} & found["metadata"].keys()
    assert found["metadata"]["annotations"] == {SYNC: "Prune=false", PRUNE: "disabled"}


@pytest.mark.stamped
@pytest.mark.parametrize("who", [operator, restorer], ids=["operator", "restorer"])
def test_the_operator_and_restorers_name_the_author(api: Api, namespace: str, who: Callable[[Api], Api]) -> None:
    found = made(who(api).create(row(namespace, with_spec(createdBy="ada"))))
    assert found["spec"]["createdBy"] == "ada"
    assert made(who(api).create(row(namespace, name="second")))["spec"]["createdBy"] in (OPERATOR, "restorer")


@pytest.mark.stamped
def test_only_the_operators_own_rows_have_an_owner_at_their_creation(api: Api, namespace: str) -> None:
    """The owner lets the row be deleted together with its App, if that happens at this moment. A backup's rows name a deleted App."""
    owner = made(api.create(app(namespace)))
    owned = with_meta(ownerReferences=[owned_by(owner, controller=True)], finalizers=["a.test/b"])
    found = made(operator(api).create(row(namespace, owned)))["metadata"]
    assert (found["ownerReferences"], found.get("finalizers")) == ([owned_by(owner, controller=True)], None)
    for name, who in (("second", api), ("third", restorer(api))):
        assert not {"ownerReferences", "finalizers"} & made(who.create(row(namespace, owned, name=name)))["metadata"].keys()


COMPLETED = {"sequence": numbered(1), "pinned and outcome": live(1)}


@pytest.mark.parametrize("what", COMPLETED)
def test_a_completed_row_is_created_by_the_operator_or_a_restorer(api: Api, namespace: str, what: str) -> None:
    manifest = row(namespace, COMPLETED[what])
    refused(api.create(manifest), "written by the operator, not by admin: leave them out", "dynamiq:restorers")
    for name, who in (("second", operator(api)), ("third", restorer(api))):
        manifest["metadata"]["name"] = name
        assert made(who.create(manifest))["spec"]["sequence"] == 1


SYNC_OPTIONS = {
    "": "Prune=false",
    "Prune=false": "Prune=false",
    "ServerSideApply=true": "ServerSideApply=true,Prune=false",
    "Prune=true, Validate=false": "Validate=false,Prune=false",
    "Validate=false , Prune=false": "Validate=false , Prune=false",
}


@pytest.mark.stamped
@pytest.mark.parametrize("sent", SYNC_OPTIONS)
@pytest.mark.parametrize("make", [row, app], ids=["row", "App"])
def test_argo_cd_prunes_nothing(api: Api, namespace: str, make: Callable[..., Manifest], sent: str) -> None:
    found = made(api.create(make(namespace, annotated(**{SYNC: sent, "kept": "yes"}))))
    assert found["metadata"]["annotations"] == {SYNC: SYNC_OPTIONS[sent], PRUNE: "disabled", "kept": "yes"}
    for taken in ({SYNC: None, PRUNE: None}, None):
        again = made(api.merge(found, {"metadata": {"annotations": taken}}))["metadata"]["annotations"]
        assert (again[SYNC].split(",")[-1].strip(), again[PRUNE]) == ("Prune=false", "disabled")


def test_a_row_without_a_spec_is_refused_by_its_schema(api: Api, namespace: str) -> None:
    empty = row(namespace)
    del empty["spec"]
    answer = api.create(empty)
    assert answer.status == 422, answer.message
    assert "spec: Required value" in answer.message


# Rows: updated.


def stored(api: Api, namespace: str) -> tuple[Manifest, Manifest]:
    """Returns an App and a completed row that it owns."""
    owner = made(api.create(app(namespace)))
    found = made(restorer(api).create(row(namespace, live(1), with_spec(createdBy="ada"))))
    adopt(api, owner, found)
    return owner, made(api.read(found))


CHANGES: dict[str, Manifest] = {
    "a finalizer": {"metadata": {"finalizers": ["a.test/b"]}},
    "an owner that does not exist": {"metadata": {"ownerReferences": [STRANGER]}},
    "sequence": {"spec": {"sequence": 2}},
    "outcome": {"spec": {"outcome": {"reason": "better"}}},
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_row_stays_as_it_is(api: Api, namespace: str, what: str) -> None:
    _, found = stored(api, namespace)
    answer = api.merge(found, CHANGES[what])
    assert answer.status in (403, 422), answer.message
    assert essence(made(api.read(found))) == essence(found)


@pytest.mark.stamped
def test_fields_that_an_update_omits_are_kept(api: Api, namespace: str) -> None:
    _, found = stored(api, namespace)
    sparse = copy.deepcopy(found)
    sparse["spec"] = {"app": found["spec"]["app"]}
    del sparse["metadata"]["ownerReferences"]
    again = made(api.replace(sparse))
    assert essence(again) == essence(found)
    assert again["metadata"]["generation"] == found["metadata"]["generation"]
    for field in ("createdBy", "pinned"):
        assert essence(made(api.merge(found, {"spec": {field: None}}))) == essence(found)


@pytest.mark.stamped
def test_an_author_that_is_sent_again_changes_nothing(api: Api, namespace: str) -> None:
    _, found = stored(api, namespace)
    assert essence(made(admin(api, "eve").merge(found, {"spec": {"createdBy": "eve"}}))) == essence(found)


def test_the_operator_completes_and_owns_a_row(api: Api, namespace: str) -> None:
    owner, found = made(api.create(app(namespace))), made(api.create(row(namespace)))
    completed = row(namespace, live(1))["spec"]
    for part in ({"sequence": 1}, {"pinned": completed["pinned"]}, {"outcome": completed["outcome"]}):
        refused(api.merge(found, {"spec": part}), "leave them out")
        made(operator(api).merge(found, {"spec": part}))
    adopt(api, owner, found)
    assert made(api.read(found))["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]


@pytest.mark.parametrize("user", SYSTEM)
def test_the_cluster_may_let_go_of_a_row(api: Api, namespace: str, user: str) -> None:
    _, found = stored(api, namespace)
    found = made(admin(api, user).merge(found, {"metadata": {"ownerReferences": None, "finalizers": ["foregroundDeletion"]}}))
    assert "ownerReferences" not in found["metadata"]
    assert admin(api, user).merge(found, {"spec": {"outcome": {"reason": "better"}}}).status == 422
    again = made(admin(api, user).merge(found, {"metadata": {"finalizers": None}}))
    assert "finalizers" not in again["metadata"]


# Rows: deleted.


def reading(api: Api, found: Manifest, status: Manifest) -> Manifest:
    """Returns the row once the operator has written its status."""
    return made(operator(api).merge(found, {"status": status}, subresource="/status"))


def given_up(found: Manifest, phase: str = "Failed") -> Manifest:
    """Returns the status of a row whose App never existed. An older operator left it Pending."""
    status = given_up_status(Row.of(found), datetime.now(UTC), "App chat does not exist")
    return {**status.as_json(), "phase": phase}


def test_a_user_who_may_delete_rows_deletes_one_without_an_app(api: Api, namespace: str) -> None:
    found = made(api.create(row(namespace)))
    reading(api, found, given_up(found))
    answer = api.acting_as("eve").delete(found)
    assert (answer.status, "eve" in answer.message, "ValidatingAdmissionPolicy" in answer.message) == (403, True, False), "RBAC's word"
    made(admin(api, "eve").delete(found))
    assert api.read(found).status == 404


def test_no_other_row_is_deleted(api: Api, namespace: str) -> None:
    _, of_app = stored(api, namespace)
    reading(api, of_app, {"phase": "Live"})
    new, waiting, open_still, numbered_since = (
        made(api.create(row(namespace, name=name))) for name in ("new", "waiting", "open-still", "numbered-since")
    )
    reading(api, waiting, {"phase": "Pending"})
    reading(api, open_still, given_up(open_still, "Pending"))
    reading(api, numbered_since, given_up(numbered_since))
    made(operator(api).merge(numbered_since, {"spec": {"sequence": 2}}))
    rows = (of_app, new, waiting, open_still, numbered_since)
    for found in rows:
        refused(admin(api, ADMIN).delete(found), f"row {found['metadata']['name']} is history, and admin may not delete it")
    refused(admin(api, ADMIN).request("DELETE", path(new, named=False)), "is history")
    assert all(api.read(found).ok for found in rows)


# Statuses.


@pytest.mark.parametrize("make", [row, app], ids=["row", "App"])
def test_a_status_is_written_by_the_operator_alone(api: Api, namespace: str, make: Callable[..., Manifest]) -> None:
    found = made(api.create(make(namespace)))
    for user in (ADMIN, *SYSTEM):
        refused(set_status(admin(api, user), found), "status is written by the operator")
    # The role has no right on statuses: RBAC refuses a restorer first.
    assert set_status(restorer(api), found).status == 403
    refused(api.apply({**make(namespace), "status": {}}, subresource="/status"))
    made(set_status(operator(api), found))


# Apps.


def deploys(api: Api, namespace: str, user: str, deploy: Manifest | None) -> str | None:
    """Replaces the App with this `spec.deploy` as `user`, and returns the stamped `changedBy`."""
    found = made(api.read(app(namespace)))
    found["spec"].pop("deploy", None)
    if deploy is not None:
        found["spec"]["deploy"] = deploy
    changed_by: str | None = made(admin(api, user).replace(found))["spec"].get("deploy", {}).get("changedBy")
    return changed_by


@pytest.mark.stamped
def test_spec_deploy_has_the_user_who_changed_it(api: Api, namespace: str) -> None:
    first = made(admin(api, "ada").create(app(namespace, with_spec(deploy={"workflowVersion": "v1", "changedBy": "mallory"}))))
    assert first["spec"]["deploy"]["changedBy"] == "ada"
    config = {"autoscaling": {"maxReplicas": 3}}
    table: list[tuple[str, Manifest | None, str | None]] = [
        ("bob", {"workflowVersion": "v1"}, "ada"),
        ("bob", {"workflowVersion": "v1", "changedBy": "bob"}, "ada"),
        ("bob", {"workflowVersion": "v1", "changedBy": "ada"}, "ada"),
        ("bob", {"workflowVersion": "v2", "changedBy": "ada"}, "bob"),
        ("ada", {"workflowVersion": "v2", "message": "why"}, "ada"),
        ("bob", {"workflowVersion": "v2", "message": "why", "config": config}, "bob"),
        ("ada", {"workflowVersion": "v2", "message": "why", "config": config}, "bob"),
        ("ada", {"workflowVersion": "v2", "config": config}, "ada"),
        ("bob", {}, "bob"),
        ("ada", {"changedBy": "ada"}, "bob"),
        ("ada", None, None),
        ("ada", {}, "ada"),
        ("bob", {"runtime": "tiny-2"}, "bob"),
        (OPERATOR, {"runtime": "tiny-2"}, "bob"),
    ]
    assert [deploys(api, namespace, user, deploy) for user, deploy, _ in table] == [said for *_, said in table]
    print(f"{len(table) + 1} changes and repeats of spec.deploy: each names who changed it last")


NUMBERS, TEXTS = (
    {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": half}}
    for cpu, memory, half in ((2, 1 << 30, 0.5), ("2", "1073741824", "0.5"))
)


@pytest.mark.stamped
def test_an_amount_is_stored_as_a_text_though_it_was_a_number(api: Api, namespace: str) -> None:
    """`2` and `"2"` are one amount with one digest: sending either again changes nothing."""
    ada, bob = admin(api, "ada"), admin(api, "bob")
    sent = row(namespace, asking(config={"type": "server", "resources": NUMBERS}), name="amounts")
    stored = made(ada.create(sent))
    assert stored["spec"]["config"]["resources"] == TEXTS
    for resources in (NUMBERS, TEXTS):
        assert made(bob.merge(stored, {"spec": {"config": {"resources": resources}}}))["metadata"]["generation"] == 1
    deploy = {"workflowVersion": "v1", "config": {"resources": NUMBERS}}
    declared = made(ada.create(app_manifest(in_namespace(namespace), with_spec(deploy=deploy), name="amounts")))
    assert declared["spec"]["deploy"]["config"]["resources"] == TEXTS
    merged = made(bob.merge(declared, {"spec": {"deploy": deploy}}))
    assert (merged["spec"]["deploy"]["changedBy"], merged["metadata"]["generation"]) == ("ada", 1)
    runtime = made(ada.create(runtime_manifest(with_spec(resources=NUMBERS), name=f"{namespace}-amounts")))
    try:
        assert runtime["spec"]["resources"] == TEXTS
    finally:
        api.delete(runtime)


@pytest.mark.stamped
@pytest.mark.parametrize("amount", [True, -1, 1e30], ids=str)
def test_an_invalid_amount_stays_refused(api: Api, namespace: str, amount: object) -> None:
    sent = row(namespace, asking(config={"type": "server", "resources": {"requests": {"cpu": amount}}}), name="no-amount")
    answer = admin(api, "ada").create(sent)
    assert (answer.status, "spec.config.resources.requests.cpu" in answer.message) == (422, True)


@pytest.mark.stamped
def test_settings_have_the_user_who_changed_them(api: Api, namespace: str) -> None:
    """Somebody replaces the App for each case: the fields that they set, and the user that the App then names."""
    spec = made(admin(api, "ada").create(app(namespace, with_spec(settingsChangedBy="mallory"))))["spec"]
    assert spec["settingsChangedBy"] == "ada"
    model, key = {"name": "MODEL", "value": "large"}, {"name": "KEY", "value": "a"}
    table: list[tuple[str, Manifest, str]] = [
        ("bob", {}, "ada"),
        ("bob", {"settingsChangedBy": "bob"}, "ada"),
        ("bob", {"settingsChangedBy": None}, "ada"),
        ("bob", {"variables": [model], "settingsChangedBy": "ada"}, "bob"),
        ("ada", {"deploy": {"workflowVersion": "v1"}}, "bob"),
        ("ada", {"variables": [key, model]}, "ada"),
        ("bob", {"variables": [{**key, "value": "b"}, model]}, "bob"),
        ("ada", {"variables": None}, "ada"),
        ("bob", {"access": {"type": "public"}}, "bob"),
        ("ada", {"access": {"type": "public"}, "deploy": None}, "bob"),
        ("ada", {"suspend": True}, "ada"),
        (OPERATOR, {"suspend": True}, "ada"),
    ]
    authors = []
    for user, fields, _ in table:
        found = made(api.read(app(namespace)))
        found["spec"] = {name: value for name, value in {**found["spec"], **fields}.items() if value is not None}
        authors.append(made(admin(api, user).replace(found))["spec"]["settingsChangedBy"])
    assert authors == [by for *_, by in table]
    patched = made(admin(api, "eve").merge(app(namespace), {"spec": {"description": "Answers questions"}}))
    assert patched["spec"]["settingsChangedBy"] == "eve"
    assert made(admin(api, "bob").merge(patched, {"metadata": {"labels": {"team": "a"}}}))["spec"] == patched["spec"]


# AppChanges.


@pytest.mark.parametrize("user", [ADMIN, *SYSTEM])
def test_a_change_of_settings_is_recorded_by_the_operator_alone(api: Api, namespace: str, user: str) -> None:
    refused(admin(api, user).create(change(namespace)), f"only the operator writes AppChanges, not {user}", "change the App")
    owner = made(api.create(app(namespace)))
    assert made(operator(api).create(change(namespace, with_meta(ownerReferences=[owned_by(owner)]))))["metadata"]["ownerReferences"]


def test_a_record_of_settings_stays(api: Api, namespace: str) -> None:
    owner = made(api.create(app(namespace)))
    found = made(operator(api).create(change(namespace, with_meta(ownerReferences=[owned_by(owner)]))))
    for who in (api, restorer(api)):
        for metadata in ({"ownerReferences": None}, {"finalizers": ["a.test/b"]}):
            answer = who.merge(found, {"metadata": metadata})
            refused(answer, "ownerReferences and finalizers of an AppChange belong to the operator")
    refused(api.merge(found, {"metadata": {"ownerReferences": [STRANGER]}}), "leave them as they are")
    for options in ({}, {"gracePeriodSeconds": 0}, {"propagationPolicy": "Orphan"}):
        refused(api.delete(found, **options), "AppChange chat-settings-1 is history, and admin may not delete it")
    assert restorer(api).delete(found).status == 403
    assert essence(made(api.read(found))) == essence(found)
    assert operator(api).delete(found).ok


@pytest.mark.parametrize("user", SYSTEM)
def test_the_cluster_may_end_a_record_of_settings(api: Api, namespace: str, user: str) -> None:
    found = made(operator(api).create(change(namespace)))
    made(admin(api, user).merge(found, {"metadata": {"finalizers": ["foregroundDeletion"]}}))
    made(admin(api, user).merge(found, {"metadata": {"finalizers": None}}))
    assert admin(api, user).delete(found).ok


@pytest.mark.stamped
def test_a_restored_record_of_settings_has_no_former_owner(api: Api, namespace: str) -> None:
    owner = made(api.create(app(namespace)))
    old = owned_by(owner, uid=NOBODY)
    sent = change(namespace, with_meta(ownerReferences=[old]))
    found = made(restorer(api).create(sent))
    assert (found["spec"], "ownerReferences" in found["metadata"]) == (sent["spec"], False)
    refused(restorer(api).create(change(namespace, with_meta(name="other", ownerReferences=[STRANGER]))), "leave them out")
    made(operator(api).merge(found, {"metadata": {"ownerReferences": [owned_by(owner)]}}))
    again = made(restorer(api).merge(found, {"metadata": {"ownerReferences": [old]}}))
    assert again["metadata"]["ownerReferences"] == [owned_by(owner)]


def test_a_protected_app_stays(api: Api, namespace: str) -> None:
    found = made(api.create(app(namespace, PROTECTED)))
    for user in (ADMIN, OPERATOR, COLLECTOR):
        for options in ({}, {"propagationPolicy": "Foreground"}, {"propagationPolicy": "Orphan"}):
            refused(admin(api, user).delete(found, **options), "set spec.history.protect to false first")
    refused(api.merge(found, {"metadata": {"ownerReferences": [STRANGER]}}), "set spec.history.protect to false first")
    made(api.merge(found, {"spec": {"history": {"protect": False}}}))
    assert api.delete(found).ok


# Flows.


FLOW_CHANGES: dict[str, Manifest] = {
    "a label": {"metadata": {"labels": {names.MANAGED_BY: "me"}}},
    "no labels": {"metadata": {"labels": None}},
    "its hash": {"metadata": {"annotations": {names.FLOW_HASH_ANNOTATION: "sha256:0"}}},
    "an annotation more": {"metadata": {"annotations": {"a": "b"}}},
    "an owner that does not exist": {"metadata": {"ownerReferences": [STRANGER]}},
    "a finalizer": {"metadata": {"finalizers": ["a.test/b"]}},
}


@pytest.mark.parametrize("owned", [False, True], ids=["restored", "owned"])
def test_the_configmap_of_a_flow_stays(api: Api, namespace: str, owned: bool) -> None:
    owner = made(api.create(app(namespace)))
    found = made(operator(api).create(flow_map(namespace, **({"ownerReferences": [owned_by(owner)]} if owned else {}))))
    for change in FLOW_CHANGES.values():
        refused(api.merge(found, change), "has a flow that rows name")
    for options in ({}, {"gracePeriodSeconds": 0}, {"propagationPolicy": "Orphan"}):
        refused(api.delete(found, **options), "has a flow that rows name")
    assert api.merge(found, {"data": {"flow": "other"}}).status == 422
    assert made(api.read(found)) == found
    made(operator(api).merge(found, {"metadata": {"annotations": {"a": "b"}}}))
    assert operator(api).delete(found).ok


def test_other_configmaps_are_their_users(api: Api, namespace: str) -> None:
    for name, labels in (("plain", {}), ("labelled", names.labels("chat"))):
        meta = {"name": name, "namespace": namespace, "labels": labels}
        found = made(api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "b"}}))
        made(api.merge(found, {"metadata": {"labels": None, "annotations": {"a": "b"}}, "data": {"a": "c"}}))
        assert api.delete(found).ok


# Restorers.


@pytest.mark.stamped
def test_a_restored_app_is_stamped_and_has_no_owner(api: Api, namespace: str) -> None:
    sent = app(namespace, with_spec(deploy={"workflowVersion": "v1", "changedBy": "ada"}), with_meta(ownerReferences=[STRANGER]))
    sent["spec"]["settingsChangedBy"] = "bob"
    found = made(restorer(api).create(sent))
    assert found["metadata"]["annotations"][RESTORING] == "true"
    assert "ownerReferences" not in found["metadata"]
    assert (found["spec"]["deploy"]["changedBy"], found["spec"]["settingsChangedBy"]) == ("ada", "bob")
    again = made(restorer(api).merge(found, {"metadata": {"ownerReferences": [STRANGER]}}))
    assert "ownerReferences" not in again["metadata"]
    free = made(restorer(api).merge(found, {"metadata": {"annotations": {RESTORING: None}}}))
    assert RESTORING not in free["metadata"]["annotations"]
    assert RESTORING not in made(api.create({**sent, "metadata": {"name": "other", "namespace": namespace}}))["metadata"]["annotations"]


@pytest.mark.stamped
@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_a_restored_object_has_no_former_owner(api: Api, namespace: str, kind: str) -> None:
    owner = made(api.create(app(namespace)))
    old = owned_by(owner, uid=NOBODY)
    meta = {"name": "keys", "namespace": namespace, "ownerReferences": [old]}
    sent = {"apiVersion": "v1", "kind": kind, "metadata": meta}
    found = made(restorer(api).create(sent))
    assert "ownerReferences" not in found["metadata"]
    made(api.merge(found, {"metadata": {"ownerReferences": [owned_by(owner)]}}))
    again = made(restorer(api).merge(found, {"metadata": {"ownerReferences": [owned_by(owner), old]}}))
    assert again["metadata"]["ownerReferences"] == [owned_by(owner)]
    mixed = {**meta, "name": "mixed", "ownerReferences": [old, STRANGER]}
    assert made(restorer(api).create({**sent, "metadata": mixed}))["metadata"]["ownerReferences"] == [STRANGER]
    assert made(api.create({**sent, "metadata": {**meta, "name": "users"}}))["metadata"]["ownerReferences"] == [old]


@pytest.mark.stamped
def test_a_row_that_is_restored_twice_keeps_its_owner(api: Api, namespace: str) -> None:
    sent = row(namespace, live(1), with_spec(createdBy="ada"), with_meta(ownerReferences=[STRANGER], finalizers=["a.test/b"]))
    found = made(restorer(api).create(sent))
    assert essence(made(restorer(api).apply(sent))) == essence(found)
    adopt(api, made(api.create(app(namespace))), found)
    owned = made(api.read(found))
    assert essence(made(restorer(api).apply(sent))) == essence(owned)


# Without the policies that stamp.


def test_no_author_is_forged_without_stamps(cluster: Cluster, api: Api, namespace: str) -> None:
    def creates(*modifiers: Modifier, make: Callable[..., Manifest] = row) -> Answer:
        return api.create(make(namespace, *modifiers), dry_run=True)

    with without_stamps(cluster):
        assert "createdBy" not in made(creates())["spec"]
        assert made(creates(with_spec(createdBy=ADMIN)))["spec"]["createdBy"] == ADMIN
        refused(creates(with_spec(createdBy="mallory")), "leave createdBy of a row out: it must be its author, admin")
        for metadata in ({"ownerReferences": [STRANGER]}, {"finalizers": ["a.test/b"]}):
            refused(creates(with_meta(**metadata)), "leave them out")
        deploy = {"workflowVersion": "v1"}
        made(creates(with_spec(deploy=deploy), make=app))
        refused(creates(with_spec(deploy={**deploy, "changedBy": "mallory"}), make=app), "which is admin")
        found = made(api.create(app(namespace, with_spec(deploy={**deploy, "changedBy": ADMIN}))))
        refused(api.merge(found, {"spec": {"deploy": {"changedBy": "mallory"}}}), "leave changedBy as it is")
        made(admin(api, "bob").merge(found, {"spec": {"description": "unchanged is who asked"}}))
        refused(creates(with_spec(settingsChangedBy="mallory"), make=app), "which is admin", "set it to null")
        set_by = made(api.merge(found, {"spec": {"description": "changed", "settingsChangedBy": ADMIN}}))
        refused(api.merge(set_by, {"spec": {"settingsChangedBy": "mallory"}}), "leave settingsChangedBy as it is")
        refused(admin(api, "bob").merge(set_by, {"spec": {"description": "again"}}), "which is bob")
        made(admin(api, "bob").merge(set_by, {"spec": {"description": "again", "settingsChangedBy": None}}))
        refused(admin(api, "bob").merge(found, {"spec": {"deploy": {"workflowVersion": "v2"}}}), "which is bob", "set it to null")
        made(admin(api, "bob").merge(found, {"spec": {"deploy": {"workflowVersion": "v2", "changedBy": None}}}))
