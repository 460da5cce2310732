"""`deploy` and `rollback`: the preview, the question, the created row, and the output during its rollout."""

from __future__ import annotations

import json
import re

import pytest

from dynamiq_operator.desired.base import SERVICE, WORKLOAD
from dynamiq_operator.kube.resources import BY_KIND, ROWS, RUNTIMES, VERSIONS
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.factories import NAME, NAMESPACE
from tests.support.scripted import Answer, Reply, failure, listed, missing
from tests.support.scripted_namespace import permitting
from tests.support.scripted_plugin import CtrlC, ScriptedPlugin
from tests.unit.support.workloads import of_pins, rolling, service

ROW_LIST = ROWS.path(NAMESPACE)
NEW = "chat-new"
PREVIEW = """\
chat in demo
  version  v1 (#1) → v2
  runtime  1.0.0
  config   1 to 2 pods at 80 % CPU
  compute  100m CPU and 256Mi memory
  pods are replaced one by one; requests are still answered

--- v1
+++ v2
@@ -2,6 +2,6 @@
 - {id: input, type: dynamiq.nodes.utils.Input}
 - id: answer
   type: dynamiq.nodes.tools.Python
-  code: "def run(input_data): return 'v1'"
+  code: "def run(input_data): return 'v2'"
   depends: [{node: input}]
 - {id: output, type: dynamiq.nodes.utils.Output, depends: [{node: answer}]}
"""


EXPLICIT = {"app": "chat", "workflowVersion": "v2", "runtime": "tiny-1", "config": given.CONFIG}
"""The spec of a row that was previewed: it names everything."""


def scaled(fewest: int, most: int, cpu: int) -> Manifest:
    return {**given.CONFIG, "autoscaling": {"minReplicas": fewest, "maxReplicas": most, "targetCPUUtilizationPercentage": cpu}}


def row(*modifiers: given.Modifier, name: str = NEW) -> Manifest:
    return given.stored(given.row_manifest(name, *modifiers))


@pytest.fixture
def serving(plugin: ScriptedPlugin) -> ScriptedPlugin:
    """Returns a plugin on App chat, which serves v1 by its first row. v2 is released."""
    plugin.app(given.stored(given.app_manifest()))
    plugin.rows(row(given.live(1, "v1"), name="chat-a"))
    plugin.releases(given.stored(given.version_manifest("v1")), given.stored(given.version_manifest("v2")))
    plugin.runtimes(given.stored(given.runtime_manifest()), given.stored(given.runtime_manifest(name="tiny-2")))
    plugin.flows("v1", "v2")
    plugin.script.on("POST", ROW_LIST, row())
    return plugin


def rolling_out(plugin: ScriptedPlugin, *told: Answer, pods: Manifest | Reply | None = None) -> None:
    """Sets the states of the new row, one for each read."""
    plugin.script.on("GET", ROWS.path(NAMESPACE, NEW), *told)
    plugin.script.on("GET", BY_KIND[WORKLOAD.kind].path(NAMESPACE), pods or listed(rolling(2, 1, 1, 1)))


def created(plugin: ScriptedPlugin) -> list[Manifest]:
    """Returns the specs of the rows that were created."""
    return [sent.body["spec"] for sent in plugin.script.writes() if sent.path == ROW_LIST]


def test_a_preview_shows_what_would_change_and_makes_nothing(serving: ScriptedPlugin) -> None:
    done = serving("deploy", "chat", "--preview")
    assert (done.code, done.out, done.err) == (0, PREVIEW, "")
    assert created(serving) == []
    data = json.loads(serving("deploy", "chat", "--preview", "-o", "json").out)
    assert (data["from"]["version"], data["to"]["version"], data["podsRestart"], data["noOp"]) == ("v1", "v2", True, False)


def test_on_a_terminal_the_diff_has_colours(serving: ScriptedPlugin) -> None:
    shown = serving("deploy", "chat", "--preview", terminal=True).out
    assert "\x1b[31m-  code: \"def run(input_data): return 'v1'\"\x1b[0m" in shown
    assert "\x1b[32m+  code: \"def run(input_data): return 'v2'\"\x1b[0m" in shown
    assert "\x1b[36m@@" in shown


