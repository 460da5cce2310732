"""`history`: whole calls, from the command line to the printed bytes."""

from __future__ import annotations

import json

import pytest
import yaml

from dynamiq_operator.kube.resources import APP_CHANGES, APPS, ROWS
from dynamiq_operator.model import ownership
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.scripted import Reply, failure, listed, missing
from tests.support.scripted_plugin import CtrlC, ScriptedPlugin

PATH = ROWS.path(given.NAMESPACE)
PLAIN = """\
VERSION   DESCRIPTION    STATUS       CREATED BY   RUNTIME   DATE
v3        What v3 does   Failed       bo           1.0.0     2026-11-24T12:00:00Z
v2        What v2 does   Live         anna         1.0.0     2026-11-24T12:00:00Z
v1        What v1 does   Superseded                1.0.0     2026-11-24T12:00:00Z
"""


def rows() -> list[Manifest]:
    """Returns three rows as the API server lists them, unordered."""
    modifier = given.asking(createdBy="anna", message="the other\nteam")
    return [
        given.stored(given.row_manifest("chat-b", given.live(2, "v2", restores={"row": "chat-0", "sequence": 1}), modifier)),
        given.stored(given.row_manifest("chat-a", given.superseded(1, "v1"))),
        given.stored(given.row_manifest("chat-c", given.failed(3, "v3", "no pod became Ready"), given.asking(createdBy="bo"))),
    ]


def test_the_rows_are_shown_newest_first(plugin: ScriptedPlugin) -> None:
    plugin.rows(*rows())
    done = plugin("history", "chat")
    assert (done.code, done.out, done.err) == (0, PLAIN, "")
    (sent,) = plugin.script.sent
    assert (sent.path, sent.query["fieldSelector"]) == (PATH, "spec.app=chat")


def test_a_limit_keeps_the_newest(plugin: ScriptedPlugin) -> None:
    plugin.rows(*rows())
    _, line = plugin("history", "chat", "--limit", "1").out.splitlines()
    assert line.startswith("v3 ")
    assert plugin("history", "chat", "--limit", "2", "-o", "name").out.count("\n") == 2


def test_an_app_that_was_made_again_shows_its_own_rows_alone(plugin: ScriptedPlugin) -> None:
    every = rows()
    for row, uid in zip(every, ("uid-now", "uid-before", "uid-before"), strict=True):
        row["metadata"]["ownerReferences"] = [ownership.reference("chat", uid)]
    plugin.rows(*every)
    plugin.app(given.stored(given.app_manifest(given.with_meta(uid="uid-now"))))
    shown = plugin("history", "chat").out
    assert ("v2" in shown, "v1" in shown, "v3" in shown) == (True, False, False)
    for row in every:
        row["metadata"]["ownerReferences"] = [ownership.reference("chat", "uid-before")]
    assert plugin("history", "chat").err == "nothing of chat was deployed yet: `kubectl dynamiq deploy chat -n demo`\n"


def test_wide_output_adds_the_details_of_rows(plugin: ScriptedPlugin) -> None:
    every = rows()
    plugin.rows(*every)
    plugin.app(given.stored(given.app_manifest()))
    plugin.keeps("v2")
    header, _, line, _ = plugin("history", "chat", "-o", "wide").out.splitlines()
    runs = ["RUNS", "FAILED", "P95", "COST", "VERDICT"]
    assert header.split("DATE")[1].split() == [
        "SEQ",
        "CONFIG",
        "MESSAGE",
        "FROM",
        "DURATION",
        "WAITS",
        "APPROVED",
        "BY",
        "DIGEST",
        *runs,
        "ROW",
        "DEPLOYABLE",
    ]
    digest = every[0]["spec"]["pinned"]["digest"][: len("sha256:") + 12]
    shown = [cell.strip() for cell in line.split("   ") if cell.strip()]
    assert shown[5:] == [
        "2026-11-24T12:00:00Z",
        "2",
        "1 to 2 pods at 80 % CPU",
        r"the other\nteam",
        "restores #1",
        "0 s",
        digest,
        *"-----",
        "chat-b",
        "yes",
    ]


