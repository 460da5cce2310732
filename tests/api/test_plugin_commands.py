"""`kubectl dynamiq` without a terminal, as scripts and pipes use it: each command, each refusal, and completion."""

from __future__ import annotations

import json
import socket
import subprocess

import pytest
import yaml

from dynamiq_operator.model import kinds
from tests.support import factories
from tests.support.api import Manifest
from tests.support.history_stage import APP, HistoryStage
from tests.support.plugin import ENDS_WITHIN, Plugin
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("policies")

COLUMNS = "VERSION DESCRIPTION STATUS CREATED BY RUNTIME DATE"
HOSTILE = "\x1b[31mred\nbegins a line\x07 ‮"
SHOWN = r"\x1b[31mred\nbegins a line\x07 \u202e"
NEVER = {"requests": {"cpu": "9000"}}
"""No node has so much: a deploy that asks for it goes on until its deadline."""


@pytest.fixture
def app(theatre: HistoryStage, request: pytest.FixtureRequest) -> str:
    """An App of this test's own, with nothing deployed."""
    name: str = request.function.__name__.removeprefix("test_").replace("_", "-")[:40].strip("-")
    theatre.app(name, workflow=APP)
    return name


@pytest.fixture(scope="module")
def told(theatre: HistoryStage) -> str:
    """An App whose history is v1, then v2, and which no test changes."""
    theatre.app("told", workflow=APP)
    _two(theatre, "told")
    return "told"


def _table(text: str) -> list[list[str]]:
    header, *rows = text.splitlines()
    return [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in (header, *rows)]


def _two(theatre: HistoryStage, app: str) -> None:
    theatre.live(app, "v1", runtime=theatre.default_runtime, message="first")
    theatre.live(app, "v2", config={"autoscaling": {"minReplicas": 2, "maxReplicas": 3}})


def _sequence(theatre: HistoryStage, app: str) -> list[str]:
    return [f"{row['spec']['sequence']} {row['spec']['pinned']['workflowVersion']}" for row in theatre.rows(app)]


# What each command does.


def test_history_has_the_products_columns_newest_first(theatre: HistoryStage, plugin: Plugin, told: str) -> None:
    text = plugin.said("history", told)
    assert "\x1b" not in text
    assert " ".join(text.splitlines()[0].split()) == COLUMNS
    rows = _table(text)[1:]
    assert [row[:4] for row in rows] == [["v2", "What v2 does", "Live", "admin"], ["v1", "What v1 does", "Superseded", "admin"]]


def test_history_wide_tells_all_of_a_row(theatre: HistoryStage, plugin: Plugin, app: str) -> None:
    _two(theatre, app)
    plugin.said("rollback", app, "--to-row", "1", "-m", HOSTILE)
    header, newest, *_ = plugin.said("history", app, "-o", "wide").splitlines()
    for column in ("SEQ", "CONFIG", "MESSAGE", "FROM", "DURATION", "DIGEST", "ROW"):
        assert column in header
    stored = theatre.rows(app)[-1]
    assert stored["spec"]["message"] == HOSTILE
    for part in (SHOWN, "2 to 3 pods at 80 % CPU", "restores #1", stored["spec"]["pinned"]["digest"][:19], stored["metadata"]["name"]):
        assert part in newest


def test_history_as_data_has_stable_fields(theatre: HistoryStage, plugin: Plugin, told: str) -> None:
    rows = plugin.data("history", told)
    assert rows == yaml.safe_load(plugin.said("history", told, "-o", "yaml"))
    fields = "name uid app version description status createdBy runtime date sequence config message provenance duration digest reason"
    assert list(rows[0]) == fields.split()
    for row, stored in zip(rows, theatre.rows(told)[::-1], strict=True):
        spec = stored["spec"]
        assert row["name"] == stored["metadata"]["name"]
        assert (row["sequence"], row["digest"]) == (spec["sequence"], spec["pinned"]["digest"])
        assert (row["version"], row["config"], row["date"]) == (
            spec["pinned"]["workflowVersion"],
            spec["pinned"]["config"],
            spec["pinned"]["createdAt"],
        )
    explained = plugin.said("history", "--help")
    assert all(field in explained for field in fields.split())


def test_history_of_an_app_without_rows(plugin: Plugin, app: str) -> None:
    done = plugin("history", app)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"kubectl dynamiq deploy {app}" in done.stderr
    assert plugin.data("history", app) == []


def test_watch_shows_a_new_row_and_its_end(theatre: HistoryStage, plugin: Plugin, app: str) -> None:
    theatre.live(app, "v1", runtime=theatre.default_runtime)
    with plugin.started("history", app, "--watch", "-o", "json") as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["version"] == "v1"
        row = theatre.deploy(app, "v2")
        for line in watching.stdout:
            found = json.loads(line)
            if found["name"] == row and found["status"] == "Live":
                break
        assert (found["name"], found["version"]) == (row, "v2")