def test_without_a_terminal_it_deploys_and_follows_until_live(serving: ScriptedPlugin) -> None:
    rolling_out(serving, row(given.progressing(2, "v2")), row(given.progressing(2, "v2")), row(given.live(2, "v2")))
    done = serving("deploy", "chat", "--yes", "-m", "Answers in French")
    assert done.code == 0
    assert done.out.startswith(PREVIEW)
    assert done.out.removeprefix(PREVIEW).startswith(f"chat: v2 (#2, {NEW}) is Live after ")
    assert done.err == "Progressing, pods: 1 new, 1 old, 1 of 2 ready\nLive\n"
    assert created(serving) == [{**EXPLICIT, "message": "Answers in French"}], "nothing that was shown is left open"


@pytest.mark.parametrize(
    ("options", "spec"),
    [
        ((), {}),
        (("--version", "v1"), {"workflowVersion": "v1"}),
        (("--runtime", "tiny-2"), {"runtime": "tiny-2"}),
        (("--max", "6"), {"config": scaled(1, 6, 80)}),
        (("--min", "2", "--max", "6", "--cpu", "60"), {"config": scaled(2, 6, 60)}),
    ],
)
def test_the_row_has_the_options_of_the_command(serving: ScriptedPlugin, options: tuple[str, ...], spec: Manifest) -> None:
    done = serving("deploy", "chat", "--yes", *options, "--no-wait")
    assert (done.code, done.out) == (0, f"{NEW}\n")
    assert created(serving) == [{**EXPLICIT, **spec}]
    assert "  version  " in done.err, "the preview stands apart from the name, which a script reads"


def test_a_preview_of_the_live_version_shows_that_nothing_changes(serving: ScriptedPlugin) -> None:
    shown = serving("deploy", "chat", "--version", "v1", "--preview").out
    assert "nothing changes: the App runs exactly this already, and a new row records it" in shown


@pytest.mark.parametrize("typed", ["n\n", "\n", "", "nonsense\n"])
def test_anything_but_yes_does_nothing(serving: ScriptedPlugin, typed: str) -> None:
    done = serving("deploy", "chat", typed=typed)
    assert (done.code, done.out, done.err) == (1, PREVIEW, "\nDeploy? [y/N] nothing was done\n")
    assert created(serving) == []


@pytest.mark.parametrize("typed", ["y\n", "YES\n"])
def test_yes_deploys(serving: ScriptedPlugin, typed: str) -> None:
    done = serving("deploy", "chat", "--no-wait", typed=typed)
    assert (done.code, done.out) == (0, f"{NEW}\n")
    assert done.err == f"{PREVIEW}\nDeploy? [y/N] "
    assert len(created(serving)) == 1


def test_yes_deploys_without_a_question(serving: ScriptedPlugin) -> None:
    done = serving("deploy", "chat", "--yes", "--no-wait", typed="")
    assert (done.code, "[y/N]" in done.err) == (0, False)


def test_json_output_has_only_the_final_row(serving: ScriptedPlugin) -> None:
    rolling_out(serving, row(given.live(2, "v2")))
    done = serving("deploy", "chat", "--yes", "-o", "json")
    assert (done.code, json.loads(done.out)["name"], json.loads(done.out)["status"]) == (0, NEW, "Live")
    assert done.err.startswith("chat in demo\n")
    rolling_out(serving, row(given.failed(2, "v2", "no pod became Ready")))
    failed = serving("deploy", "chat", "--yes", "-o", "json")
    assert (failed.code, json.loads(failed.out)["reason"]) == (1, "no pod became Ready")


