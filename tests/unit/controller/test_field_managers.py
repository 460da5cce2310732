"""Fields of the operator's POST and patches move to its applies, without loss. `replicas` moves to a manager of its own."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.controller.execute.field_managers import adoption, is_adopted
from dynamiq_operator.model.names import FIELD_MANAGER, REPLICAS_MANAGER

Entry = dict[str, Any]


def entry(operation: str, fields: Entry, *, manager: str = FIELD_MANAGER, **more: str) -> Entry:
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields, **more}


SERVICE: dict[str, Any] = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "chat"}, "spec": {"ports": [{"port": 80}]}}


def observed(*entries: Entry, **spec: Any) -> dict[str, Any]:
    return {**SERVICE, "spec": spec, "metadata": {"resourceVersion": "7", "managedFields": list(entries)}}


def test_a_post_becomes_an_apply_without_replicas() -> None:
    found = observed(entry("Update", {"f:spec": {"f:replicas": {}, "f:template": {}}}))
    assert not is_adopted(SERVICE, found)
    fields, version = adoption(SERVICE, found)
    assert fields["value"] == [
        entry("Update", {"f:spec": {"f:replicas": {}}}, manager=REPLICAS_MANAGER),
        entry("Apply", {"f:spec": {"f:template": {}}}),
    ]
    assert version == {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}
    assert is_adopted(SERVICE, observed(*fields["value"]))


def test_a_patch_after_an_apply_adds_to_what_the_apply_owns() -> None:
    applied = entry("Apply", {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:type": {}}})
    patched = entry("Update", {"f:spec": {"f:ports": {"k:{}": {".": {}}}}})
    (made,) = adoption(SERVICE, observed(applied, patched))[0]["value"]
    assert made == entry("Apply", {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:type": {}, "f:ports": {"k:{}": {".": {}}}}})


def test_fields_of_other_managers_keep_their_owner() -> None:
    others = [entry("Update", {"f:spec": {}}, manager="kubectl"), entry("Update", {"f:status": {}}, subresource="status")]
    assert is_adopted(SERVICE, observed(*others))
    assert adoption(SERVICE, observed(*others, entry("Update", {"f:spec": {}})))[0]["value"][:2] == others


def test_an_item_that_another_manager_added_to_a_list_of_ours_goes_with_our_next_apply() -> None:
    ours = entry("Apply", {"f:spec": {"f:ports": {'k:{"port":80}': {".": {}, "f:port": {}}}}})
    theirs = entry(
        "Update", {"f:spec": {"f:ports": {'k:{"port":81}': {".": {}, "f:port": {}}}, "f:sessionAffinity": {}}}, manager="kubectl"
    )
    found = observed(ours, theirs, ports=[{"port": 80}, {"port": 81}], sessionAffinity="ClientIP")
    assert not is_adopted(SERVICE, found)
    left, made = adoption(SERVICE, found)[0]["value"]
    assert left == {**theirs, "fieldsV1": {"f:spec": {"f:sessionAffinity": {}}}}
    assert made == entry("Apply", {"f:spec": {"f:ports": {f'k:{{"port":{port}}}': {".": {}, "f:port": {}} for port in (80, 81)}}})
