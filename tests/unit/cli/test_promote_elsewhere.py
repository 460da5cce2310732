"""`promote` to another cluster: by another context of the kubeconfig, or by a file if the two clusters cannot reach each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dynamiq_operator.actions.rights import REVIEWS
from dynamiq_operator.desired.base import CONFIG_MAP, WORKLOAD
from dynamiq_operator.kube.resources import APPS, BY_KIND, NAMESPACES, ROWS, RUNTIMES, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.factories import NAME, NAMESPACE
from tests.support.scripted import failure, listed, missing
from tests.support.scripted_namespace import hostnames
from tests.support.scripted_plugin import PluginScript, ScriptedPlugin

THERE = "shop"
"""The target's namespace in the other cluster."""
HERE_ID, THERE_ID = "0b5f3c52-1111-4000-8000-000000000001", "9d2c7e10-2222-4000-8000-000000000002"
KUBE_SYSTEM = NAMESPACES.path("", "kube-system")
FORBIDDEN = failure(403, "Forbidden", 'namespaces "kube-system" is forbidden: User "anna" cannot get resource')
TO_PROD = ("promote", NAME, "--to-context", "prod", "--hostname", "chat.example.com")


def namespace(name: str, environment: str) -> Manifest:
    return {"metadata": {"name": name, "labels": {names.PROJECT_LABEL: "support", names.ENVIRONMENT_LABEL: environment}}}


def with_identity(script: PluginScript, uid: str) -> None:
    script.on("GET", KUBE_SYSTEM, {"metadata": {"name": "kube-system", "uid": uid}})


@pytest.fixture
def staging(plugin: ScriptedPlugin) -> ScriptedPlugin:
    """Returns a plugin on App chat, which serves v2 in the cluster of the current context."""
    plugin.app(given.stored(given.app_manifest(given.with_hostname("chat.staging.example"))))
    plugin.rows(given.stored(given.row_manifest("chat-a", given.live(2, "v2"))))
    plugin.flows("v2")
    plugin.script.on("GET", NAMESPACES.path("", NAMESPACE), namespace(NAMESPACE, "staging"))
    with_identity(plugin.script, HERE_ID)
    return plugin


@pytest.fixture
def prod(staging: ScriptedPlugin) -> PluginScript:
    """Returns the script of context prod, whose cluster has never had App chat."""
    script = staging.context("prod")
    with_identity(script, THERE_ID)
    script.on("GET", NAMESPACES.path(), listed(namespace(THERE, "production")))
    script.on("GET", NAMESPACES.path("", NAMESPACE), namespace(NAMESPACE, "production")).on("GET", APPS.path(), hostnames())
    script.on("GET", APPS.path(THERE), listed()).on("GET", ROWS.path(THERE), listed())
    script.on("GET", APPS.path(THERE, NAME), missing("apps", NAME))
    script.on("GET", VERSIONS.path(THERE, "chat-v2"), missing("workflowversions", "chat-v2"))
    script.on("GET", RUNTIMES.path("", given.RUNTIME_NAME), given.stored(given.runtime_manifest()))
    script.on("POST", REVIEWS.path(), {"status": {"allowed": True}})
    for resource in (VERSIONS, APPS):
        script.on("POST", resource.path(THERE), lambda sent: sent.body)
    made = given.stored(given.row_manifest("chat-p", given.in_namespace(THERE), given.live(1, "v2")))
    script.on("POST", ROWS.path(THERE), made).on("GET", ROWS.path(THERE, "chat-p"), made)
    return script


def made(script: PluginScript) -> list[str]:
    return [sent.body["kind"] for sent in script.writes() if sent.path != REVIEWS.path()]


def the_row(script: PluginScript) -> Manifest:
    (row,) = script.bodies("POST", ROWS.path(THERE))
    spec: Manifest = row["spec"]
    return spec