@pytest.mark.parametrize(
    ("ends", "sentence"),
    [
        (given.failed(2, "v2", "no pod became Ready"), f"chat: v2 (#2, {NEW}) Failed: no pod became Ready"),
        (given.never_deployed(2, "App chat does not exist"), f"chat: (#2, {NEW}) Failed: App chat does not exist"),
        (given.overtaken(2, "v2"), f"chat: v2 (#2, {NEW}) was not deployed: a newer row was deployed after it"),
    ],
)
def test_a_deploy_that_does_not_go_live_prints_the_reason(serving: ScriptedPlugin, ends: given.Modifier, sentence: str) -> None:
    rolling_out(serving, row(ends))
    done = serving("deploy", "chat", "--yes")
    assert (done.code, done.err.splitlines()[-1]) == (1, f"error: {sentence}")


def test_on_a_terminal_one_line_is_rewritten(serving: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    rolling_out(serving, row(given.progressing(2, "v2")), row(given.live(2, "v2")))
    done = serving("deploy", "chat", "--yes", terminal=True)
    assert done.code == 0
    assert re.fullmatch(r"\r\x1b\[KProgressing, pods: 1 new, 1 old, 1 of …\r\x1b\[KLive, \d+ s\r\x1b\[K", done.err), done.err
    assert f"chat: v2 (#2, {NEW}) is \x1b[32m●\x1b[0m Live after " in done.out


@pytest.mark.parametrize(
    ("reads", "sentence"),
    [
        (
            row(given.progressing(2, "v2")),
            f"v2 (#2, {NEW}) is still Progressing after 0 s: it continues; see `kubectl dynamiq status chat -n demo`",
        ),
        (
            row(),
            f"({NEW}) is still Progressing after 0 s: no operator has processed it yet: see `kubectl get pods -A -l app.kubernetes.io/name=dynamiq-operator`",
        ),
    ],
)
def test_a_deploy_goes_on_after_the_timeout_of_the_command(serving: ScriptedPlugin, reads: Manifest, sentence: str) -> None:
    rolling_out(serving, reads, pods=listed())
    done = serving("deploy", "chat", "--yes", "--timeout", "1ms")
    assert (done.code, done.err.splitlines()[-1]) == (3, f"error: {sentence}")


def test_the_operators_message_of_a_waiting_row_is_shown(serving: ScriptedPlugin) -> None:
    waits = row(
        given.waiting(2), given.with_status(conditions=[{"type": "Succeeded", "status": "Unknown", "message": "v9 is not released"}])
    )
    rolling_out(serving, waits, row(given.live(2, "v2")), pods=failure(403, "Forbidden"))
    assert serving("deploy", "chat", "--yes").err == "Pending, v9 is not released\nLive\n"


def test_a_row_that_goes_while_it_is_followed(serving: ScriptedPlugin) -> None:
    rolling_out(serving, missing("deployments", NEW))
    done = serving("deploy", "chat", "--yes")
    assert (done.code, done.err) == (1, f"error: row {NEW} was deleted, with App chat or its namespace\n")


def test_an_api_server_that_is_away_for_a_moment_is_waited_for(serving: ScriptedPlugin) -> None:
    rolling_out(serving, failure(503, "ServiceUnavailable"), row(given.live(2, "v2")))
    assert serving("deploy", "chat", "--yes").code == 0


def test_ctrl_c_prints_that_the_deploy_goes_on(serving: ScriptedPlugin, ctrl_c: CtrlC) -> None:
    rolling_out(serving, row(given.progressing(2, "v2")), ctrl_c(row(given.progressing(2, "v2"))))
    done = serving("deploy", "chat", "--yes")
    assert done.code == 130
    assert done.err.splitlines()[-1] == f"interrupted: the deploy of {NEW} continues; see `kubectl dynamiq status chat -n demo`"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--version", "v9"), "no version v9 of chat; released: v1, v2"),
        (("--runtime", "none"), "no Runtime none; there are: tiny-1, tiny-2"),
        (("--min", "5", "--max", "2"), "minReplicas is at most maxReplicas: raise maxReplicas or lower minReplicas"),
        (
            ("--serverless", "--min", "1"),
            "leave out --min and --cpu, or add --server-based: chat would be serverless",
        ),
    ],
)
def test_a_refusal_is_one_sentence_with_the_next_step(serving: ScriptedPlugin, options: tuple[str, ...], sentence: str) -> None:
    for resource, name in ((VERSIONS, "chat-v9"), (RUNTIMES, "none")):
        serving.script.on("GET", resource.path(NAMESPACE, name), missing(resource.plural, name))
    done = serving("deploy", "chat", "--yes", *options)
    assert (done.code, done.out, done.err) == (1, "", f"error: {sentence}\n")
    assert created(serving) == []


