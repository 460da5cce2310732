"""The output of kubectl for our resources: columns, short names, selectors, explanations, and a row that no operator has seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from dynamiq_operator.model import crd, kinds
from dynamiq_operator.model.kinds import KINDS, Kind
from dynamiq_operator.model.objects import Manifest
from local.clusters import Cluster
from tests.support.api import Api, fresh_namespace
from tests.support.cluster import Kubectl
from tests.support.factories import (
    app_change_manifest,
    app_manifest,
    approval_manifest,
    asking,
    in_namespace,
    in_phase,
    live,
    of_app,
    policy_manifest,
    rejection_manifest,
    row_manifest,
    runtime_manifest,
    superseded,
    version_manifest,
    with_spec,
    workflow_manifest,
)
from tests.support.waiting import eventually

COLUMNS = ["APP", "VERSION", "DESCRIPTION", "STATUS", "ENDING", "CREATED BY", "RUNTIME", "DATE"]
WIDE = [*COLUMNS, "SEQ", "CONFIG", "MESSAGE", "WAITS", "SOURCE"]

FREEZES = [{"name": "evenings", "cron": "0 17 * * 5", "duration": "62h"}, {"name": "nights", "cron": "0 20 * * *", "duration": "10h"}]

by_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """Yields a namespace with the rows `first`, `second`, `third` (of another App) and `fresh`, and one object of each other kind.

    Nobody changes them.
    """
    api = Api.of(cluster)
    with fresh_namespace(api, "kubectl") as name:
        here = in_namespace(name)
        runtime = runtime_manifest(name=name)
        policy = policy_manifest(with_spec(approvals={"count": 2}, freezes=FREEZES, promotion={"minLiveSeconds": 3600}), name=name)
        for made in (
            row_manifest("first", here, superseded(1), in_phase("Superseded"), with_spec(createdBy="ada")),
            row_manifest("second", here, live(2, "v2"), asking(message="Answer faster"), with_spec(createdBy="ada")),
            row_manifest("third", here, of_app("other")),
            row_manifest("fresh", here),
            app_manifest(here),
            workflow_manifest(here),
            version_manifest("v1", here),
            approval_manifest(here, with_spec(message="Looks right", by="grace")),
            rejection_manifest(here, with_spec(by="grace")),
            rejection_manifest(here, with_spec(by="grace", withdrawn={"by": "heidi", "reason": "fixed"}), name="mended"),
            app_change_manifest(here, with_spec(after=2)),
            policy,
            runtime,
        ):
            created = api.create(made)
            assert created.ok, created.message
            if "status" in made:
                assert api.merge(made, {"status": made["status"]}, subresource="/status").ok
        yield name
        api.delete(runtime)
        api.delete(policy)


def _table(text: str) -> list[list[str]]:
    """Returns rows of cells, split at the columns of the header."""
    header, *rows = text.splitlines()
    begins = [match.start() for match in re.finditer(r"(?:^|(?<=   ))\S", header)]
    ends = [*begins[1:], None]
    return [[line[begin:end].strip() for begin, end in zip(begins, ends, strict=True)] for line in (header, *rows)]


def test_deployments_dynamiq_is_the_history_with_the_products_columns(kubectl: Kubectl, namespace: str) -> None:
    header, *rows = _table(kubectl("get", "deployments.dynamiq", namespace=namespace).stdout)
    assert header == ["NAME", *COLUMNS]
    assert rows == [
        ["first", "chat", "v1", "What v1 does", "Superseded", "", "ada", "1.0.0", "2026-11-24T12:00:00Z"],
        ["fresh", "chat", "", "", "Progressing", "", "", "", ""],
        ["second", "chat", "v2", "What v2 does", "Live", "", "ada", "1.0.0", "2026-11-24T12:00:00Z"],
        ["third", "other", "", "", "Progressing", "", "", "", ""],
    ]


def test_wide_output_adds_sequence_config_and_message(kubectl: Kubectl, namespace: str) -> None:
    header, *rows = _table(kubectl("get", "deployments.dynamiq", "second", "-o", "wide", namespace=namespace).stdout)
    assert header == ["NAME", *WIDE]
    assert rows[0][-5] == "2"
    assert '"minReplicas":1' in rows[0][-4]
    assert rows[0][-3:] == ["Answer faster", "", "Record"]


def test_approvals_rejections_and_changes_of_settings_show_their_author(kubectl: Kubectl, namespace: str) -> None:
    header, agreed = _table(kubectl("get", "approvals", namespace=namespace).stdout)
    assert header[:-1] == ["NAME", "ROW", "PURPOSE", "BY", "MESSAGE"]
    assert agreed[:-1] == ["agreed", "row", "Approve", "grace", "Looks right"]
    header, *rejected = _table(kubectl("get", "rejections", namespace=namespace).stdout)
    assert header[:-1] == ["NAME", "WORKFLOW", "VERSION", "REASON", "BY", "WITHDRAWN"]
    assert [row[:-1] for row in rejected] == [
        ["bad", "chat", "v1", "It loses invoices", "grace", ""],
        ["mended", "chat", "v1", "It loses invoices", "grace", "heidi"],
    ]
    header, row = _table(kubectl("get", "appchanges", namespace=namespace).stdout)
    assert header[:-1] == ["NAME", "APP", "SEQ", "SUMMARY", "BY", "AFTER"]
    assert row[:-1] == ["chat-settings-1", "chat", "1", "the App was created", "ada", "2"]


def test_a_policy_shows_its_requirements(kubectl: Kubectl, namespace: str) -> None:
    header, row = _table(kubectl("get", "deploypolicies", namespace).stdout)
    assert header[:-1] == ["NAME", "APPROVALS", "FREEZE", "SOAK"]
    assert row[:-1] == [namespace, "2", "evenings", "3600"]
    (line,) = kubectl("get", "dpol", namespace, "-o", "wide", "--no-headers").stdout.splitlines()
    assert all(f'"name":"{each["name"]}"' in line for each in FREEZES)
    assert '"values":["nowhere"]' in line


def test_rows_sort_by_sequence_and_plain_deployments_stay_those_of_kubernetes(kubectl: Kubectl, namespace: str) -> None:
    listed = kubectl("get", "ddep", "--sort-by=.spec.sequence", "-o", "name", "--field-selector=spec.app=chat", namespace=namespace)
    assert [line.split("/")[1] for line in listed.stdout.split()][-2:] == ["first", "second"]
    assert kubectl("get", "deployments,deployment,deploy", "-o", "name", namespace=namespace).stdout == ""


def test_short_names_group_prefixes_and_the_category_name_every_kind(kubectl: Kubectl, namespace: str) -> None:
    for namespaced in (True, False):
        ours = [kind for kind in KINDS if kind.namespaced is namespaced]
        for kind in ours:
            known = [*kind.short_names, f"{kind.plural}.dynamiq", f"{kind.singular}.dynamiq", kind.crd_name]
            listed = kubectl("get", ",".join(known), "-o", "name", namespace=namespace if namespaced else None).stdout.split()
            assert {line.partition("/")[0] for line in listed} == {f"{kind.singular}.dynamiq.getdynamiq.ai"}
    listed = kubectl("get", "dynamiq", "-o", "name", namespace=namespace).stdout.split()
    assert {line.split(".")[0] for line in listed} == {kind.singular for kind in KINDS}


@pytest.mark.parametrize(
    ("kind", "selector", "names"),
    [
        (kinds.ROW, "spec.app=chat", ["first", "fresh", "second"]),
        (kinds.ROW, "spec.app=other", ["third"]),
        (kinds.ROW, "status.phase=Progressing", ["fresh", "third"]),
        (kinds.ROW, "status.phase!=Superseded", ["fresh", "second", "third"]),
        (kinds.ROW, "status.phase!=Superseded,status.phase!=Failed", ["fresh", "second", "third"]),
        (kinds.ROW, "status.phase!=Superseded,spec.app=chat", ["fresh", "second"]),
        (kinds.APP, "spec.workflow=chat", ["chat"]),
        (kinds.APP, "spec.workflow=chatx", []),
        (kinds.WORKFLOW_VERSION, "spec.workflow=chat,spec.version=v1", ["chat-v1"]),
        (kinds.WORKFLOW_VERSION, "spec.workflow=chat,spec.version=v1x", []),
        (kinds.APP_CHANGE, "spec.app=chat", ["chat-settings-1"]),
        (kinds.APP_CHANGE, "spec.app=chatx", []),
    ],
    ids=lambda part: part.kind if isinstance(part, Kind) else None,
)
def test_objects_are_selected_by_their_fields(api: Api, namespace: str, kind: Kind, selector: str, names: list[str]) -> None:
    found = api.get(kind.kind, "", namespace, fieldSelector=selector)
    assert found.ok, found.message
    assert [each["metadata"]["name"] for each in found.body["items"]] == names


def test_a_row_that_no_operator_has_observed_is_not_done(api: Api, namespace: str) -> None:
    assert api.get("Deployment", "fresh", namespace).body["status"] == {"phase": "Progressing", "observedGeneration": 0}
    assert api.get("App", "chat", namespace).body["status"] == {"observedGeneration": 0}


@pytest.mark.parametrize("by", ["merge patch", "apply"])
def test_the_first_part_of_a_status_does_not_make_it_done(api: Api, namespace: str, by: str) -> None:
    """The operator reserves a sequence before it has reconciled the whole App."""
    app = app_manifest(in_namespace(namespace), name=by.replace(" ", "-"))
    assert api.create(app).ok
    status = {"lastSequence": 1}
    if by == "apply":
        identity = {key: app[key] for key in ("apiVersion", "kind", "metadata")}
        answer = api.apply({**identity, "status": status}, subresource="/status")
    else:
        answer = api.merge(app, {"status": status}, subresource="/status")
    assert answer.ok, answer.message
    assert api.read(app).body["status"] == {"observedGeneration": 0, "lastSequence": 1}


def test_kubectl_explains_every_field(kubectl: Kubectl) -> None:
    """The API server publishes the schemas of all kinds alike: one kind is enough."""

    def explained() -> str:
        return " ".join(kubectl("explain", f"{kinds.APP.short_names[0]}.spec", check=False).stdout.split())

    text = eventually("the API server publishes the schema", explained)
    for name, field in crd.schema(kinds.APP.spec)["properties"].items():
        assert re.search(rf" {name} <\S+>", text), f"{name} is not shown"
        assert " ".join(field["description"].split()) in text


def _fields(schema: Manifest, path: str) -> Iterator[tuple[str, Manifest]]:
    """Yields every field at every level with its path, without `metadata`, which is the API server's own."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from _fields(field, f"{path}.{name}") if (path, name) != ("", "metadata") else ()
    if isinstance(part := schema.get("items", schema.get("additionalProperties")), dict):
        yield from _fields(part, f"{path}[]")


def _served(api: Api, kind: Kind) -> Manifest:
    answer = api.get("CustomResourceDefinition", kind.crd_name, "", api_version="apiextensions.k8s.io/v1")
    assert answer.ok, answer.message
    found: Manifest = answer.body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


@by_kind
def test_every_field_at_every_level_has_a_description(api: Api, kind: Kind) -> None:
    without = [path for path, field in _fields(_served(api, kind), "") if path != ".metadata" and not field.get("description", "").strip()]
    assert without == []


@by_kind
def test_nothing_under_a_spec_has_a_default(api: Api, kind: Kind) -> None:
    spec = _served(api, kind)["properties"]["spec"]
    assert [path for path, field in _fields({"properties": {"spec": spec}}, "") if "default" in field] == []


@by_kind
def test_nothing_is_kept_that_is_not_in_the_schema(api: Api, kind: Kind) -> None:
    def preserved(node: Any) -> bool:
        if isinstance(node, dict):
            return bool(node.get("x-kubernetes-preserve-unknown-fields")) or any(preserved(value) for value in node.values())
        return isinstance(node, list) and any(preserved(value) for value in node)

    assert not preserved(_served(api, kind))
