"""`kubectl dynamiq` without a terminal, as scripts and pipes use it: each command, and how deploys end."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from dynamiq_operator.model import kinds
from dynamiq_operator.model.manifests import GROUP, format_time, parse_time
from dynamiq_operator.model.names import APP_LABEL, KEYS_CHANGED_ANNOTATION
from tests.support import factories
from tests.support.history_stage import APP, HistoryStage
from tests.support.plugin import ENDS_WITHIN, PROGRESS, Plugin, without_progress
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("policies")

COLUMNS = "VERSION DESCRIPTION STATUS CREATED BY RUNTIME DATE"
HOSTILE = "\x1b[31mred\nbegins a line\x07 ‮"
SHOWN = r"\x1b[31mred\nbegins a line\x07 \u202e"


@pytest.fixture
def app(module_stage: HistoryStage, request: pytest.FixtureRequest) -> str:
    """An App of this test's own, with nothing deployed."""
    name: str = request.function.__name__.removeprefix("test_").replace("_", "-")[:40].strip("-")
    module_stage.app(name, workflow=APP)
    return name


@pytest.fixture(scope="module")
def told(module_stage: HistoryStage) -> str:
    """An App whose history is v1, then v2, and which no test changes."""
    module_stage.app("told", workflow=APP)
    _two(module_stage, "told")
    return "told"


def _table(text: str) -> list[list[str]]:
    header, *rows = text.splitlines()
    return [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in (header, *rows)]


def _two(module_stage: HistoryStage, app: str) -> None:
    """Two deploys that ended in different seconds, so that a time tells them apart."""
    first = module_stage.live(app, "v1", runtime=module_stage.default_runtime, message="first")
    ended = module_stage.row(first)["spec"]["outcome"]["at"]
    eventually("a second has passed", lambda: format_time(datetime.now(UTC)) > ended)
    module_stage.live(app, "v2", config={"autoscaling": {"minReplicas": 2, "maxReplicas": 3}})
    module_stage.until(first, "Superseded")


def _sequence(module_stage: HistoryStage, app: str) -> list[str]:
    return [f"{row['spec']['sequence']} {row['spec']['pinned']['workflowVersion']}" for row in module_stage.rows(app)]


# What each command does.


@pytest.mark.stamped
def test_history_has_the_products_columns_newest_first(module_stage: HistoryStage, plugin: Plugin, told: str) -> None:
    text = plugin.said("history", told)
    assert "\x1b" not in text
    assert " ".join(text.splitlines()[0].split()) == COLUMNS
    rows = _table(text)[1:]
    assert [row[:4] for row in rows] == [["v2", "What v2 does", "Live", "admin"], ["v1", "What v1 does", "Superseded", "admin"]]


def test_history_wide_tells_all_of_a_row(module_stage: HistoryStage, plugin: Plugin, app: str) -> None:
    _two(module_stage, app)
    plugin.said("rollback", app, "--yes", "--to-row", "1", "-m", HOSTILE)
    header, newest, *_ = plugin.said("history", app, "-o", "wide").splitlines()
    for column in ("SEQ", "CONFIG", "MESSAGE", "FROM", "DURATION", "DIGEST", "ROW"):
        assert column in header
    stored = module_stage.rows(app)[-1]
    assert stored["spec"]["message"] == HOSTILE
    for part in (SHOWN, "2 to 3 pods at 80 % CPU", "restores #1", stored["spec"]["pinned"]["digest"][:19], stored["metadata"]["name"]):
        assert part in newest


def test_history_as_data_has_stable_fields(module_stage: HistoryStage, plugin: Plugin, told: str) -> None:
    rows = plugin.data("history", told)
    assert rows == yaml.safe_load(plugin.said("history", told, "-o", "yaml"))
    fields = (
        "name uid app version description status createdBy runtime date sequence config message provenance duration"
        " waits approvedBy bypassReason digest reason source deployable"
    )
    assert list(rows[0]) == fields.split()
    for row, stored in zip(rows, module_stage.rows(told)[::-1], strict=True):
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


