"""`kubectl dynamiq` on a real API server, by a real kubectl and on a terminal. tests/unit/cli tests each command's requests and output."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from datetime import timedelta

import pytest
import yaml

from dynamiq_operator.model.manifests import GROUP, format_time, parse_time
from tests.support import factories
from tests.support.api import Manifest
from tests.support.history_stage import APP, HistoryStage
from tests.support.plugin import ENDS_WITHIN, Plugin, without_progress
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("policies")

DOT = "●"
HOSTILE = "\x1b]0;owned\x07\x1b[2J\nerror: forged"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\nerror: forged"


@pytest.fixture(scope="module")
def history_app(module_stage: HistoryStage) -> str:
    """Makes an App whose history is v1 with a hostile message, v2, and a failed row. No test changes it."""
    module_stage.app("told", workflow=APP)
    module_stage.live("told", "v1", runtime=module_stage.default_runtime, message=HOSTILE)
    module_stage.live("told", "v2", config={"autoscaling": {"minReplicas": 2, "maxReplicas": 3}})
    module_stage.until(module_stage.deploy("told", "v3", config={"idleSeconds": 9}), "Failed")
    return "told"


def test_deploys_and_rollbacks_do_what_their_previews_show(module_stage: HistoryStage, plugin: Plugin) -> None:
    name = "walked"
    module_stage.app(name, factories.with_spec(rollout={"strategy": "Switch"}), workflow=APP)
    done = plugin("deploy", name, "--yes", "--version", "v1", "--runtime", module_stage.default_runtime, "-m", "first")
    row = module_stage.rows(name)[0]
    assert done.returncode == 0, done.stderr
    assert "version  (nothing) → v1" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"{name}: v1 (#1, {row['metadata']['name']}) is Live after ")
    assert without_progress(done.stderr).splitlines()[-1].startswith("Live")
    assert row["spec"]["message"] == "first"
    preview = plugin.data("deploy", name, "--version", "v2", "--preview")
    assert (preview["strategy"], preview["podsRestart"], preview["podsWarm"], preview["podsToStart"]) == ("Switch", True, 0, 1)
    assert len(module_stage.rows(name)) == 1
    made = plugin.data("deploy", name, "--yes", "--version", "v2", "--max", "5", "--cpu", "60")
    assert (made["version"], made["status"]) == ("v2", "Live")
    assert made["config"]["autoscaling"] == {"minReplicas": 1, "maxReplicas": 5, "targetCPUUtilizationPercentage": 60}

    def warm() -> list[tuple[str, str, int]]:
        return [(each["role"], each["version"], each["ready"]) for each in plugin.data("status", name)["beside"]]

    eventually("v1 is warm", lambda: warm() == [("warm", "v1", 1)])
    assert "standby: 1 pod ready, no pod starts; calls move to them at once" in plugin.said("rollback", name, "--preview")
    before = {pod["metadata"]["uid"] for pod in module_stage.pods(name)}
    assert "is Live after" in plugin.said("rollback", name, "--yes")
    assert {pod["metadata"]["uid"] for pod in module_stage.pods(name)} <= before, "no pod starts, and those of the version left end"
    newest = module_stage.rows(name)[-1]["spec"]["pinned"]
    assert (newest["workflowVersion"], newest["config"]["autoscaling"]) == ("v1", made["config"]["autoscaling"])


def test_every_view_is_of_the_rows_that_are_stored(module_stage: HistoryStage, plugin: Plugin, history_app: str) -> None:
    first, second, failed = module_stage.rows(history_app)
    rows = plugin.data("history", history_app)
    assert rows == yaml.safe_load(plugin.said("history", history_app, "-o", "yaml"))
    for row, stored in zip(rows, (failed, second, first), strict=True):
        spec = stored["spec"]
        seen = spec | spec.get("pinned", {})
        assert (row["name"], row["sequence"], row["digest"]) == (stored["metadata"]["name"], spec["sequence"], seen.get("digest"))
        assert (row["version"], row["config"]) == (seen["workflowVersion"], seen["config"])
    assert [row["status"] for row in rows] == ["Failed", "Live", "Superseded"]
    digest, went_live = second["spec"]["pinned"]["digest"], second["spec"]["outcome"]["at"]
    report = plugin.data("report", history_app, "--since", "1d")
    assert (report["fits"], [each["result"] for each in report["deploys"]]) == (True, ["Succeeded", "Succeeded", "Failed"])
    assert f"| {module_stage.namespace}/{history_app} | 3 | yes |" in plugin("report", "-A", "-o", "md").stdout, (
        "others' histories need not fit"
    )
    assert plugin.data("at", went_live, history_app)["row"]["version"] == "v2"
    early = format_time(parse_time(first["spec"]["outcome"]["at"]) - timedelta(seconds=1))
    assert plugin("at", early, history_app).returncode == 3
    assert plugin.said("verify", history_app, "--expect", digest).startswith(f"{history_app}: 3 rows fit, from sha256:")
    changed = plugin.said("diff", history_app, "1", "#2")
    assert "version  v1 → v2" in changed
    assert any(line.startswith("+") and "'v2'" in line for line in changed.splitlines())
    status = plugin.data("status", history_app)
    assert (status["live"]["name"], status["failed"]["row"]) == (second["metadata"]["name"], failed["metadata"]["name"])
    assert plugin.said("open", history_app) == f"http://{history_app}.{module_stage.namespace}.svc\n"
    everywhere = Plugin(plugin.cluster, "", plugin.folder).said("list", "-A")
    assert [line for line in everywhere.splitlines() if line.split()[:3] == [module_stage.namespace, history_app, "v2"]]
    assert f"app.{GROUP}/{history_app}" in plugin.said("list", "-o", "name").splitlines()
    version = plugin.data("version")
    assert (version["resources"], version["kubernetes"][:3]) == (["v1alpha1"], "v1.")


# As kubectl starts it.


def test_an_error_of_a_login_is_one_sentence_with_the_next_step(module_stage: HistoryStage, plugin: Plugin, history_app: str) -> None:
    def refused(*arguments: str, **environment: str) -> str:
        done = plugin.process("history", history_app, *arguments, **environment)
        (line,) = without_progress(done.stderr).splitlines()
        assert (done.returncode, done.stdout, line.startswith("error: ")) == (1, "", True), done
        return line.removeprefix("error: ")

    def login(user: Manifest) -> str:
        config["users"][0]["user"] = user
        path = plugin.folder / "login"
        path.write_text(yaml.safe_dump(config))
        return f"--kubeconfig={path}"

    config = yaml.safe_load(module_stage.kubectl("config", "view", "--minify", "--raw", "--flatten").stdout)
    helper = {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-helper", "interactiveMode": "Never"}
    nowhere = "the API server does not answer: dial tcp 127.0.0.1:1: connect: connection refused"
    contexts = 'context "none" does not exist: `kubectl config get-contexts` lists the contexts'
    assert refused("--context", "none") == contexts
    assert refused("--server", "https://127.0.0.1:1").startswith(nowhere)
    assert refused(login({"token": "expired"})).startswith("the cluster does not accept your login: log in again")
    assert "no-such-helper" in refused(login({"exec": helper}))
    assert "where kubectl looks when it knows no cluster" in refused(KUBECONFIG="/dev/null")


def test_without_a_terminal_it_goes_by_the_context_and_ends_as_scripts_expect(
    module_stage: HistoryStage, plugin: Plugin, history_app: str
) -> None:
    path = plugin.folder / "config"
    path.write_text(module_stage.kubectl("config", "view", "--minify", "--raw", "--flatten").stdout)
    module_stage.kubectl("config", "set-context", "--current", f"--namespace={module_stage.namespace}", f"--kubeconfig={path}")
    done = Plugin(plugin.cluster, "", plugin.folder).process("history", history_app, KUBECONFIG=str(path))
    assert (done.returncode, done.stdout) == (0, plugin.said("history", history_app)), done.stderr
    assert not {"\x1b", DOT} & set(done.stdout)
    logs = plugin("logs", history_app, "--tail", "1")
    assert "no pod" not in logs.stderr, "nothing runs in simulated pods: that kubectl names a pod's node is as far as it comes here"
    assert "Traceback" not in logs.stderr


def test_kubectl_completes_names_of_the_cluster(module_stage: HistoryStage, plugin: Plugin, history_app: str) -> None:
    namespace = module_stage.namespace
    for typed, offered in (
        (["history", "tol"], ["told\tv2"]),
        (["rollback", history_app, "--to", "v3"], ["v3\tWhat v3 does"]),
        (["deploy", history_app, "--runtime", f"{namespace}-ti"], [f"{namespace}-tiny\ttiny"]),
        (["promote", history_app, "--to", "prod"], ["production"]),
        (["history", "-n", namespace], [namespace]),
    ):  # a cluster that is late is not waited for
        eventually(f"{offered} are offered", lambda typed=typed, offered=offered: _completed(plugin, typed) == offered)  # type: ignore[misc]
    lines = eventually("rows are offered", functools.partial(_completed, plugin, ["rollback", history_app, "--to-row", ""]))
    assert [line.partition("\t")[0] for line in lines] == ["3", "2", "1"], "each once, whatever its message"
    assert SHOWN.replace("x07", "a") in lines[-1], "as Go quotes it"
    assert _completed(plugin, ["history", "--server=https://127.0.0.1:1", ""]) == []


def _completed(plugin: Plugin, typed: list[str]) -> list[str]:
    """Returns the completions that kubectl offers after `kubectl dynamiq` and these words."""
    command = [str(plugin.cluster.kubectl), "__complete", "dynamiq", typed[0], f"-n={plugin.namespace}", *typed[1:]]
    done = subprocess.run(command, env=plugin.environment(), capture_output=True, text=True, timeout=ENDS_WITHIN, check=True)
    *lines, directive = done.stdout.splitlines()
    assert (directive, "refused" in done.stderr) == (":4", False)
    return lines


# On a terminal.


def test_on_a_terminal_it_asks_and_rewrites_the_line_of_the_rollout(module_stage: HistoryStage, plugin: Plugin) -> None:
    name = "asked"
    module_stage.app(name, workflow=APP)
    module_stage.live(name, "v1", runtime=module_stage.default_runtime)
    module_stage.live(name, "v2")
    with plugin.on_terminal("rollback", name) as terminal:
        terminal.until(r"Roll back\? \[y/N\] ")
        terminal.press("\x04")
        assert terminal.end() == 1
    assert "nothing was done" in terminal.shown
    with plugin.on_terminal("rollback", name, "-m", "v2 is rude") as terminal:
        shown = terminal.until(r"Roll back\? \[y/N\] ")
        assert "version  v2 (#2) → v1" in shown
        assert "\x1b[31m-" in shown
        assert len(module_stage.rows(name)) == 2
        terminal.press("y\n")
        assert terminal.end() == 0
    row = module_stage.rows(name)[-1]
    assert (row["spec"]["pinned"]["workflowVersion"], row["spec"]["message"]) == ("v1", "v2 is rude")
    followed = without_progress(terminal.shown).partition("[y/N] y")[2]
    assert re.search(r"\r\x1b\[KProgressing, pods: \d new, \d old, \d of \d ready, \d+ s", followed)
    assert f"\r\x1b[K{name}: v1 (#3, {row['metadata']['name']}) is \x1b[32m{DOT}\x1b[0m Live after " in followed
    assert followed.count("\n") == 2, "the line of progress is rewritten"


def test_a_terminal_shows_colours_where_it_wants_them_and_does_nothing_that_users_wrote(plugin: Plugin, history_app: str) -> None:
    def shown(*command: str, **environment: str) -> str:
        with plugin.on_terminal(*command, **environment) as terminal:
            assert terminal.end() == 0
        return without_progress(terminal.shown).replace("\r\n", "\n")

    coloured = shown("history", history_app)
    for colour, status in ((31, "Failed"), (32, "Live"), (90, "Superseded")):
        assert f"\x1b[{colour}m{DOT}\x1b[0m {status}" in coloured
    plain = shown("history", history_app, "-o", "wide", NO_COLOR="1")
    assert SHOWN in plain
    assert not {"\x1b", "\x07"} & set(plain)
    narrow = shown("history", history_app, NO_COLOR="1", COLUMNS="80").splitlines()
    assert max(map(len, narrow)) <= 80
    assert any("…" in line for line in narrow)


# However it ends.


@pytest.fixture
def signals_by_default() -> Iterator[None]:
    """Resets SIGHUP to its default, so that programs started here end at it even if nohup started the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_ctrl_c_at_the_question_does_nothing_and_while_it_follows_stops_nothing(
    module_stage: HistoryStage, plugin: Plugin, history_app: str
) -> None:
    before = module_stage.rows(history_app)
    with plugin.on_terminal("rollback", history_app) as terminal:
        terminal.until(r"\[y/N\] ")
        assert plugin.leftovers(), "the proxy runs while it asks: or this test would see none in any case"
        terminal.press("\x03")
        assert terminal.end() == 130
    assert "Traceback" not in terminal.shown
    assert module_stage.rows(history_app) == before
    plugin.nothing_left()
    module_stage.app("stuck", workflow=APP)
    slow = module_stage.runtime("slow", image=factories.IMAGE, resources=factories.NO_NODE_HAS)
    with plugin.on_terminal("deploy", "stuck", "--version", "v1", "--runtime", slow, "--yes") as terminal:
        terminal.until("Progressing, pods: 1 new")
        terminal.press("\x03")
        assert terminal.end() == 130
    row = module_stage.rows("stuck")[0]
    assert f"interrupted: the deploy of {row['metadata']['name']} continues; see `kubectl dynamiq status stuck" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert row["status"]["phase"] == "Progressing"


@pytest.mark.usefixtures("signals_by_default")
def test_a_watch_prints_what_comes_and_no_proxy_outlives_it(module_stage: HistoryStage, plugin: Plugin, history_app: str) -> None:
    module_stage.app("watched", workflow=APP)
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP):
        with plugin.started("history", "watched", "--watch", "-o", "json") as watching:
            assert watching.stdout is not None
            row = module_stage.deploy("watched", "v1", runtime=module_stage.default_runtime)
            found = (json.loads(line) for line in watching.stdout)
            assert any((each["name"], each["status"]) == (row, "Live") for each in found)
            (folder,) = plugin.folder.glob("kubectl-dynamiq-*")
            assert (folder.stat().st_mode & 0o777, (folder / "s").is_socket()) == (0o700, True)
            watching.send_signal(number)
            watching.wait(ENDS_WITHIN)
            plugin.nothing_left()
    reading, writing = os.pipe()
    os.close(reading)
    command, env = plugin.command("history", history_app), plugin.environment()
    done = subprocess.run(command, env=env, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=ENDS_WITHIN, check=False)
    os.close(writing)
    assert (done.returncode, without_progress(done.stderr)) == (141, ""), "nobody reads its output any more"