def test_deploy_previews_and_follows_until_live(theatre: HistoryStage, plugin: Plugin, app: str) -> None:
    done = plugin("deploy", app, "--version", "v1", "--runtime", theatre.default_runtime, "-m", "first")
    assert done.returncode == 0, done.stderr
    row = theatre.rows(app)[0]
    assert "version  (nothing) → v1" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"{app}: v1 (#1, {row['metadata']['name']}) is Live after ")
    assert done.stderr.splitlines()[-1].startswith("Live")
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    assert row["spec"]["message"] == "first"
    assert row["spec"]["createdBy"] == "admin"


def test_deploy_scales_by_flags(theatre: HistoryStage, plugin: Plugin, app: str) -> None:
    theatre.live(app, "v1", runtime=theatre.default_runtime)
    text = plugin.said("deploy", app, "--version", "v1", "--min", "2", "--max", "5", "--cpu", "60")
    assert "config   1 to 2 pods at 80 % CPU → 2 to 5 pods at 60 % CPU" in text
    assert "no pod restarts" in text
    scaling = {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 60}
    assert theatre.rows(app)[-1]["spec"]["pinned"]["config"]["autoscaling"] == scaling


def test_a_preview_changes_nothing(theatre: HistoryStage, plugin: Plugin, told: str) -> None:
    before = theatre.rows(told)
    for command in (("deploy", told, "--version", "v3"), ("rollback", told)):
        text = plugin.said(*command, "--preview")
        assert "version  v2 (#2) → " in text
        assert "\n-" in text
        data = plugin.data(*command, "--preview")
        assert (data["from"]["version"], data["podsRestart"], data["noOp"]) == ("v2", True, False)
    assert theatre.rows(told) == before


def test_no_wait_prints_the_rows_name_alone(theatre: HistoryStage, plugin: Plugin, app: str) -> None:
    name = plugin.said("deploy", app, "--version", "v1", "--runtime", theatre.default_runtime, "--no-wait")
    assert [f"{row['metadata']['name']}\n" for row in theatre.rows(app)] == [name]


def test_data_of_a_deploy_is_its_row(theatre: HistoryStage, plugin: Plugin, app: str) -> None:
    row = plugin.data("deploy", app, "--version", "v1", "--runtime", theatre.default_runtime)
    assert row == plugin.data("history", app)[0]
    assert row["status"] == "Live"


def test_rollback_goes_to_the_last_good_row(theatre: HistoryStage, plugin: Plugin, app: str) -> None:
    _two(theatre, app)
    plugin.said("rollback", app)
    assert _sequence(theatre, app) == ["1 v1", "2 v2", "3 v1"]
    assert theatre.rows(app)[-1]["spec"]["pinned"]["config"]["autoscaling"]["minReplicas"] == 2


def test_rollback_to_a_version_and_to_a_row_with_its_config(theatre: HistoryStage, plugin: Plugin, app: str) -> None:
    _two(theatre, app)
    plugin.said("rollback", app, "--to", "v1")
    plugin.said("rollback", app, "--to-row", "#2")
    plugin.said("rollback", app, "--to-row", theatre.rows(app)[0]["metadata"]["name"], "--with-config")
    assert _sequence(theatre, app) == ["1 v1", "2 v2", "3 v1", "4 v2", "5 v1"]
    assert [row["spec"]["pinned"]["config"]["autoscaling"]["minReplicas"] for row in theatre.rows(app)] == [1, 2, 2, 2, 1]


def test_diff_shows_what_changed_between_two_rows(theatre: HistoryStage, plugin: Plugin, told: str) -> None:
    text = plugin.said("diff", told, "1", "#2")
    assert "version  v1 → v2" in text
    assert "config   1 to 2 pods at 80 % CPU → 2 to 3 pods at 80 % CPU" in text
    assert any(line.startswith("-") and "'v1'" in line for line in text.splitlines())
    assert any(line.startswith("+") and "'v2'" in line for line in text.splitlines())
    assert "the flow is the same" in plugin.said("diff", told, "1", "1")


