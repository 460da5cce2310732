"""A kind of child is one entry: once it is in the table, it is watched, observed, created, waited for, repaired and removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from dynamiq_operator.desired.child_kinds import CHILD_KINDS

STORY = """
import asyncio, json
from types import SimpleNamespace
from dynamiq_operator.desired import base, child_kinds

NOTE = base.Resource("notes.example.test/v1", "Note", "notes", lambda app: f"{app}-note")

def note(inputs):
    app = inputs.app
    if inputs.pinned is None or app.spec.display_name is None:
        return []
    return [base.child(app, NOTE, NOTE.name(app.meta.name), spec={"text": app.spec.display_name, "version": inputs.pinned.workflow_version})]

child_kinds.CHILD_KINDS += (
    child_kinds.ChildKind(
        NOTE, note, removable=True, closed=frozenset({".spec"}), is_edit=lambda *_: True,
        is_ready=lambda observed: observed.get("status", {}).get("read") is True,
    ),
)

from dynamiq_operator.controller.background.activity import ActivityReader
from dynamiq_operator.controller.background.archiving import ArchiveWriter
from dynamiq_operator.controller.background.holding import HoldWriter
from dynamiq_operator.controller.background.shapes import ShapesReader
from dynamiq_operator.controller.background.placing import PlacementWriter
from dynamiq_operator.controller.background.open_runs import OpenRunsReader
from dynamiq_operator.controller.background.comparisons import ComparisonReader
from dynamiq_operator.controller.background.verifying import VerificationReader
from dynamiq_operator.controller.app_state import AppStates
from dynamiq_operator.controller.cached.cache import Cache
from dynamiq_operator.controller.hostnames.claims import Claims
from dynamiq_operator.controller.cached.denials import Denials
from dynamiq_operator.controller.cached.gateway_api import GatewayApi
from dynamiq_operator.controller.leading.leader import LeaderElection
from dynamiq_operator.controller.observing.observe import Observer
from dynamiq_operator.kube import resources
from dynamiq_operator.model.settings import Settings
from tests.support import factories as given
from tests.unit.support.plan_lines import shown, told
from tests.support.world import World
from tests.unit.repository.test_manifests import needed

told_of = {}
world = World(
    given.runtime_manifest(), given.version_manifest("v1"), given.app_manifest(given.public(), given.with_spec(displayName="Support chat"))
)

def set_name(text):
    app = next(made for (_, kind, _), made in world.objects.items() if kind == "App")
    app["spec"] = {key: value for key, value in {**app["spec"], "displayName": text}.items() if value}
    world.edited(app)

world.deploy("a", "v1")
world.settle()
made = world.child("Note", "chat-note")
told_of["made"] = {"apiVersion": made["apiVersion"], "labels": made["metadata"]["labels"], "spec": made["spec"]}
world.roll()
world.settle()
told_of["phases"] = [world.phases["a"]]
made["status"] = {"read": True}
world.edited(made)
world.run()
told_of["phases"].append(world.phases["a"])

made = world.child("Note", "chat-note")
made["spec"]["other"] = "of another manager"
world.edited(made)
told_of["repair"] = [shown(world.plan()), told(world.plan())]
made["spec"].pop("other")
world.edited(made)

app = next(found for (_, kind, _), found in world.objects.items() if kind == "App")
app["status"] = {}
cache = Cache()
for (version, kind, _), found in world.objects.items():
    if kind in ("App", "Note"):
        cache.update(resources.APPS if kind == "App" else resources.BY_KIND["Note"], found)
claims = Claims(None, cache, Settings(), "system", None)
election = LeaderElection(None, "system", "lease", "me")
observer = Observer(SimpleNamespace(now=lambda: given.NOW), cache, Settings(), claims, GatewayApi(None), AppStates(), election, Denials(), ActivityReader(lambda: given.NOW, print), ComparisonReader(print), VerificationReader(SimpleNamespace(), lambda: given.NOW, print, str), ArchiveWriter(None, print), OpenRunsReader(print, lambda: given.NOW), ShapesReader(print), HoldWriter(print), PlacementWriter(print))
told_of["observed"] = list(asyncio.run(observer.observe((given.NAMESPACE, given.NAME))).children.observed)

set_name(None)
told_of["removed"] = shown(world.plan())
world.refused[("Note", "chat-note")] = "spec.text is too long"
set_name("Support")
world.objects.pop((NOTE.api_version, "Note", "chat-note"))
world.settle()
told_of["refused"] = world.condition("ChildrenApplied")
resource = resources.BY_KIND["Note"]
told_of["watched"] = [resource in resources.WATCHED, resource.path("demo"), resource.label_selector]
told_of["rights"] = sorted(needed()[("notes.example.test", "notes")])
print(json.dumps(told_of))
"""


@pytest.fixture(scope="module")
def story() -> dict[str, Any]:
    """Returns the events in an interpreter whose table has one more entry."""
    environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", STORY], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_is_listed_and_watched(story: dict[str, Any]) -> None:
    assert story["watched"] == [
        True,
        "/apis/notes.example.test/v1/namespaces/demo/notes",
        "app.kubernetes.io/managed-by=dynamiq-operator",
    ]


def test_it_is_observed_as_a_child_of_its_app(story: dict[str, Any]) -> None:
    assert story["observed"] == [["Note", "chat-note"]]


def test_it_is_made(story: dict[str, Any]) -> None:
    labels = {"app.kubernetes.io/managed-by": "dynamiq-operator", "dynamiq.getdynamiq.ai/app": "chat"}
    spec = {"text": "Support chat", "version": "v1"}
    assert story["made"] == {"apiVersion": "notes.example.test/v1", "labels": labels, "spec": spec}


def test_a_rollout_waits_until_it_is_ready(story: dict[str, Any]) -> None:
    assert story["phases"] == ["#1 Progressing", "#1 Live"]


def test_an_edit_of_it_is_repaired_and_reported(story: dict[str, Any]) -> None:
    assert story["repair"] == [["apply Note for .spec.other"], ["app Repaired"]]


def test_it_is_removed_when_the_app_no_longer_wants_it(story: dict[str, Any]) -> None:
    assert story["removed"][0] == "delete Note"


def test_a_refusal_of_it_is_a_condition(story: dict[str, Any]) -> None:
    assert story["refused"] == ["False", "Refused"]


def test_the_operator_needs_rights_for_it(story: dict[str, Any]) -> None:
    assert story["rights"] == ["create", "delete", "get", "list", "patch", "watch"]


def test_each_kind_is_one_entry() -> None:
    named = [entry.kind for entry in CHILD_KINDS]
    assert len(named) == len(set(named))