SLEEPS: Manifest = {
    "type": "serverless",
    "idleSeconds": 300,
    "maxReplicas": 10,
    "holdSeconds": 120,
    "resources": given.CONFIG["resources"],
}


@pytest.mark.parametrize(
    ("live", "options", "config"),
    [
        (given.CONFIG, ("--serverless",), SLEEPS),
        (given.CONFIG, ("--serverless", "--idle-seconds", "60", "--max", "3", "--hold-seconds", "30"), None),
        (SLEEPS, (), SLEEPS),
        (SLEEPS, ("--max", "4"), {**SLEEPS, "maxReplicas": 4}),
        (SLEEPS, ("--idle-seconds", "60"), {**SLEEPS, "idleSeconds": 60}),
        (SLEEPS, ("--server-based",), given.CONFIG),
        (SLEEPS, ("--server-based", "--min", "2", "--max", "3", "--cpu", "60"), scaled(2, 3, 60)),
        (given.CONFIG, ("--max", "4"), scaled(1, 4, 80)),
    ],
)
def test_the_type_that_is_live_is_kept_unless_another_is_given(
    serving: ScriptedPlugin, live: Manifest, options: tuple[str, ...], config: Manifest | None
) -> None:
    """The row names its type and its whole config."""
    serving.rows(row(given.live(1, "v1", config=live), name="chat-a"))
    assert serving("deploy", "chat", "--yes", "--no-wait", *options).code == 0
    assert created(serving)[0]["config"] == (config or {**SLEEPS, "idleSeconds": 60, "maxReplicas": 3, "holdSeconds": 30})


def test_a_first_row_has_its_type(serving: ScriptedPlugin) -> None:
    serving.rows()
    assert serving("deploy", "chat", "--yes", "--no-wait").code == 0
    assert created(serving)[0]["config"]["type"] == "server"


@pytest.mark.parametrize(
    ("live", "options", "sentence"),
    [
        (SLEEPS, ("--min", "2"), "leave out --min and --cpu, or add --server-based: chat would be serverless"),
        (
            given.CONFIG,
            ("--idle-seconds", "60"),
            "leave out --idle-seconds and --hold-seconds, or add --serverless: chat would be a server, which never sleeps",
        ),
        (
            given.CONFIG,
            ("--server-based", "--hold-seconds", "60"),
            "leave out --idle-seconds and --hold-seconds, or add --serverless: chat would be a server, which never sleeps",
        ),
    ],
)
def test_options_of_the_other_type(serving: ScriptedPlugin, live: Manifest, options: tuple[str, ...], sentence: str) -> None:
    serving.rows(row(given.live(1, "v1", config=live), name="chat-a"))
    done = serving("deploy", "chat", "--yes", *options)
    assert (done.code, done.err, created(serving)) == (1, f"error: {sentence}\n", [])


SWITCHES = given.with_spec(rollout={"strategy": "Switch"})