def test_wide_output_shows_if_each_row_is_deployable(plugin: ScriptedPlugin) -> None:
    plugin.rows(*rows())
    plugin.app(given.stored(given.app_manifest()))
    plugin.keeps("v2")
    _, *lines = plugin("history", "chat", "-o", "wide").out.splitlines()
    assert [line.rpartition("   ")[2].strip() for line in lines] == [
        "no: row chat-c failed: only a row that went live can be restored",
        "yes",
        f"no: the flow of row chat-a ({given.flow_hash('v1')[:19]}…) is in no ConfigMap and no WorkflowVersion",
    ]


def test_rows_of_a_deleted_app_are_shown(plugin: ScriptedPlugin) -> None:
    plugin.rows(*rows())
    plugin.script.on("GET", APPS.path(given.NAMESPACE, "chat"), missing("apps", "chat")).on("GET", APPS.path(given.NAMESPACE), listed())
    done = plugin("history", "chat", "-o", "wide")
    assert [line.split()[-1] for line in done.out.splitlines()] == ["DEPLOYABLE", "-", "-", "-"]
    assert "DEPLOYABLE is unknown: no App chat in namespace" in done.err
    assert [row["deployable"] for row in json.loads(plugin("history", "chat", "-o", "json").out)] == [None] * 3


def test_json_output_has_every_field_by_its_name(plugin: ScriptedPlugin) -> None:
    every = rows()
    plugin.rows(*every)
    plugin.app(given.stored(given.app_manifest()))
    plugin.keeps("v2")
    data = json.loads(plugin("history", "chat", "-o", "json").out)
    assert data == yaml.safe_load(plugin("history", "chat", "-o", "yaml").out)
    assert [row["name"] for row in data] == ["chat-c", "chat-b", "chat-a"]
    stored = every[0]
    assert data[1] == {
        "name": "chat-b",
        "uid": stored["metadata"]["uid"],
        "app": "chat",
        "version": "v2",
        "description": "What v2 does",
        "status": "Live",
        "ending": None,
        "createdBy": "anna",
        "runtime": "1.0.0",
        "date": "2026-11-24T12:00:00Z",
        "sequence": 2,
        "config": stored["spec"]["pinned"]["config"],
        "message": "the other\nteam",
        "provenance": "restores #1",
        "source": "Record",
        "duration": 0.0,
        "waits": None,
        "approvedBy": None,
        "bypassReason": None,
        "digest": stored["spec"]["pinned"]["digest"],
        "reason": None,
        "deployable": {"ok": True, "reasons": [], "waits": [], "notes": [], "warm": None},
    }
    assert data[0]["reason"] == "no pod became Ready"
    assert [row["deployable"]["ok"] for row in data] == [False, True, False]
    assert list(data[0]) == list(data[1])
    explained = plugin("history", "--help").out
    assert [field for field in data[0] if field not in explained] == []


def test_a_long_history_comes_in_pages(plugin: ScriptedPlugin) -> None:
    newest, oldest, failed = rows()
    plugin.script.on("GET", PATH, listed(oldest, failed, token="more")).on("GET", PATH, listed(newest), query={"continue": "more"})
    assert plugin("history", "chat").out == PLAIN


