"""What never changes, and what is set once, against every way to change it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.record import RecordSpec
from local.clusters import Cluster
from tests.api.support.schema.frozen import (
    APPROVAL_NEVER,
    ASKED,
    CHANGE_NEVER,
    CHANGED,
    COMPLETED,
    COMPLETED_OTHERWISE,
    REJECTED,
    REJECTED_OTHERWISE,
    REJECTION_NEVER,
    ROW_NEVER,
    ROW_ONCE,
    RUNTIME_NEVER,
    VERSION_NEVER,
    WITHDRAWN,
    WITHDRAWN_ONCE,
)
from tests.support.api import Answer, Api, fresh_namespace
from tests.support.factories import (
    app_change_manifest,
    approval_manifest,
    asking,
    in_namespace,
    rejection_manifest,
    row_manifest,
    runtime_manifest,
    version_manifest,
    with_meta,
    with_spec,
)


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    with fresh_namespace(Api.of(cluster), "immutable") as name:
        yield name


@pytest.fixture(scope="module")
def stored(cluster: Cluster, namespace: str) -> Iterator[dict[str, Manifest]]:
    """Rows `bare` (only asks for the App), `full` and `restoring` (ask for all), `done`; a version and a Runtime."""
    here, api = in_namespace(namespace), Api.of(cluster)
    made = {
        "bare": row_manifest("bare", here),
        "full": row_manifest("full", here, asking(**{**ASKED, "restores": None})),
        "restoring": row_manifest("restoring", here, asking(restores="older")),
        "done": row_manifest("done", here, with_spec(**COMPLETED)),
        "version": version_manifest("v1", here),
        "approval": approval_manifest(here, with_spec(message="fine", by="grace")),
        "rejection": rejection_manifest(here, with_spec(**REJECTED)),
        "withdrawn": rejection_manifest(here, with_spec(**REJECTED, withdrawn=WITHDRAWN), name="withdrawn"),
        "change": app_change_manifest(here),
        "runtime": runtime_manifest(
            with_spec(drainSeconds=30, probes={"readiness": {"path": "/readyz"}}, resources={"requests": {"cpu": "1"}}), name=namespace
        ),
    }
    for name, manifest in made.items():
        answer = api.apply(manifest)
        assert answer.ok, answer.message
        made[name] = answer.body
    yield made
    api.delete(made["runtime"])


# The ways to change `field` of the spec to `value`, or with None to remove it.


def merge_patch(api: Api, stored: Manifest, field: str, value: Any) -> Answer:
    return api.merge(stored, {"spec": {field: value}}, dry_run=True)


def json_patch(api: Api, stored: Manifest, field: str, value: Any) -> Answer:
    operation = {"op": "remove"} if value is None else {"op": "add", "value": value}
    return api.json_patch(stored, {**operation, "path": f"/spec/{field}"}, dry_run=True)


def apply(api: Api, stored: Manifest, field: str, value: Any) -> Answer:
    """Server-side apply, forced, by the manager that applied it before: a field left out is removed."""
    return api.apply(_applied(_with(stored, field, value)), dry_run=True)


def apply_by_another(api: Api, stored: Manifest, field: str, value: Any) -> Answer:
    """Server-side apply, forced, by a manager that takes the field from its owner."""
    manifest = _applied(stored)
    manifest["spec"] = {"app": stored["spec"]["app"], field: value} if "app" in stored["spec"] else {**stored["spec"], field: value}
    return api.apply(manifest, manager="another", dry_run=True)


def replace(api: Api, stored: Manifest, field: str, value: Any) -> Answer:
    return api.replace(_with(stored, field, value), dry_run=True)


Way = Callable[[Api, Manifest, str, Any], Answer]
WAYS: tuple[Way, ...] = (merge_patch, json_patch, apply, apply_by_another, replace)
REMOVING: tuple[Way, ...] = (merge_patch, json_patch, apply, replace)
"""An apply by another manager removes nothing that is not its own."""

by_every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
by_every_removal = pytest.mark.parametrize("way", REMOVING, ids=lambda way: way.__name__)


def _with(stored: Manifest, field: str, value: Any) -> Manifest:
    made = copy.deepcopy(stored)
    made["spec"].pop(field, None)
    if value is not None:
        made["spec"][field] = value
    return made


def _applied(stored: Manifest) -> Manifest:
    identity = {key: value for key, value in stored["metadata"].items() if key in ("name", "namespace")}
    return {"apiVersion": stored["apiVersion"], "kind": stored["kind"], "metadata": identity, "spec": copy.deepcopy(stored["spec"])}


def _asking_row(stored: dict[str, Manifest], field: str) -> Manifest:
    return stored["restoring" if field == "restores" else "full"]


def _refused(answer: Answer, message: str) -> None:
    assert not answer.ok, "accepted"
    assert message in answer.message


def test_every_field_of_a_row_is_in_these_tables() -> None:
    assert {field.alias or name for name, field in RecordSpec.model_fields.items()} == {*ASKED, *COMPLETED}


@by_every_way
@pytest.mark.parametrize("field", ASKED)
def test_what_a_row_asks_never_changes(api: Api, stored: dict[str, Manifest], field: str, way: Way) -> None:
    _refused(way(api, _asking_row(stored, field), field, CHANGED[field]), f"spec.{field}: Forbidden: {ROW_NEVER[field]}")


@by_every_removal
@pytest.mark.parametrize("field", [field for field in ASKED if field != "app"])
def test_what_a_row_asks_is_never_removed(api: Api, stored: dict[str, Manifest], field: str, way: Way) -> None:
    _refused(way(api, _asking_row(stored, field), field, None), f"spec.{field}: Forbidden: {ROW_NEVER[field]}")


@by_every_way
@pytest.mark.parametrize("field", [field for field in ASKED if field != "app"])
def test_a_row_never_asks_for_more(api: Api, stored: dict[str, Manifest], field: str, way: Way) -> None:
    _refused(way(api, stored["bare"], field, ASKED[field]), f"spec.{field}: Forbidden: {ROW_NEVER[field]}")


@by_every_way
@pytest.mark.parametrize("field", ASKED)
def test_the_same_again_is_no_change(api: Api, stored: dict[str, Manifest], field: str, way: Way) -> None:
    row = _asking_row(stored, field)
    answer = way(api, row, field, row["spec"][field])
    assert answer.ok, answer.message
    assert answer.body["spec"] == row["spec"]


@by_every_way
@pytest.mark.parametrize("field", COMPLETED)
def test_a_row_is_completed_once(api: Api, stored: dict[str, Manifest], field: str, way: Way) -> None:
    set_first = way(api, stored["bare"], field, COMPLETED[field])
    assert set_first.ok, set_first.message
    assert set_first.body["spec"][field] == COMPLETED[field]
    _refused(way(api, stored["done"], field, COMPLETED_OTHERWISE[field]), f"spec.{field}: Forbidden: {ROW_ONCE[field]}")


@by_every_removal
@pytest.mark.parametrize("field", COMPLETED)
def test_what_completes_a_row_is_never_removed(api: Api, stored: dict[str, Manifest], field: str, way: Way) -> None:
    _refused(way(api, stored["done"], field, None), f"spec.{field}: Forbidden: {ROW_ONCE[field]}")


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({"op": "remove", "path": "/spec/pinned/description"}, ROW_ONCE["pinned"]),
        ({"op": "replace", "path": "/spec/pinned/config/autoscaling/minReplicas", "value": 2}, ROW_ONCE["pinned"]),
        ({"op": "add", "path": "/spec/pinned/runtime/drainSeconds", "value": 1}, ROW_ONCE["pinned"]),
        ({"op": "add", "path": "/spec/pinned/config/resources/limits", "value": {"cpu": "1"}}, ROW_ONCE["pinned"]),
        ({"op": "replace", "path": "/spec/outcome/reason", "value": "other"}, ROW_ONCE["outcome"]),
    ],
    ids=["text removed", "number changed", "number added", "part added", "outcome's reason"],
)
def test_what_is_pinned_is_frozen_down_to_its_leaves(api: Api, stored: dict[str, Manifest], operation: Manifest, message: str) -> None:
    _refused(api.json_patch(stored["done"], operation, dry_run=True), message)


def test_the_operator_completes_a_row_part_by_part_and_ends_it_last(api: Api, namespace: str) -> None:
    row = row_manifest("completed", in_namespace(namespace))
    assert api.create(row).ok
    for fields in (("sequence", "pinned"), ("released",), ("verified",), ("outcome",)):
        answer = api.merge(row, {"spec": {field: COMPLETED[field] for field in fields}})
        assert answer.ok, answer.message
    assert api.read(row).body["spec"] == {"app": "chat", **COMPLETED}


def test_a_rows_labels_may_change(api: Api, stored: dict[str, Manifest]) -> None:
    assert api.merge(stored["done"], {"metadata": {"labels": {"team": "a"}}}, dry_run=True).ok


@pytest.mark.parametrize("way", [merge_patch, json_patch, apply, replace], ids=lambda way: way.__name__)
@pytest.mark.parametrize(
    ("field", "value"), [("flow", "nodes: []"), ("description", "other"), ("description", None), ("workflow", "other")]
)
def test_a_workflow_version_never_changes(api: Api, stored: dict[str, Manifest], field: str, value: str | None, way: Way) -> None:
    _refused(way(api, stored["version"], field, value), f"spec: Forbidden: {VERSION_NEVER}")
    same = way(api, stored["version"], "flow", stored["version"]["spec"]["flow"])
    assert same.ok, same.message


APPROVAL_CHANGES: tuple[tuple[str, Any], ...] = (
    ("row", "other"),
    ("digest", "sha256:" + "b" * 64),
    ("purpose", "Reject"),
    ("message", "not fine"),
    ("message", None),
    ("by", "mallory"),
    ("by", None),
    ("restored", False),
)


@pytest.mark.parametrize("way", [merge_patch, json_patch, apply, replace], ids=lambda way: way.__name__)
@pytest.mark.parametrize(("field", "value"), APPROVAL_CHANGES)
def test_an_approval_never_changes(api: Api, stored: dict[str, Manifest], field: str, value: Any, way: Way) -> None:
    _refused(way(api, stored["approval"], field, value), f"spec: Forbidden: {APPROVAL_NEVER}")
    same = way(api, stored["approval"], "row", stored["approval"]["spec"]["row"])
    assert same.ok, same.message


SETTINGS_CHANGES: tuple[tuple[str, Any], ...] = (
    ("app", "other"),
    ("sequence", 2),
    ("by", "mallory"),
    ("by", None),
    ("byVerified", None),
    ("changes", [{"field": "hostname", "change": "Added"}]),
    ("states", None),
    ("summary", "nothing was changed"),
    ("after", 1),
)


@pytest.mark.parametrize("way", [merge_patch, json_patch, apply, replace], ids=lambda way: way.__name__)
@pytest.mark.parametrize(("field", "value"), SETTINGS_CHANGES)
def test_a_record_of_settings_never_changes(api: Api, stored: dict[str, Manifest], field: str, value: Any, way: Way) -> None:
    _refused(way(api, stored["change"], field, value), f"spec: Forbidden: {CHANGE_NEVER}")
    same = way(api, stored["change"], "summary", stored["change"]["spec"]["summary"])
    assert same.ok, same.message


@by_every_way
@pytest.mark.parametrize("field", REJECTED)
def test_what_a_rejection_says_never_changes(api: Api, stored: dict[str, Manifest], field: str, way: Way) -> None:
    _refused(way(api, stored["rejection"], field, REJECTED_OTHERWISE[field]), f"spec.{field}: Forbidden: {REJECTION_NEVER[field]}")


@by_every_removal
@pytest.mark.parametrize("field", [field for field in REJECTED if field not in ("workflowHash", "reason")])
def test_what_a_rejection_says_is_never_removed(api: Api, stored: dict[str, Manifest], field: str, way: Way) -> None:
    _refused(way(api, stored["rejection"], field, None), f"spec.{field}: Forbidden: {REJECTION_NEVER[field]}")


@by_every_way
def test_a_rejection_is_withdrawn_once(api: Api, stored: dict[str, Manifest], way: Way) -> None:
    withdrawn = way(api, stored["rejection"], "withdrawn", WITHDRAWN)
    assert withdrawn.ok, withdrawn.message
    for again in ({**WITHDRAWN, "by": "mallory"}, {**WITHDRAWN, "reason": "It is cheap"}):
        _refused(way(api, stored["withdrawn"], "withdrawn", again), f"spec.withdrawn: Forbidden: {WITHDRAWN_ONCE}")


@by_every_removal
def test_that_a_rejection_was_withdrawn_is_never_removed(api: Api, stored: dict[str, Manifest], way: Way) -> None:
    _refused(way(api, stored["withdrawn"], "withdrawn", None), f"spec.withdrawn: Forbidden: {WITHDRAWN_ONCE}")


RUNTIME_CHANGES: tuple[tuple[str, Any], ...] = (
    ("version", "2.0.0"),
    ("label", "other"),
    ("label", None),
    ("image", "other"),
    ("port", 8081),
    ("port", None),
    ("probes", {"readiness": {"path": "/other"}}),
    ("probes", None),
    ("resources", {"requests": {"cpu": "2"}}),
    ("resources", None),
    ("drainSeconds", 31),
    ("drainSeconds", None),
    ("engine", "sdk"),
    ("engine", None),
)


@pytest.mark.parametrize("way", [merge_patch, json_patch, apply, replace], ids=lambda way: way.__name__)
@pytest.mark.parametrize(("field", "value"), RUNTIME_CHANGES)
def test_a_runtime_never_changes(api: Api, stored: dict[str, Manifest], field: str, value: Any, way: Way) -> None:
    _refused(way(api, stored["runtime"], field, value), f"spec: Forbidden: {RUNTIME_NEVER}")


@pytest.mark.parametrize("way", [merge_patch, json_patch, apply, replace], ids=lambda way: way.__name__)
def test_a_runtime_may_be_deprecated_and_back(api: Api, stored: dict[str, Manifest], way: Way) -> None:
    for value in (True, False):
        answer = way(api, stored["runtime"], "deprecated", value)
        assert answer.ok, answer.message
        assert answer.body["spec"]["deprecated"] is value


def test_a_runtime_gets_nothing_added(api: Api, namespace: str) -> None:
    runtime = runtime_manifest(with_spec(port=None, label=None), with_meta(name=f"{namespace}-small"))
    assert api.create(runtime).ok
    try:
        _refused(api.merge(runtime, {"spec": {"port": 8080}}), RUNTIME_NEVER)
    finally:
        api.delete(runtime)
