"""Fields that never change, and fields that are set once: each against one of the ways to change it, each kind against all of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.row import RowSpec
from local.clusters import Cluster
from tests.api.support.schema.frozen import (
    APPROVAL_NEVER,
    ARCHIVE_STAYS,
    ASKED,
    CHANGE_NEVER,
    CHANGED,
    COMPLETED,
    COMPLETED_OTHERWISE,
    LIMIT_STAYS,
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
from tests.api.support.schema.writes import by_turns
from tests.support.api import Answer, Api, fresh_namespace
from tests.support.factories import (
    app_change_manifest,
    app_manifest,
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
    """Yields the stored objects: rows `bare` (only an App), `full`, `restoring` and `done`, a version, a Runtime and others."""
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
    """Applies server-side, forced, by the manager that applied it before: a field left out is removed."""
    return api.apply(_applied(_with(stored, field, value)), dry_run=True)


def apply_by_another(api: Api, stored: Manifest, field: str, value: Any) -> Answer:
    """Applies server-side, forced, by another manager, which takes the field from its owner."""
    manifest = _applied(stored)
    manifest["spec"] = {"app": stored["spec"]["app"], field: value} if "app" in stored["spec"] else {**stored["spec"], field: value}
    return api.apply(manifest, manager="another", dry_run=True)


def replace(api: Api, stored: Manifest, field: str, value: Any) -> Answer:
    return api.replace(_with(stored, field, value), dry_run=True)


Way = Callable[[Api, Manifest, str, Any], Answer]
REMOVING: tuple[Way, ...] = (merge_patch, json_patch, apply, replace)
"""Ways that can remove a field: an apply by another manager removes only its own fields."""
WAYS: tuple[Way, ...] = (*REMOVING, apply_by_another)


def _with(stored: Manifest, field: str, value: Any) -> Manifest:
    made = copy.deepcopy(stored)
    made["spec"].pop(field, None)
    if value is not None:
        made["spec"][field] = value
    return made


def _applied(stored: Manifest) -> Manifest:
    identity = {key: value for key, value in stored["metadata"].items() if key in ("name", "namespace")}
    return {"apiVersion": stored["apiVersion"], "kind": stored["kind"], "metadata": identity, "spec": copy.deepcopy(stored["spec"])}


@dataclass(frozen=True)
class Change:
    """A change of a stored object's field, and the sentence that refuses it. `value`: None to remove the field."""

    stored: str
    field: str
    value: Any
    says: str

    def __str__(self) -> str:
        return f"{self.stored} {'without ' if self.value is None else ''}{self.field}"


def _asking_row(field: str) -> str:
    return "restoring" if field == "restores" else "full"


def _forbidden(messages: Mapping[str, str], field: str) -> str:
    return f"spec.{field}: Forbidden: {messages[field]}"


NEVER = {"version": VERSION_NEVER, "approval": APPROVAL_NEVER, "change": CHANGE_NEVER, "runtime": RUNTIME_NEVER}
OTHERWISE: Mapping[str, Manifest] = {
    "version": {"flow": "nodes: []", "description": "other", "workflow": "other"},
    "approval": {"row": "other", "digest": "sha256:" + "b" * 64, "purpose": "Reject"}
    | {"message": "not fine", "by": "mallory", "restored": False},
    "change": {"app": "other", "sequence": 2, "by": "mallory", "changes": [{"field": "hostname", "change": "Added"}]}
    | {"summary": "nothing was changed", "after": 1},
    "runtime": {"version": "2.0.0", "label": "other", "image": "other", "port": 8081, "drainSeconds": 31, "engine": "sdk"}
    | {"probes": {"readiness": {"path": "/other"}}, "resources": {"requests": {"cpu": "2"}}},
}
LEFT_OUT = {
    "version": ("description",),
    "approval": ("message", "by"),
    "change": ("by", "byVerified", "states"),
    "runtime": ("label", "port", "probes", "resources", "drainSeconds", "engine"),
}
REFUSED = (
    *(Change(_asking_row(field), field, CHANGED[field], _forbidden(ROW_NEVER, field)) for field in ASKED),
    *(Change(_asking_row(field), field, None, _forbidden(ROW_NEVER, field)) for field in ASKED if field != "app"),
    *(Change("bare", field, ASKED[field], _forbidden(ROW_NEVER, field)) for field in ASKED if field != "app"),
    *(Change("done", field, COMPLETED_OTHERWISE[field], _forbidden(ROW_ONCE, field)) for field in COMPLETED),
    *(Change("done", field, None, _forbidden(ROW_ONCE, field)) for field in COMPLETED),
    *(Change("rejection", field, REJECTED_OTHERWISE[field], _forbidden(REJECTION_NEVER, field)) for field in REJECTED),
    *(
        Change("rejection", field, None, _forbidden(REJECTION_NEVER, field))
        for field in REJECTED
        if field not in ("workflowHash", "reason")
    ),
    *(
        Change("withdrawn", "withdrawn", again, f"spec.withdrawn: Forbidden: {WITHDRAWN_ONCE}")
        for again in ({**WITHDRAWN, "by": "mallory"}, {**WITHDRAWN, "reason": "It is cheap"}, None)
    ),
    *(
        Change(stored, field, value, f"spec: Forbidden: {NEVER[stored]}")
        for stored, spec in OTHERWISE.items()
        for field, value in spec.items()
    ),
    *(Change(stored, field, None, f"spec: Forbidden: {NEVER[stored]}") for stored, fields in LEFT_OUT.items() for field in fields),
)
SAME = (
    *((_asking_row(field), field) for field in ASKED),
    *(("version", "flow"), ("approval", "row"), ("change", "summary")),
)


