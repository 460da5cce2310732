"""Requests that every surface sends: lists in pages, tables, metadata alone, and creations that may be dry runs."""

from __future__ import annotations

import pytest

from dynamiq_operator.desired.child_kinds import CHILD_KINDS
from dynamiq_operator.kube import api, errors
from dynamiq_operator.kube.resource import CONFIG_MAPS, REJECTIONS, SERVICES, VERSIONS, WORKLOADS
from dynamiq_operator.kube.resources import APPS, BY_KIND, JOBS, NAMESPACES, ROWS, RUNTIMES, SECRETS
from dynamiq_operator.model import kinds
from tests.support import factories as given
from tests.support.scripted import Script, ScriptedApi, failure, listed

PATH = "/apis/dynamiq.getdynamiq.ai/v1alpha1/namespaces/demo/deployments"


def item(name: str) -> dict[str, dict[str, str]]:
    return {"metadata": {"name": name}}


def test_list_goes_on_to_its_last_page_with_the_same_selectors() -> None:
    script = Script().on("GET", PATH, listed(item("a"), token="next"), listed(item("b")))
    found = api.items(ScriptedApi(script), ROWS, "demo", label="x=y", field="spec.app=chat")
    assert [each["metadata"]["name"] for each in found] == ["a", "b"]
    assert {(each["apiVersion"], each["kind"]) for each in found} == {("dynamiq.getdynamiq.ai/v1alpha1", "Deployment")}
    selectors = {"limit": "500", "labelSelector": "x=y", "fieldSelector": "spec.app=chat"}
    assert [dict(sent.query) for sent in script.sent] == [selectors, {**selectors, "continue": "next"}]


def test_names_are_read_without_their_objects_and_an_empty_list_may_be_null() -> None:
    script = Script().on("GET", PATH, listed(item("b"), item("a")))
    assert api.list_names(ScriptedApi(script), ROWS, "demo") == ["a", "b"]
    assert script.sent[0].headers["Accept"] == api.METADATA
    empty = Script().on("GET", PATH, {"metadata": {}, "items": None})
    assert api.list_names(ScriptedApi(empty), ROWS, "demo") == []


def test_table_gives_metadata_and_cells_by_column() -> None:
    table = {
        "columnDefinitions": [{"name": "Name"}, {"name": "Version"}],
        "rows": [{"object": item("a"), "cells": ["a", "v1"]}],
    }
    assert list(api.table_rows(table)) == [({"name": "a"}, {"NAME": "a", "VERSION": "v1"})]
    assert list(api.table_rows({**table, "rows": None})) == []


@pytest.mark.parametrize(
    ("dry_run", "query"), [(False, {"fieldValidation": "Strict"}), (True, {"fieldValidation": "Strict", "dryRun": "All"})]
)
def test_creation_may_be_a_dry_run(dry_run: bool, query: dict[str, str]) -> None:
    manifest = given.row_manifest("a")
    script = Script().on("POST", PATH, manifest)
    assert api.create(ScriptedApi(script), ROWS, manifest, dry_run=dry_run) == manifest
    assert [(dict(sent.query), sent.body) for sent in script.sent] == [(query, manifest)]


def test_absent_object_is_not_found() -> None:
    script = Script().on("GET", f"{PATH}/a", failure(404, "NotFound"))
    with pytest.raises(errors.NotFound):
        api.read_object(ScriptedApi(script), ROWS, "demo", "a")


def test_paths_of_resources() -> None:
    assert APPS.path() == "/apis/dynamiq.getdynamiq.ai/v1alpha1/apps"
    assert APPS.path("demo", "chat", "status") == "/apis/dynamiq.getdynamiq.ai/v1alpha1/namespaces/demo/apps/chat/status"
    assert SECRETS.path("demo", "a b") == "/api/v1/namespaces/demo/secrets/a%20b"
    assert (SECRETS.api_version, JOBS.api_version) == ("v1", "batch/v1")
    assert RUNTIMES.path("demo", "tiny") == "/apis/dynamiq.getdynamiq.ai/v1alpha1/runtimes/tiny", "a Runtime has no namespace"
    assert NAMESPACES.path() == "/api/v1/namespaces"


def test_resources_without_models_are_those_of_the_tables() -> None:
    by_kind = {APPS: kinds.APP, ROWS: kinds.ROW, VERSIONS: kinds.WORKFLOW_VERSION, REJECTIONS: kinds.REJECTION, RUNTIMES: kinds.RUNTIME}
    assert all((each.plural, each.kind, each.namespaced) == (kind.plural, kind.kind, kind.namespaced) for each, kind in by_kind.items())
    children = {each.kind: each for each in CHILD_KINDS}
    for each in (WORKLOADS, SERVICES, CONFIG_MAPS):
        child = children[each.kind]
        assert (each.api_version, each.plural) == (child.resource.api_version, child.resource.plural)
        assert (each.label_selector, each.optional) == (child.selector, child.optional)
        assert BY_KIND[each.kind] is each, "one instance: resources are compared by identity"