def test_status_says_what_is_live_and_what_is_under_way(theatre: HistoryStage, plugin: Plugin, app: str) -> None:
    assert "nothing is live" in plugin.said("status", app)
    live = theatre.live(app, "v1", runtime=theatre.default_runtime)
    failed = theatre.deploy(app, "v2", config={"type": "serverless"})
    theatre.until(failed, "Failed")
    stuck = theatre.deploy(app, "v3", config={"resources": NEVER})
    theatre.until(stuck, "Progressing")
    eventually("both are in the App's status", lambda: plugin.data("status", app)["failed"] and plugin.data("status", app)["underWay"])
    text = plugin.said("status", app)
    assert f"Live        v1 (#1, {live}), runtime tiny" in text
    assert f"Failed      (#2, {failed}): a serverless config needs Knative Serving" in text
    assert f"Progressing v3 (#3, {stuck})" in text
    assert f"hostname    {app}.{theatre.namespace}.svc" in text
    assert "Ready is " in text
    data = plugin.data("status", app)
    assert (data["live"]["name"], data["failed"]["row"], [row["name"] for row in data["underWay"]]) == (live, failed, [stuck])
    assert data["pods"]["ready"] >= 1


def test_verify_says_whether_every_row_fits(theatre: HistoryStage, plugin: Plugin, told: str) -> None:
    assert plugin("verify", "nobodys").returncode == 3
    text = plugin.said("verify", told)
    digest = theatre.rows(told)[-1]["spec"]["pinned"]["digest"]
    assert text.startswith(f"{told}: 2 rows fit, from sha256:")
    assert plugin.said("verify", told, "--expect", digest) == text
    done = plugin("verify", told, "--expect", "sha256:none")
    assert (done.returncode, "no row has the expected digest" in done.stdout) == (1, True)


def test_release_makes_the_next_version_once(theatre: HistoryStage, plugin: Plugin) -> None:
    theatre.create(factories.workflow_manifest(factories.in_namespace(theatre.namespace), name="drafted"))
    text = plugin.said("release", "drafted", "--preview")
    assert "version  (none) → v1" in text
    assert plugin.said("release", "drafted", "--description", "what changed").splitlines()[-1].startswith("drafted v1 is released")
    made = theatre.get(kinds.WORKFLOW_VERSION.kind, "drafted-v1")
    assert made["spec"]["description"] == "what changed"
    done = plugin("release", "drafted")
    assert (done.returncode, "the draft of drafted is v1 already" in done.stderr) == (0, True)
    assert theatre.find(kinds.WORKFLOW_VERSION.kind, "drafted-v2") is None
    theatre.change(kinds.WORKFLOW.kind, "drafted", spec={"flow": factories.flow("another")})
    assert plugin.data("release", "drafted")["spec"]["version"] == "v2"


def test_promote_takes_what_is_live_to_production(theatre: HistoryStage, plugin: Plugin, production: str, app: str) -> None:
    sentence = plugin.refused("promote", app)
    assert "serves nothing" in sentence
    source = theatre.live(app, "v2", runtime=theatre.default_runtime)
    text = plugin.said("promote", app, "--hostname", f"{app}.example.com", "-m", "to all")
    assert f"App {app} is made in {production}" in text
    assert "is Live after" in text.splitlines()[-1]
    rows = theatre.api.get(kinds.RECORD.kind, "", production, fieldSelector=f"spec.app={app}").body["items"]
    assert [row["spec"]["promotedFrom"]["row"] for row in rows] == [source]
    assert plugin("status", app, "-n", production, "-o", "json").returncode == 0


def test_logs_are_kubectls_of_the_live_rows_pods(theatre: HistoryStage, plugin: Plugin, app: str) -> None:
    """Nothing runs in simulated pods, so kubectl has nobody to ask: that it names a pod's node is as far as it comes here."""
    assert "nothing of" in plugin.refused("logs", app)
    theatre.live(app, "v1", runtime=theatre.default_runtime)
    done = plugin("logs", app, "--tail", "1")
    assert "no pod" not in done.stderr
    assert "Traceback" not in done.stderr
    theatre.live(app, "v2")
    theatre.until_settled(app)
    assert f"no pod of {app} v1 (#1" in plugin.refused("logs", app, "--row", "1")


def test_open_prints_the_address(theatre: HistoryStage, plugin: Plugin, app: str) -> None:
    theatre.live(app, "v1", runtime=theatre.default_runtime)
    done = plugin("open", app)
    assert done.stdout == f"http://{app}.{theatre.namespace}.svc\n"
    assert f"kubectl port-forward -n {theatre.namespace} service/{app} 8080:80" in done.stderr
    theatre.change(kinds.APP.kind, app, spec={"hostname": f"{app}.example.com"})
    eventually("the hostname is the App's own", lambda: plugin.said("open", app) == f"http://{app}.example.com\n")


# How deploys end otherwise.


def test_a_deploy_that_fails_says_why(theatre: HistoryStage, plugin: Plugin, app: str) -> None:
    broken = theatre.runtime("broken", image=factories.IMAGE, resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})
    done = plugin("deploy", app, "--version", "v1", "--runtime", broken)
    row = theatre.rows(app)[-1]
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"error: {app}: v1 (#1, {row['metadata']['name']}) Failed: {row['spec']['outcome']['reason']}"