def test_on_a_terminal_a_line_fits_and_a_status_has_its_dot(plugin: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin.rows(*rows())
    monkeypatch.setenv("COLUMNS", "80")
    shown = plugin("history", "chat", terminal=True).out
    assert "\x1b[32m●\x1b[0m Live" in shown
    assert "\x1b[31m●\x1b[0m Failed" in shown
    assert "What v3 do…" in shown
    monkeypatch.setenv("NO_COLOR", "1")
    plain = plugin("history", "chat", terminal=True).out
    assert "\x1b" not in plain
    assert max(map(len, plain.splitlines())) <= 80
    monkeypatch.setenv("COLUMNS", "200")
    assert plugin("history", "chat", terminal=True).out == PLAIN


@pytest.mark.parametrize(("how", "out"), [((), ""), (("-o", "json"), "[]\n"), (("-o", "yaml"), "[]\n")])
def test_an_app_without_rows_differs_from_a_missing_app(plugin: ScriptedPlugin, how: tuple[str, ...], out: str) -> None:
    plugin.rows()
    plugin.app(given.stored(given.app_manifest()))
    done = plugin("history", "chat", *how)
    assert (done.code, done.out, done.err) == (0, out, "nothing of chat was deployed yet: `kubectl dynamiq deploy chat -n demo`\n")


@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        (listed(), "there are none: name another namespace with -n"),
        (listed({"metadata": {"name": "support"}}, {"metadata": {"name": "billing"}}), "Apps there: billing, support"),
        (failure(403, "Forbidden", "apps is forbidden"), "and you may not list the Apps there"),
    ],
)
def test_no_such_app_is_a_refusal_that_names_those_there_are(plugin: ScriptedPlugin, there: Reply, sentence: str) -> None:
    plugin.rows()
    plugin.script.on("GET", APPS.path(given.NAMESPACE, "chat"), missing("apps", "chat")).on("GET", APPS.path(given.NAMESPACE), there)
    done = plugin("history", "chat")
    assert (done.code, done.out, done.err) == (1, "", f"error: no App chat in namespace demo; {sentence}\n")


def changed(row: Manifest, kind: str = "MODIFIED") -> Manifest:
    return {"type": kind, "object": row}


def test_watching_prints_what_changes_until_ctrl_c(plugin: ScriptedPlugin, ctrl_c: CtrlC) -> None:
    progressing = given.stored(given.row_manifest("chat-a", given.progressing(1, "v1")))
    live = given.stored(given.row_manifest("chat-a", given.live(1, "v1")))
    newest = given.stored(given.row_manifest("chat-b", given.progressing(2, "v2")))
    plugin.script.on("GET", PATH, listed(progressing, version="7"), listed(live, newest, version="9"))
    events = [changed(progressing), changed(live), {"type": "BOOKMARK", "object": {}}, {"type": "ERROR", "object": {"code": 410}}]
    plugin.script.on("GET", PATH, Reply(stream=events), ctrl_c(Reply(stream=())), query={"watch": "1"})
    done = plugin("history", "chat", "--watch")
    assert done.code == 130
    assert [line.split()[:5] for line in done.out.splitlines()] == [
        ["VERSION", "DESCRIPTION", "STATUS", "CREATED", "BY"],
        ["v1", "What", "v1", "does", "Progressing"],
        ["v1", "What", "v1", "does", "Live"],
        ["v2", "What", "v2", "does", "Progressing"],
    ]
    assert [sent.query["resourceVersion"] for sent in plugin.script.sent if "watch" in sent.query] == ["7", "9"]


@pytest.mark.parametrize("how", ["json", "yaml"])
def test_watching_as_data_prints_a_document_for_each_change(plugin: ScriptedPlugin, ctrl_c: CtrlC, how: str) -> None:
    plugin.rows()
    plugin.app(given.stored(given.app_manifest()))
    plugin.keeps("v2")
    events = [changed(row, "ADDED") for row in rows()[:2]]
    plugin.script.on("GET", PATH, Reply(stream=events), ctrl_c(Reply(stream=())), query={"watch": "1"})
    done = plugin("history", "chat", "--watch", "-o", how)
    found = [json.loads(line) for line in done.out.splitlines()] if how == "json" else list(yaml.safe_load_all(done.out))
    assert [(row["name"], row["status"], row["deployable"]["ok"]) for row in found] == [
        ("chat-b", "Live", True),
        ("chat-a", "Superseded", False),
    ]
    assert done.code == 130


def test_a_watch_that_is_refused_is_an_error(plugin: ScriptedPlugin) -> None:
    plugin.rows(*rows())
    plugin.script.on("GET", PATH, failure(403, "Forbidden", 'forbidden: User "eve" cannot watch'), query={"watch": "1"})
    done = plugin("history", "chat", "--watch")
    assert done.code == 1
    assert done.err.startswith('error: forbidden: User "eve" cannot watch: ask for the ClusterRole that allows it')


# With AppChanges.