def there(script: PluginScript, *guards: Manifest, live: str = "v1") -> None:
    """Sets up the target App with a live version. The guards would block its deploys."""
    app = given.stored(given.app_manifest(given.in_namespace(THERE), given.with_hostname("chat.example.com")))
    script.on("GET", APPS.path(THERE, NAME), {**app, "status": {**app.get("status", {}), "guards": list(guards)}})
    row = given.stored(given.row_manifest("chat-o", given.in_namespace(THERE), given.live(7, live)))
    script.on("GET", ROWS.path(THERE), listed(row))
    missing_flow = missing("configmaps", "flow")
    script.on("GET", BY_KIND[CONFIG_MAP.kind].path(THERE, names.flow(NAME, given.flow_hash(live))), missing_flow)
    script.on("GET", VERSIONS.path(THERE, f"chat-{live}"), given.stored(given.version_manifest(live, given.in_namespace(THERE))))


def test_a_promotion_reads_here_and_writes_there_and_the_row_names_its_source(staging: ScriptedPlugin, prod: PluginScript) -> None:
    done = staging(*TO_PROD, "--yes", "--no-wait")
    assert (done.code, done.out) == (0, "chat-p\n"), done.err
    assert done.err.startswith(
        "promote demo/chat v2 (#2) to production of context prod\n"
        "  App chat is made in shop, with hostname chat.example.com\n"
        "  WorkflowVersion chat-v2 is put into shop\n"
        "chat in shop\n"
        "  version  (nothing) → v2\n"
    )
    assert f"  its source cannot be verified in context prod: the row says so, and names cluster {HERE_ID}\n" in done.err
    assert (made(staging.script), made(prod)) == ([], ["WorkflowVersion", "App", "Deployment"])
    claimed = {"namespace": NAMESPACE, "app": NAME, "row": "chat-a", "hash": given.flow_hash("v2"), "cluster": HERE_ID}
    assert the_row(prod)["promotedFrom"] == claimed
    (version,) = prod.bodies("POST", VERSIONS.path(THERE))
    assert version["metadata"]["annotations"] == {names.ORIGIN_ANNOTATION: f"cluster {HERE_ID}, demo/chat v2"}
    (written,) = [sent for sent in prod.writes() if sent.path == ROWS.path(THERE)]
    assert written.query["fieldValidation"] == "Strict", "a cluster whose rows cannot name one refuses it"
    assert not staging.script.unscripted + prod.unscripted


@pytest.mark.parametrize(
    ("ready", "reason", "code", "err"),
    [
        ("True", "Live", 0, ""),
        ("False", "HostnameTaken", 1, "error: chat is live but not ready: HostnameTaken: another App has it\n"),
    ],
)
def test_the_rollout_is_followed_there(staging: ScriptedPlugin, prod: PluginScript, ready: str, reason: str, code: int, err: str) -> None:
    """A new App that is live and not Ready is no success: nobody can call it by its hostname."""
    live = {"row": "chat-p", "sequence": 1, "workflowVersion": "v2", "runtime": "1.0.0"}
    condition = {
        "type": "Ready",
        "status": ready,
        "reason": reason,
        "message": "another App has it",
        "lastTransitionTime": "2026-11-24T12:00:00Z",
    }
    absent, there = (
        missing("apps", NAME),
        given.app_manifest(given.in_namespace(THERE), given.with_status(live=live, conditions=[condition])),
    )
    prod.on("GET", APPS.path(THERE, NAME), absent, absent, given.stored(there))
    done = staging(*TO_PROD, "--yes")
    assert "chat: v2 (#1, chat-p) is Live" in done.out
    assert (done.code, done.err.endswith(err)) == (code, True)


def test_an_app_whose_status_does_not_come_in_time_is_not_taken_for_ready(staging: ScriptedPlugin, prod: PluginScript) -> None:
    absent, there = missing("apps", NAME), given.stored(given.app_manifest(given.in_namespace(THERE)))
    prod.on("GET", APPS.path(THERE, NAME), absent, absent, there)
    done = staging(*TO_PROD, "--yes", "--timeout", "10ms")
    assert "chat: v2 (#1, chat-p) is Live" in done.out
    assert (done.code, done.err.endswith("error: chat is live, but its status has no condition Ready yet\n")) == (1, True), done.err


