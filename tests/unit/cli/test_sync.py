"""`sync --to-git`: the manifests with which Git deploys what is live."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from dynamiq_operator.kube.resources import VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.factories import NAME, NAMESPACE
from tests.support.scripted import listed, missing
from tests.support.scripted_plugin import Ended, ScriptedPlugin

SCALED = {**given.CONFIG, "autoscaling": {"minReplicas": 2, "maxReplicas": 4, "targetCPUUtilizationPercentage": 80}}


@pytest.fixture
def cluster(plugin: ScriptedPlugin) -> ScriptedPlugin:
    """Returns a plugin on App chat, whose row #6 is a manual rollback to v1."""
    back = given.row_manifest("chat-b", given.asking(restores="chat-a", message="v2 loses invoices"), given.live(6, "v1", config=SCALED))
    serves(plugin, back)
    plugin.flows("v1")
    plugin.releases(given.stored(given.version_manifest("v1")))
    plugin.runtimes(given.stored(given.runtime_manifest()))
    return plugin


def serves(plugin: ScriptedPlugin, row: Manifest) -> None:
    plugin.rows(given.stored(row))


def declares(plugin: ScriptedPlugin, deploy: Manifest | None, **status: Any) -> None:
    """Sets `spec.deploy` of the App as Git has it."""
    modifiers = [given.with_deploy(**deploy)] if deploy is not None else []
    plugin.app(given.stored(given.app_manifest(*modifiers, given.with_status(**status))))


def patch(done: Ended) -> Manifest:
    """Returns the printed change of `spec.deploy`."""
    assert done.code == 0, done.err
    *_, made = yaml.safe_load_all(done.out)
    assert (made["kind"], made["metadata"]) == ("App", {"name": NAME, "namespace": NAMESPACE})
    deploy: Manifest = made["spec"]["deploy"]
    return deploy


def test_after_a_rollback_by_hand_git_gets_the_version_that_is_live(cluster: ScriptedPlugin) -> None:
    declares(cluster, {"workflowVersion": "v2", "message": "Answers in French"}, holds={"row": "chat-b", "sequence": 6})
    done = cluster("sync", NAME, "--to-git")
    assert patch(done) == {"workflowVersion": "v1", "message": "v1 as it is live since #6: v2 loses invoices"}
    assert done.err.startswith(
        "chat in demo: Git asks for v2, and v1 (#6, chat-b) is live\n"
        "this adds a row, and no pod restarts\n"
        "changes from Git are on hold after the rollback in #6. To apply this one: `kubectl dynamiq resume chat -n demo`\n"
    )
    assert "-  workflowVersion: v2\n" in done.err
    assert "+  workflowVersion: v1\n" in done.err
    assert cluster.script.writes() == []


def test_the_patch_has_the_live_value_of_each_field_that_git_names(cluster: ScriptedPlugin) -> None:
    declares(cluster, {"workflowVersion": "v2", "runtime": "tiny-0", "config": {"autoscaling": {"minReplicas": 1}}})
    assert patch(cluster("sync", NAME, "--to-git", "-m", "why")) == {
        "workflowVersion": "v1",
        "runtime": given.RUNTIME_NAME,
        "config": {"autoscaling": {"minReplicas": 2}},
        "message": "why",
    }


def test_in_full_it_names_runtime_and_config_as_well(cluster: ScriptedPlugin) -> None:
    declares(cluster, {"workflowVersion": "v2"})
    found = patch(cluster("sync", NAME, "--to-git", "--full"))
    assert (found["runtime"], found["config"]) == (given.RUNTIME_NAME, SCALED)


def test_an_app_that_git_does_not_deploy_yet_gets_all_of_it(cluster: ScriptedPlugin) -> None:
    declares(cluster, None)
    done = cluster("sync", NAME, "--to-git")
    assert "Git deploys nothing, and v1 (#6, chat-b) is live" in done.err
    assert (patch(done)["runtime"], patch(done)["config"]) == (given.RUNTIME_NAME, SCALED)


def test_the_patch_removes_fields_that_the_live_config_lacks(cluster: ScriptedPlugin) -> None:
    asleep = {"type": "serverless", "maxReplicas": 3, "idleSeconds": 300, "holdSeconds": 120, "resources": given.CONFIG["resources"]}
    serves(cluster, given.row_manifest("chat-b", given.live(6, "v1", config=asleep)))
    declares(cluster, {"workflowVersion": "v1", "config": {"autoscaling": {"minReplicas": 2}}})
    found = patch(cluster("sync", NAME, "--to-git"))
    assert (found["workflowVersion"], found["config"]) == ("v1", None), "null takes it away"


def merged(old: Manifest, change: Manifest) -> Manifest:
    """Applies a merge patch (RFC 7396) to an object, and returns the result."""
    found = {name: value for name, value in old.items() if name not in change}
    for name, value in change.items():
        if value is not None:
            found[name] = merged(old.get(name) or {}, value) if isinstance(value, dict) else value
    return found