@pytest.mark.stamped
def test_a_report_has_every_deploy_and_says_that_the_history_fits(module_stage: HistoryStage, plugin: Plugin, told: str) -> None:
    report = plugin.data("report", told, "--since", "1d")
    first, second = (row["spec"] for row in module_stage.rows(told))
    for row, spec in zip(report["deploys"], (first, second), strict=True):
        assert (row["sequence"], row["began"], row["digest"]) == (spec["sequence"], spec["pinned"]["createdAt"], spec["pinned"]["digest"])
        assert (row["createdBy"], row["authorVerified"], row["result"]) == ("admin", True, "Succeeded")
    assert [row["liveUntil"] for row in report["deploys"]] == [second["outcome"]["at"], None]
    assert (report["fits"], report["histories"][0]["newest"]) == (True, second["pinned"]["digest"])
    assert [line.split(",")[2] for line in plugin.said("report", told, "-o", "csv").splitlines()] == ["sequence", "1", "2"]
    everywhere = plugin("report", "-A", "-o", "md").stdout  # it may end with 1: histories that other tests left in the cluster need not fit
    assert f"| {module_stage.namespace}/{told} | 2 | yes |" in everywhere


def test_at_a_time_the_row_is_live_that_had_gone_live_by_then(module_stage: HistoryStage, plugin: Plugin, told: str) -> None:
    first, second = (row["spec"]["outcome"]["at"] for row in module_stage.rows(told))
    before = format_time(parse_time(second) - timedelta(seconds=1))
    assert plugin.data("at", second, told)["row"]["version"] == "v2"
    assert (plugin.data("at", before, told)["row"] or {}).get("version") == ("v1" if before >= first else None), "times are to the second"
    done = plugin("at", "2020-01-01", told)
    assert (done.returncode, f"nothing was live, the first row went live at {first}" in done.stdout) == (3, True)
    shown = [line.split()[:2] for line in plugin.said("at", second).splitlines()]
    assert [told, "v2"] in shown


def test_under_switch_a_rollback_is_warm_as_its_preview_says(module_stage: HistoryStage, plugin: Plugin, app: str) -> None:
    module_stage.change(kinds.APP.kind, app, spec={"rollout": {"strategy": "Switch"}})
    module_stage.live(app, "v1", runtime=module_stage.default_runtime)
    cold = plugin.data("deploy", app, "--version", "v2", "--preview")
    assert (cold["strategy"], cold["podsRestart"], cold["podsWarm"], cold["podsToStart"]) == ("Switch", True, 0, 1)
    assert "is Live after" in plugin.said("deploy", app, "--version", "v2", "--yes")
    eventually(
        "v1 is told as warm",
        lambda: [(each["role"], each["version"], each["ready"]) for each in plugin.data("status", app)["beside"]] == [("warm", "v1", 1)],
    )
    assert "warm: 1 pod ready, no pod starts; calls move to them at once" in plugin.said("rollback", app, "--preview")
    assert plugin.data("rollback", app, "--preview")["podsRestart"] is False
    before = _pods(module_stage, app)
    assert "is Live after" in plugin.said("rollback", app, "--yes")
    assert _pods(module_stage, app) == before
    text = plugin.said("status", app)
    assert "strategy    Switch" in text
    assert "warm        v2, " in text


def _pods(module_stage: HistoryStage, app: str) -> set[str]:
    found = module_stage.api.get("Pod", "", module_stage.namespace, labelSelector=f"{APP_LABEL}={app}").body["items"]
    return {each["metadata"]["uid"] for each in found}


def test_history_of_an_app_without_rows(plugin: Plugin, app: str) -> None:
    done = plugin("history", app)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"kubectl dynamiq deploy {app}" in done.stderr
    assert plugin.data("history", app) == []


def test_watch_shows_a_new_row_and_its_end(module_stage: HistoryStage, plugin: Plugin, app: str) -> None:
    module_stage.live(app, "v1", runtime=module_stage.default_runtime)
    with plugin.started("history", app, "--watch", "-o", "json") as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["version"] == "v1"
        row = module_stage.deploy(app, "v2")
        for line in watching.stdout:
            found = json.loads(line)
            if found["name"] == row and found["status"] == "Live":
                break
        assert (found["name"], found["version"]) == (row, "v2")


@pytest.mark.stamped
def test_deploy_previews_and_follows_until_live(module_stage: HistoryStage, plugin: Plugin, app: str) -> None:
    done = plugin("deploy", app, "--yes", "--version", "v1", "--runtime", module_stage.default_runtime, "-m", "first")
    assert done.returncode == 0, done.stderr
    row = module_stage.rows(app)[0]
    assert "version  (nothing) → v1" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"{app}: v1 (#1, {row['metadata']['name']}) is Live after ")
    assert without_progress(done.stderr).splitlines()[-1].startswith("Live")
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    assert row["spec"]["message"] == "first"
    assert row["spec"]["createdBy"] == "admin"


