"""`kubectl dynamiq` refuses in one sentence with the next step, whatever is wrong; and its completion."""

from __future__ import annotations

import functools
import socket
import subprocess

import pytest
import yaml

from tests.support.api import Manifest
from tests.support.history_stage import APP, HistoryStage
from tests.support.plugin import ENDS_WITHIN, Plugin
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("policies")


# Refusals.


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("history {none}", "no App {none} in namespace {namespace}; Apps there: "),
        ("status {none}", "no App {none} in namespace {namespace}; Apps there: "),
        ("deploy {app} --version v9", "no version v9 of chat; released are v1 to v4"),
        ("deploy {app} --version 9", "no version 9 of chat; released are v1 to v4"),
        ("deploy {app} --runtime none", "no Runtime none; there are: "),
        ("deploy {app} --min 5 --max 2", "minReplicas is at most maxReplicas: raise maxReplicas or lower minReplicas"),
        ("deploy {app} --serverless --min 1", "leave them out, or give --server-based"),
        ("rollback {app} --to v9", "no version v9 of chat; released are v1 to v4"),
        ("rollback {app} --to-row 9", "no row #9 of {app} in namespace {namespace}; rows are #1 to #1"),
        ("rollback {app} --to-row none", "no row none of {app} in namespace {namespace}; see `kubectl dynamiq history {app} -o wide`"),
        ("rollback {app}", "has never run anything but v1"),
        ("release {none}", "no Workflow {none} in namespace {namespace}"),
        ("promote {app} --to moon", "moon"),
        ("history {app} --context none", 'context "none" does not exist: `kubectl config get-contexts` lists those that there are'),
        ("history {app} --kubeconfig /none", "kubectl cannot connect: stat /none: no such file or directory"),
        ("history {app} --server https://127.0.0.1:1", "the API server does not answer: dial tcp 127.0.0.1:1: connect: connection refused"),
    ],
)
def test_a_refusal_is_one_sentence_with_the_next_step(
    served: str, module_stage: HistoryStage, plugin: Plugin, command: str, sentence: str
) -> None:
    words = {"app": served, "none": "nobodys", "namespace": module_stage.namespace}
    assert sentence.format(**words) in plugin.refused(*command.format(**words).split())


@pytest.fixture(scope="module")
def served(module_stage: HistoryStage) -> str:
    """An App that serves v1, which no test changes."""
    module_stage.app("served", workflow=APP)
    module_stage.live("served", "v1", runtime=module_stage.default_runtime, message="a\nb\t\x1b[31m\n7\tforged")
    return "served"


@pytest.mark.parametrize(
    "command", ["", "histry x", "history", "history x -o xml", "deploy x --min none", "deploy x --timeout soon", "history x -n"]
)
def test_wrong_usage_ends_with_2(plugin: Plugin, command: str) -> None:
    done = Plugin(plugin.cluster, "", plugin.folder)(*command.split())
    if not command:
        assert (done.returncode, "COMMAND" in done.stdout) == (0, True)
        return
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "--help`" in done.stderr


def test_a_server_that_never_answers_is_given_up(plugin: Plugin, served: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"--server=https://127.0.0.1:{silent.getsockname()[1]}"
        sentence = plugin.refused("history", served, where, "--request-timeout=1s")
    assert sentence == "the API server does not answer: no answer within 1 s; see `kubectl cluster-info`"


def test_verify_without_an_answer_ends_with_2(plugin: Plugin, served: str) -> None:
    plugin.refused("verify", served, "--server", "https://127.0.0.1:1", code=2)


def test_what_is_wrong_with_the_login_or_kubectl_is_said(module_stage: HistoryStage, plugin: Plugin, served: str) -> None:
    config = yaml.safe_load(module_stage.kubectl("config", "view", "--minify", "--raw", "--flatten").stdout)
    config["users"][0]["user"] = {"token": "expired"}
    path = plugin.folder / "expired"
    path.write_text(yaml.safe_dump(config))
    assert plugin.refused("history", served, f"--kubeconfig={path}").startswith("the cluster does not accept your login: log in again")
    config["users"][0]["user"] = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-helper", "interactiveMode": "Never"}
    }
    path.write_text(yaml.safe_dump(config))
    assert "no-such-helper" in plugin.refused("history", served, f"--kubeconfig={path}")
    done = plugin("history", served, KUBECONFIG="/dev/null")
    assert "where kubectl looks when it knows no cluster" in done.stderr
    done = plugin("history", served, KUBECTL="/none/kubectl")
    assert done.stderr == "error: kubectl is not on the PATH: install it, or name it in the variable KUBECTL\n"