def test_a_timeout_names_the_status_command_of_that_context(staging: ScriptedPlugin, prod: PluginScript) -> None:
    waiting = given.row_manifest("chat-p", given.in_namespace(THERE), given.numbered(1))
    prod.on("GET", ROWS.path(THERE, "chat-p"), given.stored(waiting)).on("GET", BY_KIND[WORKLOAD.kind].path(THERE), listed())
    done = staging(*TO_PROD, "--yes", "--timeout", "10ms")
    assert (done.code, "see `kubectl dynamiq status chat -n shop --context prod`" in done.err) == (3, True), done.err


def test_a_preview_makes_nothing_in_either(staging: ScriptedPlugin, prod: PluginScript) -> None:
    done = staging(*TO_PROD, "--preview", "-o", "json")
    data = json.loads(done.out)
    assert (data["namespace"], data["from"], data["to"]["version"]) == (THERE, None, "v2")
    assert (made(staging.script), made(prod)) == ([], [])


def test_without_a_terminal_nothing_is_promoted(staging: ScriptedPlugin, prod: PluginScript) -> None:
    assert staging(*TO_PROD).code == 2
    assert made(prod) == []


def test_each_cluster_gets_its_own_login_and_the_same_impersonation(staging: ScriptedPlugin, prod: PluginScript) -> None:
    given_flags = ["--token", "secret-of-here", "--server=https://here", "--insecure-skip-tls-verify", "--as", "eve", "--kubeconfig=mine"]
    assert staging(*TO_PROD, "--preview", *given_flags).code == 0
    first, second = staging.proxies
    assert [each for each in given_flags if each not in first] == []
    assert [each for each in second if not each.startswith("--unix-socket")] == [
        "proxy",
        "--as",
        "eve",
        "--kubeconfig=mine",
        "--context=prod",
    ]


def test_an_error_of_the_target_names_its_context(staging: ScriptedPlugin, prod: PluginScript) -> None:
    prod.on("GET", APPS.path(THERE, NAME), failure(503, "ServiceUnavailable", "etcd is away"))
    done = staging(*TO_PROD, "--yes")
    assert (done.code, done.err) == (1, "error: context prod: the API server does not answer: etcd is away; see `kubectl cluster-info`\n")


def test_two_contexts_of_one_cluster_are_no_two_clusters(staging: ScriptedPlugin, prod: PluginScript) -> None:
    with_identity(prod, HERE_ID)
    for more in ((), ("--from-cluster", "here")):
        done = staging(*TO_PROD, "--yes", *more)
        assert (done.code, "both contexts lead to the same cluster: promote without --to-context" in done.err) == (1, True)
    assert made(prod) == []


def test_a_caller_who_may_not_read_the_identity_of_the_cluster_names_it(staging: ScriptedPlugin, prod: PluginScript) -> None:
    staging.script.on("GET", KUBE_SYSTEM, FORBIDDEN)
    done = staging(*TO_PROD, "--yes", "--no-wait")
    assert (done.code, "ask for the ClusterRole dynamiq-clusters" in done.err) == (1, True)
    assert staging(*TO_PROD, "--yes", "--no-wait", "--from-cluster", "eu-staging").code == 0
    assert the_row(prod)["promotedFrom"]["cluster"] == "eu-staging"


def test_the_same_namespace_in_another_cluster_is_another_one(staging: ScriptedPlugin, prod: PluginScript) -> None:
    prod.on("GET", APPS.path(NAMESPACE), listed()).on("GET", ROWS.path(NAMESPACE), listed())
    prod.on("GET", APPS.path(NAMESPACE, NAME), missing("apps", NAME))
    prod.on("GET", VERSIONS.path(NAMESPACE, "chat-v2"), missing("workflowversions", "chat-v2"))
    done = staging(*TO_PROD, "--preview", "--target-namespace", NAMESPACE)
    assert (done.code, "App chat is made in demo" in done.out) == (0, True), done.err


def test_a_preview_warns_of_a_different_runtime_of_the_same_name(staging: ScriptedPlugin, prod: PluginScript) -> None:
    other = given.stored(given.runtime_manifest(given.with_image("registry.prod/runtime:1")))
    prod.on("GET", RUNTIMES.path("", given.RUNTIME_NAME), other)
    output = staging(*TO_PROD, "--preview").out
    assert f"Runtime {given.RUNTIME_NAME} differs there: registry.prod/runtime:1 instead of {given.IMAGE}" in output