def test_deploy_scales_by_flags(module_stage: HistoryStage, plugin: Plugin, app: str) -> None:
    module_stage.live(app, "v1", runtime=module_stage.default_runtime)
    text = plugin.said("deploy", app, "--yes", "--version", "v1", "--min", "2", "--max", "5", "--cpu", "60")
    assert "config   1 to 2 pods at 80 % CPU → 2 to 5 pods at 60 % CPU" in text
    assert "no pod restarts" in text
    scaling = {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 60}
    assert module_stage.rows(app)[-1]["spec"]["pinned"]["config"]["autoscaling"] == scaling


def test_a_preview_changes_nothing(module_stage: HistoryStage, plugin: Plugin, told: str) -> None:
    before = module_stage.rows(told)
    for command in (("deploy", told, "--yes", "--version", "v3"), ("rollback", told, "--yes")):
        text = plugin.said(*command, "--preview")
        assert "version  v2 (#2) → " in text
        assert "\n-" in text
        data = plugin.data(*command, "--preview")
        assert (data["from"]["version"], data["podsRestart"], data["noOp"]) == ("v2", True, False)
    assert module_stage.rows(told) == before


def test_no_wait_prints_the_rows_name_alone(module_stage: HistoryStage, plugin: Plugin, app: str) -> None:
    name = plugin.said("deploy", app, "--yes", "--version", "v1", "--runtime", module_stage.default_runtime, "--no-wait")
    assert [f"{row['metadata']['name']}\n" for row in module_stage.rows(app)] == [name]


def test_data_of_a_deploy_is_its_row(module_stage: HistoryStage, plugin: Plugin, app: str) -> None:
    row = plugin.data("deploy", app, "--yes", "--version", "v1", "--runtime", module_stage.default_runtime)
    (told,) = plugin.data("history", app)
    assert told == {**row, "deployable": told["deployable"]}
    assert (row["status"], told["deployable"]["ok"]) == ("Live", True)


def test_rollback_goes_to_the_last_good_row(module_stage: HistoryStage, plugin: Plugin, app: str) -> None:
    _two(module_stage, app)
    plugin.said("rollback", app, "--yes")
    assert _sequence(module_stage, app) == ["1 v1", "2 v2", "3 v1"]
    assert module_stage.rows(app)[-1]["spec"]["pinned"]["config"]["autoscaling"]["minReplicas"] == 2


def test_rollback_to_a_version_and_to_a_row_with_its_config(module_stage: HistoryStage, plugin: Plugin, app: str) -> None:
    _two(module_stage, app)
    plugin.said("rollback", app, "--yes", "--to", "v1")
    plugin.said("rollback", app, "--yes", "--to-row", "#2")
    plugin.said("rollback", app, "--yes", "--to-row", module_stage.rows(app)[0]["metadata"]["name"], "--with-config")
    assert _sequence(module_stage, app) == ["1 v1", "2 v2", "3 v1", "4 v2", "5 v1"]
    assert [row["spec"]["pinned"]["config"]["autoscaling"]["minReplicas"] for row in module_stage.rows(app)] == [1, 2, 2, 2, 1]


def test_diff_shows_what_changed_between_two_rows(module_stage: HistoryStage, plugin: Plugin, told: str) -> None:
    text = plugin.said("diff", told, "1", "#2")
    assert "version  v1 → v2" in text
    assert "config   1 to 2 pods at 80 % CPU → 2 to 3 pods at 80 % CPU" in text
    assert any(line.startswith("-") and "'v1'" in line for line in text.splitlines())
    assert any(line.startswith("+") and "'v2'" in line for line in text.splitlines())
    assert "the flow is the same" in plugin.said("diff", told, "1", "1")


