"""Rows that are created before what they need, as GitOps applies things in any order. Each names what it waits for, and then continues."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.support.api import Manifest
from tests.support.factories import public, with_deadline
from tests.support.stage import LIVE_WITHIN, Stage, operator, said, stage
from tests.support.waiting import eventually

DEADLINE = 10  # seconds, the shortest there is
PATIENT = with_deadline(3600)
"""A deadline for rows that wait from the module's start until their test."""
STRANGERS = {"Service": "served", "Workload": "working", "Secret": "keyed", "HorizontalPodAutoscaler": "scaling"}
"""Apps whose child has a name that an object of another owner has, by that object's kind."""


@pytest.fixture(scope="module")
def on(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Yields a stage on which the other owners' objects exist before the Apps."""
    with stage(cluster, "arrivals") as on, operator(on, folder=tmp_path_factory.mktemp("arrivals")):
        on.release("v1")
        on.runtime("fast", by_default=True)
        for kind, app in STRANGERS.items():
            on.create(stranger(on, kind, app))
            on.app(app, PATIENT, *([] if kind == "Secret" else [public()]))
            on.deploy(app, "v1", row=f"{app}-first")
        yield on


def stranger(on: Stage, kind: str, app: str) -> Manifest:
    """Returns an object of another owner with the name of a child of `app`."""
    labels = {"app": "other"}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "other", "image": "127.0.0.1:1/other:1"}]}}
    content: dict[str, Manifest] = {
        "Service": {"spec": {"selector": labels, "ports": [{"port": 9}]}},
        "Workload": {"spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": pods}},
        "Secret": {"stringData": {"password": "theirs"}},
        "HorizontalPodAutoscaler": {
            "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}}
        },
    }
    return on.named(kind, child_name(kind, app)) | content[kind]


def child_name(kind: str, app: str) -> str:
    return names.access_keys(app) if kind == "Secret" else app


# What a row waits for.


def test_a_row_waits_for_its_version(on: Stage) -> None:
    on.app("early", public())
    on.deploy("early", "v7", row="early-first")
    lacks = f"WorkflowVersion answers-v7 does not exist in namespace {on.namespace}"
    eventually("the row says what it lacks", lambda: said(on.row("early-first")) == lacks)
    eventually("so does its App", lambda: (on.condition("early", "Progressing") or {}).get("reason") == "Waiting")
    # If the operator saw the row before its App, another event reports that too.
    eventually("so does an event", lambda: any(message.endswith(lacks) for message in on.told("early-first", "Waiting")))
    on.release("v7")
    on.until("early-first", "Live")
    on.until_condition("early", "Ready", "True")


def test_a_row_waits_for_its_runtime(on: Stage) -> None:
    on.app("bare", public())
    on.deploy("bare", "v1", row="bare-first", runtime=f"{on.namespace}-late")
    eventually("the row says what it lacks", lambda: said(on.row("bare-first")) == f"Runtime {on.namespace}-late does not exist")
    on.runtime("late")
    on.until("bare-first", "Live")
    assert on.row("bare-first")["spec"]["pinned"]["runtime"]["name"] == f"{on.namespace}-late"


def test_a_row_waits_for_its_app(on: Stage) -> None:
    on.deploy("unborn", "v1", row="unborn-first")
    row = on.until("unborn-first", "Pending")
    assert said(row) == f"App unborn does not exist in namespace {on.namespace}"
    assert "sequence" not in row["spec"]
    on.app("unborn", public())
    assert on.until("unborn-first", "Live")["spec"]["sequence"] == 1
    on.until_condition("unborn", "Ready", "True")


def test_a_row_waits_for_the_row_that_it_restores_and_is_refused_where_that_one_is_not_live_yet(on: Stage) -> None:
    on.app("restored", public())
    on.live("restored", "v1", row="restored-first")
    on.deploy("restored", row="restored-again", restores="restored-second")
    row = on.until("restored-again", "Pending")
    assert "row restored-second, which this one restores, does not exist" in said(row)
    on.live("restored", "v1", row="restored-second")
    refused = on.until("restored-again", "Failed")
    assert said(refused) == "row restored-second has not ended yet: only a row that went live can be restored"


def test_a_row_fails_at_the_deadline_and_names_the_missing_object(on: Stage) -> None:
    on.app("vain", public())
    on.live("vain", "v1")
    on.change("App", "vain", spec={"rollout": {"progressDeadlineSeconds": DEADLINE}})
    on.deploy("vain", "v8", row="vain-second")
    row = on.until("vain-second", "Failed", DEADLINE + LIVE_WITHIN)
    assert row["spec"]["sequence"] == 2
    message = f"WorkflowVersion answers-v8 does not exist in namespace {on.namespace}, {DEADLINE} s after the row was created"
    assert said(row) == message
    assert "pinned" not in row["spec"]
    assert on.condition("vain", "Ready")["status"] == "True"


# Names.


@pytest.mark.parametrize("kind", STRANGERS)
def test_a_stranger_of_the_apps_name_is_never_touched(on: Stage, kind: str) -> None:
    app, name = STRANGERS[kind], child_name(kind, STRANGERS[kind])
    said_of = on.until_condition(app, "ChildrenApplied", "False", reason="NameTaken")["message"]
    assert f"{on.named(kind, name)['kind']} {name} exists and is not this App's" in said_of
    assert on.condition(app, "Ready")["status"] == "False"
    theirs = on.get(kind, name)
    assert "ownerReferences" not in theirs["metadata"]
    assert {entry["manager"] for entry in theirs["metadata"]["managedFields"]}.isdisjoint({names.FIELD_MANAGER, names.REPLICAS_MANAGER})
    on.delete(kind, name)
    on.until_condition(app, "Ready", "True")
    on.until(f"{app}-first", "Live")
    ours = on.get(kind, name)
    assert ours["metadata"]["uid"] != theirs["metadata"]["uid"]
    assert ours["metadata"]["ownerReferences"][0]["name"] == app