def soak(seconds: int = 60, **more: Any) -> Manifest:
    return {"reason": "Soaking", "message": "it would soak", "appliesTo": ["Promotion"], "policy": "production", "seconds": seconds, **more}


AGES = 100 * 365 * 86400
FROM_HERE = f"it comes from App chat in demo of cluster {HERE_ID}, but policy production accepts versions of other clusters"


@pytest.mark.parametrize(
    ("guard", "says"),
    [
        (soak(), f"{FROM_HERE} from none (promotion.clusters)"),
        (soak(clusters=["us"]), f"{FROM_HERE} only from us (promotion.clusters)"),
        (soak(clusters=[HERE_ID], namespaces=["qa"]), "policy production accepts versions only from qa, not from demo"),
        (soak(AGES, clusters=[HERE_ID]), "it has to be live at its source (policy production)"),
        (soak(clusters=[HERE_ID]), ""),
    ],
)
def test_a_promotion_that_a_policy_there_refuses_is_refused_before_anything_is_created(
    staging: ScriptedPlugin, prod: PluginScript, guard: Manifest, says: str
) -> None:
    there(prod, guard)
    done = staging(*TO_PROD, "--yes", "--no-wait")
    assert (done.code, says in done.err, made(prod) == []) == ((1, True, True) if says else (0, True, False)), done.err
    assert "it would soak" not in done.err, "no such row soaks"
    assert staging(*TO_PROD, "--yes", "--no-wait", "--bypass", "prod is down").code == 0


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["--to-context", "prod", "--to-file", "x.yaml"], "not allowed with argument"),
        (["--to-context", "prod", "--with-app"], "--with-app and --as-version need --to-file"),
        (["--from-cluster", "eu"], "--from-cluster needs --to-context or --to-file"),
        (["--to-file", "x.yaml", "--hostname", "h"], "--hostname needs --with-app"),
        (["--to-file", "x.yaml", "--as-version", "7"], "must be v and a number from 1"),
        (["--to-file", "-"], "--to-file takes the name of a file"),
    ],
)
def test_options_that_do_not_fit_together(plugin: ScriptedPlugin, typed: list[str], says: str) -> None:
    done = plugin("promote", NAME, *typed)
    assert (done.code, says in done.err) == (2, True), done.err


# Promotion into a file.


def written(file: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(file.read_text()))


def test_a_bundle_has_the_version_and_the_row_and_whoever_applies_it_names_the_namespace(staging: ScriptedPlugin, tmp_path: Path) -> None:
    file = tmp_path / "bundle.yaml"
    done = staging("promote", NAME, "--to-file", str(file), "-m", "for the fair", "--yes")
    assert done.code == 0, done.err
    version, row = written(file)
    assert (version["kind"], version["metadata"]["name"], version["spec"]["flow"]) == ("WorkflowVersion", "chat-v2", given.flow("v2"))
    assert "namespace" not in version["metadata"] | row["metadata"]
    claimed = {"namespace": NAMESPACE, "app": NAME, "row": "chat-a", "hash": given.flow_hash("v2"), "cluster": HERE_ID}
    assert row["spec"] == {"app": NAME, "workflowVersion": "v2", "message": "for the fair", "promotedFrom": claimed}
    command = f"kubectl apply --server-side -n NAMESPACE -f {file}"
    assert command in done.out
    assert file.read_text().splitlines()[:2] == [f"# demo/chat v2 (#2), of cluster {HERE_ID}", f"# {command}"]
    assert made(staging.script) == []


def test_a_bundle_for_a_first_promotion_has_the_app_with_what_it_runs_on(staging: ScriptedPlugin, tmp_path: Path) -> None:
    file = tmp_path / "bundle.yaml"
    refused = staging("promote", NAME, "--to-file", str(file), "--with-app", "--yes")
    assert (refused.code, refused.err) == (1, "error: give a hostname: App chat needs its own there: --hostname\n")
    options = ("--with-app", "--hostname", "chat.example.com", "--target-namespace", THERE, "--as-version", "v7")
    assert staging("promote", NAME, "--to-file", str(file), *options, "--yes").code == 0
    version, app, row = written(file)
    assert (version["metadata"]["name"], version["spec"]["version"]) == ("chat-v7", "v7")
    assert (app["kind"], app["spec"]["hostname"]) == ("App", "chat.example.com")
    assert {each["metadata"]["namespace"] for each in (version, app, row)} == {THERE}
    assert (row["spec"]["workflowVersion"], row["spec"]["runtime"], row["spec"]["config"]) == ("v7", given.RUNTIME_NAME, given.CONFIG)