def test_a_deploy_that_is_overtaken_and_one_that_takes_too_long(theatre: HistoryStage, plugin: Plugin, app: str) -> None:
    slow = theatre.runtime("slow", image=factories.IMAGE, resources=NEVER)
    done = plugin("deploy", app, "--version", "v2", "--runtime", slow, "--timeout", "1s")
    assert done.returncode == 1
    assert "is still Progressing after 1 s: it goes on" in done.stderr.splitlines()[-1]
    with plugin.started("deploy", app, "--version", "v3", "--runtime", slow) as following:
        assert following.stderr is not None
        first = following.stderr.readline()
        assert first.startswith(("Pending", "Progressing"))
        theatre.live(app, "v1", runtime=theatre.default_runtime)
        said = following.stderr.read()
        assert following.wait(ENDS_WITHIN) == 1
    assert "was not deployed" in said.splitlines()[-1]


# Refusals.


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("history {none}", "no App {none} in namespace {namespace}; Apps there: "),
        ("status {none}", "no App {none} in namespace {namespace}; Apps there: "),
        ("deploy {app} --version v9", "no version v9 of chat; released are v1 to v4"),
        ("deploy {app} --version 9", "a version is v and a number from 1, such as v3"),
        ("deploy {app} --runtime none", "no Runtime none; there are: "),
        ("deploy {app} --min 5 --max 2", "minReplicas is at most maxReplicas: raise maxReplicas or lower minReplicas"),
        ("deploy {app} --serverless", "a serverless config needs Knative Serving"),
        ("deploy {app} --serverless --min 1", "leave out --min, --max and --cpu, or --serverless"),
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
    served: str, theatre: HistoryStage, plugin: Plugin, command: str, sentence: str
) -> None:
    words = {"app": served, "none": "nobodys", "namespace": theatre.namespace}
    assert sentence.format(**words) in plugin.refused(*command.format(**words).split())


@pytest.fixture(scope="module")
def served(theatre: HistoryStage) -> str:
    """An App that serves v1, which no test changes."""
    theatre.app("served", workflow=APP)
    theatre.live("served", "v1", runtime=theatre.default_runtime, message="a\nb\t\x1b[31m\n7\tforged")
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


def test_what_is_wrong_with_the_login_or_kubectl_is_said(theatre: HistoryStage, plugin: Plugin, served: str) -> None:
    config = yaml.safe_load(theatre.kubectl("config", "view", "--minify", "--raw", "--flatten").stdout)
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


def test_the_namespace_is_that_of_the_context(theatre: HistoryStage, plugin: Plugin, served: str) -> None:
    path = plugin.folder / "config"
    path.write_text(theatre.kubectl("config", "view", "--minify", "--raw", "--flatten").stdout)
    theatre_less = Plugin(plugin.cluster, "", plugin.folder, more={"KUBECONFIG": str(path)})
    assert "in namespace default" in theatre_less.refused("status", served)
    theatre.kubectl("config", "set-context", "--current", f"--namespace={theatre.namespace}", f"--kubeconfig={path}")
    assert theatre_less.said("history", served) == plugin.said("history", served)


def test_a_user_of_one_namespace_sees_and_does_nothing_elsewhere(
    theatre: HistoryStage, plugin: Plugin, production: str, served: str
) -> None:
    binding: Manifest = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "nina", "namespace": production},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "nina"}],
    }
    assert theatre.api.apply(binding).ok
    nina = Plugin(plugin.cluster, plugin.namespace, plugin.folder, flags=("--as=nina",))
    at_home = Plugin(plugin.cluster, production, plugin.folder, flags=("--as=nina",))
    eventually("nina may look at home", lambda: "there" in at_home("history", "nobodys").stderr)
    rows = theatre.rows(served)
    name = rows[0]["metadata"]["name"]
    for command in (
        ("history", served),
        ("deploy", served, "--version", "v2", "--yes"),
        ("rollback", served, "--to-row", name),
        ("promote", served),
        ("logs", served),
        ("release", APP),
    ):
        sentence = nina.refused(*command)
        assert "forbidden" in sentence
        assert 'User "nina" cannot' in sentence
        assert "v1" not in sentence
    nina.refused("verify", served, code=2)
    assert theatre.rows(served) == rows


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
def test_completion(theatre: HistoryStage, plugin: Plugin, served: str, typed: list[str], offered: list[str]) -> None:
    typed, offered = ([word.format(namespace=theatre.namespace) for word in words] for words in (typed, offered))
    assert _completed(plugin, typed) == offered


def test_completion_of_rows_shows_each_once_whatever_its_message(plugin: Plugin, served: str) -> None:
    for typed in (["rollback", served, "--to-row", ""], ["diff", served, ""], ["logs", served, "--row", ""]):
        lines = _completed(plugin, typed)
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