def changes() -> list[Manifest]:
    """Returns AppChanges before the first row and after the second one, as the API server lists them, unordered."""
    spec = {"sequence": 2, "reason": "Changed", "after": 2, "by": "bo", "summary": "variables KEY added, MODEL changed"}
    told = [{"field": "variables", "name": "KEY", "change": "Added"}, {"field": "variables", "name": "MODEL", "change": "Changed"}]
    second = given.app_change_manifest(given.with_spec(**spec, changes=told), name="chat-settings-2")
    return [given.stored(second), given.stored(given.app_change_manifest())]


@pytest.fixture
def changed_app(plugin: ScriptedPlugin) -> ScriptedPlugin:
    plugin.rows(*rows())
    plugin.app(given.stored(given.app_manifest()))
    plugin.keeps("v2")
    plugin.script.on("GET", APP_CHANGES.path(given.NAMESPACE), listed(*changes()))
    return plugin


def test_with_all_changes_of_settings_stand_among_the_rows(changed_app: ScriptedPlugin) -> None:
    done = changed_app("history", "chat", "--all")
    assert (done.code, done.err) == (0, "")
    cells = [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in done.out.splitlines()[1:]]
    assert [line[:4] for line in cells] == [
        ["v3", "What v3 does", "Failed", "bo"],
        ["variables KEY added, MODEL changed", "Settings", "bo", "2026-11-24T12:00:00Z"],
        ["v2", "What v2 does", "Live", "anna"],
        ["v1", "What v1 does", "Superseded", "1.0.0"],
        ["the App was created", "Settings", "ada", "2026-11-24T12:00:00Z"],
    ]
    sent = [each for each in changed_app.script.sent if each.path == APP_CHANGES.path(given.NAMESPACE)]
    assert [each.query["fieldSelector"] for each in sent] == ["spec.app=chat"]
    assert changed_app("history", "chat").out == PLAIN


def test_json_output_of_all_has_the_kind_of_each_entry(changed_app: ScriptedPlugin) -> None:
    data = json.loads(changed_app("history", "chat", "--all", "-o", "json").out)
    assert [(each["kind"], each["name"]) for each in data] == [
        ("Deployment", "chat-c"),
        ("AppChange", "chat-settings-2"),
        ("Deployment", "chat-b"),
        ("Deployment", "chat-a"),
        ("AppChange", "chat-settings-1"),
    ]
    assert data[1]["changes"][0] == {"field": "variables", "name": "KEY", "change": "Added", "from": None, "to": None}
    assert "kind" not in json.loads(changed_app("history", "chat", "-o", "json").out)[0]
    named = changed_app("history", "chat", "--all", "-o", "name").out.splitlines()
    assert named[:2] == ["deployment.dynamiq.getdynamiq.ai/chat-c", "appchange.dynamiq.getdynamiq.ai/chat-settings-2"]


def test_with_all_a_wide_line_of_a_change_has_its_digest_and_name(changed_app: ScriptedPlugin) -> None:
    line = changed_app("history", "chat", "--all", "-o", "wide").out.splitlines()[2]
    assert line.split()[-2:] == [f"sha256:{'0' * 12}", "chat-settings-2"]


def test_changes_of_an_app_that_was_never_deployed_are_shown(changed_app: ScriptedPlugin) -> None:
    changed_app.rows()
    done = changed_app("history", "chat", "--all")
    assert (done.code, done.err, len(done.out.splitlines())) == (0, "", 3)


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (failure(404, "NotFound", "the server could not find the requested resource"), "older than this plugin"),
        (failure(403, "Forbidden", 'forbidden: User "eve" cannot list appchanges'), 'User "eve" cannot list appchanges'),
    ],
)
def test_changes_that_cannot_be_had_are_not_taken_for_none(changed_app: ScriptedPlugin, reply: Reply, sentence: str) -> None:
    changed_app.script.on("GET", APP_CHANGES.path(given.NAMESPACE), reply)
    done = changed_app("history", "chat", "--all")
    assert (done.code, done.out, sentence in done.err) == (1, "", True)


def test_all_is_what_there_is_and_is_not_watched(plugin: ScriptedPlugin) -> None:
    done = plugin("history", "chat", "--all", "--watch")
    assert (done.code, "not allowed with argument" in done.err) == (2, True)