def test_status_says_what_is_live_and_what_is_under_way(module_stage: HistoryStage, plugin: Plugin, app: str) -> None:
    assert "nothing is live" in plugin.said("status", app)
    live = module_stage.live(app, "v1", runtime=module_stage.default_runtime)
    failed = module_stage.deploy(app, "v2", config={"idleSeconds": 9})
    module_stage.until(failed, "Failed")
    stuck = module_stage.deploy(app, "v3", config={"resources": factories.NO_NODE_HAS})
    module_stage.until(stuck, "Progressing")

    def are_told() -> bool:
        found = plugin.data("status", app)
        return bool(found["failed"] and found["underWay"] and all(row["version"] for row in found["underWay"]))

    eventually("both are in the App's status", are_told)
    text = plugin.said("status", app)
    assert f"Live        v1 (#1, {live}), runtime tiny" in text
    assert f"Failed      (#2, {failed}): the config is of type server, which has no idleSeconds" in text
    assert f"Progressing v3 (#3, {stuck})" in text
    assert f"hostname    {app}.{module_stage.namespace}.svc" in text
    assert "Ready is " in text
    data = plugin.data("status", app)
    assert (data["live"]["name"], data["failed"]["row"], [row["name"] for row in data["underWay"]]) == (live, failed, [stuck])
    assert data["pods"]["ready"] >= 1


def test_verify_says_whether_every_row_fits(module_stage: HistoryStage, plugin: Plugin, told: str) -> None:
    assert plugin("verify", "nobodys").returncode == 3
    text = plugin.said("verify", told)
    digest = module_stage.rows(told)[-1]["spec"]["pinned"]["digest"]
    assert text.startswith(f"{told}: 2 rows fit, from sha256:")
    assert plugin.said("verify", told, "--expect", digest) == text
    done = plugin("verify", told, "--expect", "sha256:none")
    assert (done.returncode, "no row has the expected digest" in done.stdout) == (1, True)


def test_release_makes_the_next_version_once(module_stage: HistoryStage, plugin: Plugin) -> None:
    module_stage.create(factories.workflow_manifest(factories.in_namespace(module_stage.namespace), name="drafted"))
    text = plugin.said("release", "drafted", "--preview")
    assert "version  (none) → v1" in text
    assert plugin.said("release", "drafted", "--yes", "--description", "what changed").splitlines()[-1].startswith("drafted v1 is released")
    made = module_stage.get(kinds.WORKFLOW_VERSION.kind, "drafted-v1")
    assert made["spec"]["description"] == "what changed"
    done = plugin("release", "drafted", "--yes")
    assert (done.returncode, "the draft of drafted is v1 already" in done.stderr) == (0, True)
    assert module_stage.find(kinds.WORKFLOW_VERSION.kind, "drafted-v2") is None
    module_stage.change(kinds.WORKFLOW.kind, "drafted", spec={"flow": factories.flow("another")})
    assert plugin.data("release", "drafted", "--yes")["spec"]["version"] == "v2"


def test_promote_takes_what_is_live_to_production(module_stage: HistoryStage, plugin: Plugin, production: str, app: str) -> None:
    sentence = plugin.refused("promote", app, "--yes")
    assert "serves nothing" in sentence
    source = module_stage.live(app, "v2", runtime=module_stage.default_runtime)
    text = plugin.said("promote", app, "--yes", "--hostname", f"{app}.example.com", "-m", "to all")
    assert f"App {app} is made in {production}" in text
    assert "is Live after" in text.splitlines()[-1]
    rows = module_stage.api.get(kinds.RECORD.kind, "", production, fieldSelector=f"spec.app={app}").body["items"]
    assert [row["spec"]["promotedFrom"]["row"] for row in rows] == [source]
    assert plugin("status", app, "-n", production, "-o", "json").returncode == 0


def test_logs_are_kubectls_of_the_live_rows_pods(module_stage: HistoryStage, plugin: Plugin, app: str) -> None:
    """Nothing runs in simulated pods, so kubectl has nobody to ask: that it names a pod's node is as far as it comes here."""
    assert "nothing of" in plugin.refused("logs", app)
    module_stage.live(app, "v1", runtime=module_stage.default_runtime)
    done = plugin("logs", app, "--tail", "1")
    assert "no pod" not in done.stderr
    assert "Traceback" not in done.stderr
    module_stage.live(app, "v2")
    module_stage.until_settled(app)
    assert f"no pod of {app} v1 (#1" in plugin.refused("logs", app, "--row", "1")