@pytest.mark.parametrize("options", [(), ("--full",)])
def test_merged_into_git_it_is_what_is_live(cluster: ScriptedPlugin, options: tuple[str, ...]) -> None:
    """A config whose type has changed keeps no field of the old type."""
    asleep = {"type": "serverless", "maxReplicas": 3, "idleSeconds": 300, "holdSeconds": 120, "resources": given.CONFIG["resources"]}
    serves(cluster, given.row_manifest("chat-b", given.live(6, "v1", config=asleep)))
    git = {"workflowVersion": "v2", "config": {"type": "server", "autoscaling": {"minReplicas": 2, "maxReplicas": 4}}}
    declares(cluster, git)
    live = json.loads(cluster("sync", NAME, "--to-git", *options, "-o", "json").out)["deploy"]
    assert live["config"]["type"] == "serverless"
    assert merged(git, patch(cluster("sync", NAME, "--to-git", *options))) == live


@pytest.mark.parametrize(
    "deploy",
    [
        {"workflowVersion": "v1", "message": "of old"},
        {"workflowVersion": "v1", "config": {"autoscaling": {"maxReplicas": 4}}},
        {"workflowVersion": "v1", "runtime": given.RUNTIME_NAME},
    ],
)
def test_sync_prints_no_patch_if_git_matches(cluster: ScriptedPlugin, deploy: Manifest) -> None:
    declares(cluster, deploy)
    done = cluster("sync", NAME, "--to-git", "--exit-code")
    assert (done.code, done.out, done.err) == (0, "", "chat in demo: Git matches what is live, v1 (#6, chat-b)\n")


def test_a_live_row_of_git_matches_git_though_it_named_no_version(cluster: ScriptedPlugin) -> None:
    fields = {"runtime": given.RUNTIME_NAME, "message": "the newest"}
    serves(cluster, given.row_manifest("chat-b", given.asking(**fields), given.live(6, "v1", source="App")))
    declares(cluster, fields)
    assert cluster("sync", NAME, "--to-git").out == ""
    declares(cluster, {"message": "the newest, once more"})
    assert patch(cluster("sync", NAME, "--to-git"))["workflowVersion"] == "v1", "it may be another one by now"
    serves(cluster, given.row_manifest("chat-b", given.asking(**fields), given.live(6, "v1")))
    declares(cluster, fields)
    assert patch(cluster("sync", NAME, "--to-git"))["workflowVersion"] == "v1", "somebody else asked the same, at another time"


def test_the_exit_code_shows_a_difference(cluster: ScriptedPlugin) -> None:
    declares(cluster, {"workflowVersion": "v2"})
    assert cluster("sync", NAME, "--to-git").code == 0
    done = cluster("sync", NAME, "--to-git", "--exit-code", "-o", "json")
    data = json.loads(done.out)
    assert (done.code, done.err, data["inSync"], data["git"], data["row"]) == (3, "", False, {"workflowVersion": "v2"}, "chat-b")
    assert data["deploy"] == data["patch"]["spec"]["deploy"]


def test_the_patch_includes_a_missing_version(cluster: ScriptedPlugin) -> None:
    """A rollback needs no WorkflowVersion: the row's flow is kept."""
    cluster.script.on("GET", VERSIONS.path(NAMESPACE, "chat-v1"), missing("workflowversions", "chat-v1"))
    declares(cluster, {"workflowVersion": "v2"})
    done = cluster("sync", NAME, "--to-git")
    version, _ = yaml.safe_load_all(done.out)
    assert (version["metadata"]["name"], version["spec"]["flow"]) == ("chat-v1", given.flow("v1"))
    assert "WorkflowVersion chat-v1 has to be in Git as well" in done.err


def test_a_version_that_has_another_flow_by_now_gets_another_name(cluster: ScriptedPlugin) -> None:
    other = given.stored(given.version_manifest("v1", given.with_spec(flow=given.flow("other"))))
    cluster.releases(other, given.stored(given.version_manifest("v4")))
    label = {"labelSelector": f"{names.FLOW_LABEL}={names.flow_label(given.flow_hash('v1'))}"}
    cluster.script.on("GET", VERSIONS.path(NAMESPACE), listed(), query=label)
    declares(cluster, {"workflowVersion": "v1"})
    done = cluster("sync", NAME, "--to-git")
    assert patch(done)["workflowVersion"] == "v5"
    assert next(yaml.safe_load_all(done.out))["metadata"]["name"] == "chat-v5"


def test_a_runtime_whose_name_another_one_has_by_now_is_left_out(cluster: ScriptedPlugin) -> None:
    cluster.runtimes(given.stored(given.runtime_manifest(given.with_image("registry.test/runtime:2"))))
    declares(cluster, {"workflowVersion": "v2", "runtime": given.RUNTIME_NAME})
    done = cluster("sync", NAME, "--to-git")
    assert patch(done)["runtime"] is None
    assert f"runtime is left out, so that it stays as it is live: Runtime {given.RUNTIME_NAME} has changed since\n" in done.err


def test_sync_fails_if_nothing_is_live(cluster: ScriptedPlugin) -> None:
    declares(cluster, {"workflowVersion": "v2"})
    cluster.rows()
    done = cluster("sync", NAME, "--to-git")
    assert (done.code, done.err) == (1, "error: chat serves nothing in namespace demo yet: deploy it there first\n")
    assert cluster("sync", NAME).err == done.err, "--to-git is the only direction there is"