def test_a_bundle_with_the_app_explains_its_variables(staging: ScriptedPlugin, tmp_path: Path) -> None:
    """The file has plain values of variables. A Secret is not copied."""
    variables: list[Manifest] = [{"name": "MODEL", "value": "small"}, {"name": "KEY", "secret": {"name": "keys", "key": "openai"}}]
    staging.app(given.stored(given.app_manifest(given.with_variables(*variables))))
    bundle = ("promote", NAME, "--preview", "--to-file", str(tmp_path / "a bundle.yaml"))
    shown = staging(*bundle, "--with-app").out
    assert "  values of MODEL are taken from demo\n  variable KEY needs Secret keys with a key openai\n" in shown
    assert "MODEL" not in staging(*bundle).out
    assert f"-f '{tmp_path}/a bundle.yaml'" in json.loads(staging(*bundle, "-o", "json").out)["apply"]


TEXTS = [
    "1e3",
    "0o17",
    "1_000",
    "yes",
    "y",
    "~",
    "null",
    "12:30:00",
    "2026-11-24",
    "a: b",
    "- x",
    "é\u2028",
    "a\r\nb",
    " a\n b ",
    "=",
    "",
    "plain",
]
"""Texts that versions of YAML parse differently, and others."""


def test_texts_come_through_a_bundle_as_they_are(staging: ScriptedPlugin, tmp_path: Path) -> None:
    file = tmp_path / "bundle.yaml"
    variables = [{"name": f"TEXT_{number}", "value": text} for number, text in enumerate(TEXTS)]
    staging.app(given.stored(given.app_manifest(given.with_variables(*variables))))
    assert staging("promote", NAME, "--to-file", str(file), "--with-app", "--yes").code == 0
    assert written(file)[1]["spec"]["variables"] == variables
    plain = [line.partition("value: ")[2] for line in file.read_text().splitlines() if "  value: " in line]
    assert [text for text in plain if text[0] not in "\"'|"] == ["plain"], "others are quoted, or stand as they are"


def test_a_file_that_is_there_is_not_written_over(staging: ScriptedPlugin, tmp_path: Path) -> None:
    file = tmp_path / "bundle.yaml"
    file.write_text("mine")
    done = staging("promote", NAME, "--to-file", str(file), "--yes")
    assert (done.code, "exists already" in done.err, file.read_text()) == (1, True, "mine")
    done = staging("promote", NAME, "--to-file", str(tmp_path / "none" / "b.yaml"), "--yes")
    assert (done.code, "cannot be written: No such file" in done.err) == (1, True)


@pytest.mark.parametrize(("typed", "code"), [("n\n", 1), (None, 2)])
def test_nothing_is_written_without_consent(staging: ScriptedPlugin, tmp_path: Path, typed: str | None, code: int) -> None:
    file = tmp_path / "bundle.yaml"
    assert staging("promote", NAME, "--to-file", str(file), typed=typed).code == code
    shown = staging("promote", NAME, "--to-file", str(file), "--preview").out
    assert "  WorkflowVersion chat-v2\n  Deployment chat-" in shown
    assert not file.exists()


def test_a_rejected_version_goes_into_no_file(staging: ScriptedPlugin, tmp_path: Path) -> None:
    file = tmp_path / "bundle.yaml"
    rejection = given.stored(given.rejection_manifest(given.with_spec(workflowHash=given.flow_hash("v2"))))
    staging.keeps("v2", rejections=[rejection])
    assert staging("promote", NAME, "--to-file", str(file), "--yes").code == 1
    assert not file.exists()
    assert staging("promote", NAME, "--to-file", str(file), "--yes", "--bypass", "prod is down").code == 0
    assert written(file)[-1]["spec"]["bypass"] == {"reason": "prod is down"}