def test_open_prints_the_address(module_stage: HistoryStage, plugin: Plugin, app: str) -> None:
    module_stage.live(app, "v1", runtime=module_stage.default_runtime)
    done = plugin("open", app)
    assert done.stdout == f"http://{app}.{module_stage.namespace}.svc\n"
    assert f"kubectl port-forward -n {module_stage.namespace} service/{app} 8080:80" in done.stderr
    module_stage.change(kinds.APP.kind, app, spec={"hostname": f"{app}.example.com"})
    eventually("the hostname is the App's own", lambda: plugin.said("open", app) == f"http://{app}.example.com\n")


# How deploys end otherwise.


def test_a_deploy_that_fails_says_why(module_stage: HistoryStage, plugin: Plugin, app: str) -> None:
    broken = module_stage.runtime("broken", image=factories.IMAGE, resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})
    done = plugin("deploy", app, "--yes", "--version", "v1", "--runtime", broken)
    row = module_stage.rows(app)[-1]
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"error: {app}: v1 (#1, {row['metadata']['name']}) Failed: {row['spec']['outcome']['reason']}"


def test_a_deploy_that_is_overtaken_and_one_that_takes_too_long(module_stage: HistoryStage, plugin: Plugin, app: str) -> None:
    slow = module_stage.runtime("slow", image=factories.IMAGE, resources=factories.NO_NODE_HAS)
    done = plugin("deploy", app, "--yes", "--version", "v2", "--runtime", slow, "--timeout", "1s")
    assert done.returncode == 3
    assert re.search(r"is still \w+ after 1 s: (it goes on|no operator has looked at it yet)", done.stderr.splitlines()[-1])
    with plugin.started("deploy", app, "--yes", "--version", "v3", "--runtime", slow) as following:
        assert following.stderr is not None
        first = next(line for line in following.stderr if not line.startswith(PROGRESS))
        assert first.startswith(("Pending", "Progressing"))
        # Rows of one second are taken by their names, and it says Progressing before the operator has seen it.
        eventually("its row has its place", lambda: all("pinned" in row["spec"] for row in module_stage.rows(app)))
        module_stage.live(app, "v1", runtime=module_stage.default_runtime)
        said = following.stderr.read()
        assert following.wait(ENDS_WITHIN) == 1
    assert "was not deployed" in said.splitlines()[-1]


def test_a_list_has_every_app(module_stage: HistoryStage, plugin: Plugin, told: str) -> None:
    (mine,) = [each for each in plugin.data("list") if each["name"] == told]
    assert (mine["version"], mine["status"], mine["namespace"]) == ("v2", "Ready", module_stage.namespace)
    everywhere = Plugin(plugin.cluster, "", plugin.folder).said("list", "-A")
    assert [line for line in everywhere.splitlines() if line.split()[:3] == [module_stage.namespace, told, "v2"]]
    assert f"app.{GROUP}/{told}" in plugin.said("list", "-o", "name").splitlines()
    assert plugin.said("history", told, "-o", "jsonpath={.items[*].version}") == "v2 v1\n"


def test_the_cluster_says_its_version(plugin: Plugin) -> None:
    found = plugin.data("version")
    assert found["resources"] == ["v1alpha1"]
    assert found["kubernetes"].startswith("v1.")


def test_keys_are_made_and_revoked_under_the_eyes_of_the_operator(module_stage: HistoryStage, plugin: Plugin, told: str) -> None:
    def known() -> list[str]:
        return plugin.said("keys", "list", told, "-o", "name").splitlines()

    assert known() == ["default"]
    made = plugin.data("keys", "create", told, "ci")
    assert known() == ["ci", "default"]
    assert made["key"] not in plugin.said("keys", "list", told)
    assert plugin.refused("keys", "create", told, "ci").endswith("has a key ci already: name another, or revoke it first")
    first = module_stage.get(kinds.APP.kind, told)["metadata"]["annotations"][KEYS_CHANGED_ANNOTATION]
    assert plugin("keys", "revoke", told, "ci", "--yes").returncode == 0
    assert known() == ["default"]
    assert module_stage.get(kinds.APP.kind, told)["metadata"]["annotations"][KEYS_CHANGED_ANNOTATION] != first


def test_without_a_terminal_and_without_yes_nothing_is_done(module_stage: HistoryStage, plugin: Plugin, told: str) -> None:
    rows = len(module_stage.rows(told))
    for command in (("deploy", told), ("rollback", told), ("keys", "revoke", told, "default")):
        done = plugin(*command)
        assert (done.returncode, "give --yes" in done.stderr) == (2, True)
    assert len(module_stage.rows(told)) == rows