@pytest.mark.parametrize(
    ("workloads", "serves", "said"),
    [
        ([of_pins("v2", 2, 2, serves=True), of_pins("v1", 2, 2, warm=True)], "v2", "standby: 2 pods ready, no pod starts"),
        ([of_pins("v2", 2, 2, serves=True), of_pins("v1", 1, 1, warm=True)], "v2", "standby: 1 pod ready, 1 pod starts beside them"),
        ([of_pins("v2", 2, 2, serves=True), of_pins("v3", 2, 2, warm=True)], "v2", "2 pods start beside those that serve"),
        ([of_pins("v2", 2, 2, serves=True), of_pins("v1", 2, 2, warm=True, app=given.an_app(given.public()))], "v2", "2 pods start beside"),
        ([rolling(2, 2, 2, 0)], None, "pods are replaced one by one"),
        ([rolling(2, 2, 2, 0), of_pins("v2", 2, 1)], None, "pods are replaced one by one"),
    ],
    ids=["warm", "warm in part", "another is warm", "warm with other variables or access", "before the change", "during the change"],
)
def test_a_preview_of_a_rollback_under_switch_shows_if_a_standby_is_ready(
    serving: ScriptedPlugin, workloads: list[Manifest], serves: str | None, said: str
) -> None:
    serving.app(given.stored(given.app_manifest(SWITCHES)))
    serving.rows(row(given.superseded(1, "v1"), name="chat-a"), row(given.live(2, "v2"), name="chat-b"))
    serving.script.on("GET", BY_KIND[WORKLOAD.kind].path(NAMESPACE), listed(*workloads))
    serving.script.on("GET", BY_KIND[SERVICE.kind].path(NAMESPACE, NAME), service(serves))
    assert f"  {said}" in serving("rollback", "chat", "--preview").out


def test_a_caller_who_may_not_read_workloads_gets_both_outcomes_of_a_switch(serving: ScriptedPlugin) -> None:
    serving.app(given.stored(given.app_manifest(SWITCHES)))
    serving.script.on("GET", BY_KIND[WORKLOAD.kind].path(NAMESPACE), failure(403, "Forbidden"))
    assert "unless a standby is ready" in serving("deploy", "chat", "--preview").out


def test_a_caller_who_may_only_read_gets_a_preview_with_a_warning(serving: ScriptedPlugin) -> None:
    permitting(serving.script, but=[("create", "deployments")])
    serving.script.on("POST", ROW_LIST, failure(403, "Forbidden", 'deployments is forbidden: User "eve" cannot create'))
    for option in ("--preview", "--dry-run"):
        shown = serving("deploy", "chat", option)
        assert (shown.code, "you could not do this: you may not create deployments" in shown.out) == (0, True)
    done = serving("deploy", "chat", "--yes")
    assert done.code == 1
    assert done.err.endswith("ask for the ClusterRole that allows it, view to read and edit to deploy (`kubectl auth can-i --list`)\n")


# Rollbacks.


@pytest.fixture
def twice(serving: ScriptedPlugin) -> ScriptedPlugin:
    """Returns a plugin on App chat, which serves v2 after v1."""
    scaled = {**given.CONFIG, "autoscaling": {"minReplicas": 3, "maxReplicas": 3, "targetCPUUtilizationPercentage": 80}}
    serving.rows(
        row(given.superseded(1, "v1", config=scaled), name="chat-a"),
        row(given.live(2, "v2"), name="chat-b"),
        row(given.never_deployed(3), name="chat-c"),
    )
    return serving


@pytest.mark.parametrize(
    ("options", "spec"),
    [
        ((), {"restores": "chat-a"}),
        (("--to", "v1"), {"restores": "chat-a"}),
        (("--to-row", "1"), {"restores": "chat-a"}),
        (("--to-row", "#2"), {"restores": "chat-b"}),
        (("--to-row", "chat-a", "-m", "v2 is rude"), {"restores": "chat-a", "message": "v2 is rude"}),
    ],
)
def test_a_rollback_is_one_more_row_that_restores_an_older_one(twice: ScriptedPlugin, options: tuple[str, ...], spec: Manifest) -> None:
    done = twice("rollback", "chat", "--yes", *options, "--no-wait")
    assert (done.code, done.out) == (0, f"{NEW}\n")
    assert created(twice) == [{"app": "chat", **spec}], "with a config it would be no rollback to the rules for deploys"


def test_with_config_the_scaling_of_the_row_comes_back_too(twice: ScriptedPlugin) -> None:
    shown = twice("rollback", "chat", "--with-config", "--preview").out
    assert "version  v2 (#2) → v1" in shown
    assert "config   1 to 2 pods at 80 % CPU → 3 pods at 80 % CPU" in shown
    assert "config   1 to 2 pods at 80 % CPU\n" in twice("rollback", "chat", "--preview").out