def _by_turns() -> Iterator[Any]:
    """Yields each refused change with one of the ways, which take turns for each object."""
    turns: dict[str, int] = {}
    for change in REFUSED:
        of_several_managers = change.value is not None and change.stored not in NEVER
        ways = WAYS if of_several_managers else REMOVING
        turns[change.stored] = turn = turns.get(change.stored, -1) + 1
        way = ways[turn % len(ways)]
        yield pytest.param(change, way, id=f"{change} {turn} {way.__name__}")


def _refused(answer: Answer, message: str) -> None:
    assert not answer.ok, "accepted"
    assert message in answer.message


def test_every_field_of_a_row_is_in_these_tables() -> None:
    assert {field.alias or name for name, field in RowSpec.model_fields.items()} == {*ASKED, *COMPLETED}


@pytest.mark.parametrize(("change", "way"), list(_by_turns()))
def test_immutable_fields_are_neither_changed_nor_added_nor_removed(
    api: Api, stored: dict[str, Manifest], change: Change, way: Way
) -> None:
    _refused(way(api, stored[change.stored], change.field, change.value), change.says)


@pytest.mark.parametrize(("case", "way"), by_turns(SAME, WAYS))
def test_the_same_again_is_no_change(api: Api, stored: dict[str, Manifest], case: tuple[str, str], way: Way) -> None:
    name, field = case
    answer = way(api, stored[name], field, stored[name]["spec"][field])
    assert answer.ok, answer.message
    assert answer.body["spec"] == stored[name]["spec"]


@pytest.mark.parametrize(("case", "way"), by_turns((*(("bare", field) for field in COMPLETED), ("rejection", "withdrawn")), WAYS))
def test_fields_that_are_set_once_may_be_set(api: Api, stored: dict[str, Manifest], case: tuple[str, str], way: Way) -> None:
    name, field = case
    value = WITHDRAWN if field == "withdrawn" else COMPLETED[field]
    answer = way(api, stored[name], field, value)
    assert answer.ok, answer.message
    assert answer.body["spec"][field] == value


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
def test_pins_are_immutable_down_to_their_leaves(api: Api, stored: dict[str, Manifest], operation: Manifest, message: str) -> None:
    _refused(api.json_patch(stored["done"], operation, dry_run=True), message)


def test_the_operator_completes_a_row_part_by_part_and_ends_it_last(api: Api, namespace: str) -> None:
    row = row_manifest("completed", in_namespace(namespace))
    assert api.create(row).ok
    for fields in (("sequence", "pinned"), ("released",), ("verified",), ("outcome",)):
        answer = api.merge(row, {"spec": {field: COMPLETED[field] for field in fields}})
        assert answer.ok, answer.message
    assert api.read(row).body["spec"] == {"app": "chat", **COMPLETED}


KEPT = {"protect": True, "limit": 100, "archive": True}


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (KEPT, {**KEPT, "limit": 99}, LIMIT_STAYS),
        ({"protect": True}, {**KEPT, "archive": None}, LIMIT_STAYS),
        (KEPT, {**KEPT, "archive": False}, ARCHIVE_STAYS),
        (KEPT, {**KEPT, "archive": None}, ARCHIVE_STAYS),
        (KEPT, {**KEPT, "limit": 101}, ""),
        (KEPT, {**KEPT, "limit": None}, ""),
        (KEPT, {**KEPT, "protect": False, "limit": 10, "archive": None}, ""),
        ({**KEPT, "protect": False}, {**KEPT, "limit": 10}, ""),
    ],
)
def test_a_protected_history_is_kept_as_long_as_it_was(api: Api, namespace: str, before: Manifest, after: Manifest, says: str) -> None:
    app = app_manifest(in_namespace(namespace), with_spec(history=before))
    assert api.create(app).ok
    try:
        answer = api.merge(app, {"spec": {"history": after}})
        assert (answer.ok, says in answer.message) == (not says, True), answer.message
    finally:
        api.merge(app, {"spec": {"history": None}})
        api.delete(app)


def test_a_rows_labels_may_change(api: Api, stored: dict[str, Manifest]) -> None:
    assert api.merge(stored["done"], {"metadata": {"labels": {"team": "a"}}}, dry_run=True).ok


def test_a_runtime_may_be_deprecated_and_back(api: Api, stored: dict[str, Manifest]) -> None:
    for value, way in ((True, apply), (False, merge_patch)):
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