def test_the_namespace_is_that_of_the_context(module_stage: HistoryStage, plugin: Plugin, served: str) -> None:
    path = plugin.folder / "config"
    path.write_text(module_stage.kubectl("config", "view", "--minify", "--raw", "--flatten").stdout)
    elsewhere = Plugin(plugin.cluster, "", plugin.folder, more={"KUBECONFIG": str(path)})
    assert "in namespace default" in elsewhere.refused("status", served)
    module_stage.kubectl("config", "set-context", "--current", f"--namespace={module_stage.namespace}", f"--kubeconfig={path}")
    assert elsewhere.said("history", served) == plugin.said("history", served)


def test_a_user_of_one_namespace_sees_and_does_nothing_elsewhere(
    module_stage: HistoryStage, plugin: Plugin, production: str, served: str
) -> None:
    binding: Manifest = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "nina", "namespace": production},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "nina"}],
    }
    assert module_stage.api.apply(binding).ok
    nina = Plugin(plugin.cluster, plugin.namespace, plugin.folder, flags=("--as=nina",))
    at_home = Plugin(plugin.cluster, production, plugin.folder, flags=("--as=nina",))
    eventually("nina may look at home", lambda: "there" in at_home("history", "nobodys").stderr)
    rows = module_stage.rows(served)
    name = rows[0]["metadata"]["name"]
    for command in (
        ("history", served),
        ("deploy", served, "--version", "v2", "--yes"),
        ("rollback", served, "--yes", "--to-row", name),
        ("promote", served, "--yes"),
        ("promote", served, "--yes", "--to-file", str(plugin.folder / "bundle.yaml"), "--from-cluster", "here"),
        ("sync", served, "--to-git"),
        ("logs", served),
        ("release", APP, "--yes"),
    ):
        sentence = nina.refused(*command)
        assert "forbidden" in sentence
        assert 'User "nina" cannot' in sentence
        assert "v1" not in sentence
    nina.refused("verify", served, code=2)
    assert module_stage.rows(served) == rows


# Completion, by kubectl.


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["hi"], ["history\tshow the rows of an App, the newest first"]),
        (["history", "serv"], ["served\tv1"]),
        (["deploy", "served", "--version", ""], ["v4\tWhat v4 does", "v3\tWhat v3 does", "v2\tWhat v2 does", "v1\tWhat v1 does"]),
        (["rollback", "served", "--to", "v3"], ["v3\tWhat v3 does"]),
        (["deploy", "served", "--runtime", "{namespace}-ti"], ["{namespace}-tiny\ttiny"]),
        (["promote", "served", "--to", "prod"], ["production"]),
        (["history", "served", "-o", "w"], ["wide"]),
        (["deploy", "served", "--no"], ["--no-wait\tdo not follow the rollout: print the row's name, and nothing else, and end"]),
        (["history", "-n", "{namespace}"], ["{namespace}"]),
        (["release", "nobod"], []),
        (["history", "served", "--context", "no-such"], []),
        (["nonsense", ""], []),
        (["deploy", "nobodys", "--version", ""], []),
    ],
)
def test_completion(module_stage: HistoryStage, plugin: Plugin, served: str, typed: list[str], offered: list[str]) -> None:
    typed, offered = ([word.format(namespace=module_stage.namespace) for word in words] for words in (typed, offered))
    eventually(f"{offered} are offered", lambda: _completed(plugin, typed) == offered)  # a cluster that is late is not waited for


def test_completion_of_rows_shows_each_once_whatever_its_message(plugin: Plugin, served: str) -> None:
    for typed in (["rollback", served, "--to-row", ""], ["diff", served, ""], ["logs", served, "--row", ""]):
        lines = eventually("rows are offered", functools.partial(_completed, plugin, typed))
        assert [line.partition("\t")[0] for line in lines] == ["1"]
        assert r"a\nb\t\x1b[31m\n7\tforged" in lines[0]


def test_completion_is_silent_where_no_cluster_answers(plugin: Plugin) -> None:
    done = subprocess.run(
        [str(plugin.cluster.kubectl), "__complete", "dynamiq", "history", "--server=https://127.0.0.1:1", ""],
        env=plugin.environment(),
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN,
        check=True,
    )
    assert done.stdout == ":4\n"
    assert "refused" not in done.stderr


def _completed(plugin: Plugin, typed: list[str]) -> list[str]:
    """What kubectl offers after `kubectl dynamiq` and these words."""
    command = [
        str(plugin.cluster.kubectl),
        "__complete",
        "dynamiq",
        *typed[:1],
        *([f"-n={plugin.namespace}"] if len(typed) > 1 else []),
        *typed[1:],
    ]
    done = subprocess.run(command, env=plugin.environment(), capture_output=True, text=True, timeout=ENDS_WITHIN, check=True)
    *lines, directive = done.stdout.splitlines()
    assert directive == ":4"
    return lines