def test_a_rollback_restores_the_runtime_and_its_preview_shows_it(twice: ScriptedPlugin) -> None:
    old = given.a_runtime(given.with_spec(version="0.9.0"), name="tiny-0")
    twice.rows(row(given.superseded(1, "v1", runtime=old), name="chat-a"), row(given.live(2, "v2"), name="chat-b"))
    shown = twice("rollback", "chat", "--dry-run").out
    assert "  restores #1 chat-a\n  version  v2 (#2) → v1\n  runtime  1.0.0 → 0.9.0\n" in shown
    assert "  runtime  1.0.0\n" in twice("rollback", "chat", "--dry-run", "--runtime", "tiny-1").out


@pytest.mark.parametrize("command", ["deploy", "rollback"])
def test_without_a_terminal_and_yes_nothing_is_done(twice: ScriptedPlugin, command: str) -> None:
    done = twice(command, "chat")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: needs --yes: there is no terminal to ask; --dry-run shows")
    assert created(twice) == []


def test_a_wrong_request_is_refused_before_the_question(twice: ScriptedPlugin) -> None:
    for options in (("--version", "9"), ("--serverless", "--min", "1"), ("--min", "5", "--max", "2")):
        done = twice("deploy", "chat", *options)
        assert (done.code, "--yes" in done.err) == (1, False)


def test_a_change_during_the_question_is_refused_with_both_values(serving: ScriptedPlugin) -> None:
    """Between the preview and the answer, one user scales the App, and another releases v3."""
    path = ROWS.path(NAMESPACE)
    before, after = row(given.live(1, "v1"), name="chat-a"), row(given.live(2, "v1", config=scaled(4, 9, 80)), name="chat-b")
    selected = {"fieldSelector": f"spec.app={NAME},{ROWS.field_selector}"}
    serving.script.on("GET", path, listed(before), listed(after), query=selected)
    done = serving("deploy", "chat", typed="y\n")
    assert done.code == 4
    (message,) = [line for line in done.err.splitlines() if "error: " in line]
    assert "nothing was done, since what would be deployed has changed after the preview: config was " in message
    assert message.index('"maxReplicas": 2') < message.index(" and is ") < message.index('"maxReplicas": 9')
    assert created(serving) == []


def test_it_asks_before_it_rolls_back(twice: ScriptedPlugin) -> None:
    assert twice("rollback", "chat", typed="n\n").err == "\nRoll back? [y/N] nothing was done\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--to-row", "9"), "no row #9 of chat in namespace demo; rows are #1 to #3"),
        (("--to-row", "none"), "no row none of chat in namespace demo; see `kubectl dynamiq history chat -o wide -n demo`"),
        (("--to-row", "3"), "row chat-c failed: only a row that went live can be restored"),
        (("--to", "v9", "--with-config"), "version v9 of chat never ran, so it has no config: leave out --with-config"),
    ],
)
def test_a_rollback_without_a_target_is_refused(twice: ScriptedPlugin, options: tuple[str, ...], sentence: str) -> None:
    twice.script.on("GET", ROWS.path(NAMESPACE, "none"), missing("deployments", "none"))
    done = twice("rollback", "chat", "--yes", *options)
    assert (done.code, done.err) == (1, f"error: {sentence}\n")


def test_an_app_that_ran_one_flow_has_nothing_before_it(serving: ScriptedPlugin) -> None:
    done = serving("rollback", "chat", "--yes")
    assert (
        done.err
        == "error: There is no version to roll back to: chat has run nothing but v1. Name one: `kubectl dynamiq rollback chat --to VERSION`\n"
    )
    serving.script.on("GET", ROW_LIST, listed(row(given.never_deployed(1))))
    assert (
        serving("rollback", "chat", "--yes").err
        == "error: There is no version to roll back to: nothing of chat has gone live yet. Name one: `kubectl dynamiq rollback chat --to VERSION`\n"
    )
