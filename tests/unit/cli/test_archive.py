"""Commands on an App whose older rows are archived: the plugin reads the recorder by the API server, page by page, with the caller's token."""

from __future__ import annotations

import io
import json
import sys
import time

import pytest

from dynamiq_operator.cli import patience
from dynamiq_operator.cli.recorder import PROXY
from dynamiq_operator.kube.resources import APPS, BY_KIND, ROWS, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.recorder import TOKEN_HEADER
from tests.support import factories as given
from tests.support.archived_rows import history, moment
from tests.support.scripted import Reply, Sent, failure, listed, missing
from tests.support.scripted_plugin import ScriptedPlugin

UID = given.an_app().meta.uid
ALL_ROWS = history(9, app_uid=UID, namespace=given.NAMESPACE)
ARCHIVED, IN_CLUSTER = ALL_ROWS[:6], ALL_ROWS[5:]
"""Row 6 is in both: it has been acknowledged, and is about to be deleted."""
PATH = f"{PROXY}/v1/apps/{UID}/archive"


def pages(sent: Sent) -> Manifest:
    """Answers with two rows a page, newest first."""
    begin = int(sent.query.get("cursor", "0"))
    newest = ARCHIVED[::-1]
    after = str(begin + 2) if begin + 2 < len(newest) else None
    return {"data": newest[begin : begin + 2], "pagination": {"total_count": len(newest), "next_cursor": after}}


@pytest.fixture(autouse=True)
def archived(plugin: ScriptedPlugin) -> None:
    app = given.stored(given.app_manifest(given.with_spec(history={"limit": 10, "archive": True})))
    plugin.app(app)
    plugin.script.on("GET", APPS.path(given.NAMESPACE), listed(app))
    plugin.rows(*IN_CLUSTER)
    plugin.script.on("GET", ROWS.path(given.NAMESPACE), listed(*IN_CLUSTER))
    plugin.records()
    plugin.script.on("GET", PATH, pages)
    plugin.script.on("GET", f"{PATH}/at", lambda _: {"data": ARCHIVED[1:4], "pagination": {"total_count": 3, "next_cursor": None}})


def test_verify_walks_one_chain_over_the_seam(plugin: ScriptedPlugin) -> None:
    done = plugin("verify", "chat", "--expect", ALL_ROWS[0]["spec"]["pinned"]["digest"])
    assert (done.code, done.err) == (0, "")
    assert "9 rows fit" in done.out
    requests = [sent for sent in plugin.script.recorded if sent.path == PATH]
    assert [sent.query.get("cursor") for sent in requests] == [None, "2", "4"]
    assert {sent.headers[TOKEN_HEADER] for sent in requests} == {"token-of-anna"}


def test_a_row_that_is_missing_at_the_seam_is_found(plugin: ScriptedPlugin) -> None:
    plugin.rows(*IN_CLUSTER[2:])
    done = plugin("verify", "chat")
    assert done.code == 1
    assert "row chat-8 does not fit: it does not follow row chat-6" in done.out


def test_a_long_walk_shows_its_progress(plugin: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST", 0.01)
    monkeypatch.setattr(patience, "THEN", 0.01)
    progress = "reading the archive of chat, 4 of 6 rows, "

    def once_it_is_told(sent: Sent) -> Manifest:
        end = time.monotonic() + 240
        assert isinstance(sys.stderr, io.StringIO)
        while sent.query.get("cursor") == "4" and progress not in sys.stderr.getvalue() and time.monotonic() < end:
            time.sleep(0.01)
        return pages(sent)

    plugin.script.on("GET", PATH, once_it_is_told)
    done = plugin("verify", "chat", terminal=True)
    assert (done.code, progress in done.err) == (0, True)


def test_verify_warns_if_the_caller_may_not_know_of_an_archive(plugin: ScriptedPlugin) -> None:
    plugin.script.on("GET", APPS.path(given.NAMESPACE, "chat"), failure(403, "Forbidden", 'User "eve" cannot get'))
    done = plugin("verify", "chat")
    assert "4 rows fit" in done.out
    assert "archived rows are not verified: " in done.err


def test_history_shows_archived_rows_on_request(plugin: ScriptedPlugin) -> None:
    def sequences(*asked: str) -> list[int]:
        return [each["sequence"] for each in json.loads(plugin("history", "chat", "-o", "json", *asked).out)]

    assert sequences("--archived") == list(range(9, 0, -1))
    assert sequences() == [9, 8, 7, 6]


def test_it_is_unknown_if_an_archived_row_is_deployable(plugin: ScriptedPlugin) -> None:
    """Neither the cluster's ConfigMaps nor its releases have the row's flow; a rollback finds it in the archive."""
    plugin.keeps()
    rows = json.loads(plugin("history", "chat", "--archived", "-o", "json").out)
    by_sequence = {each["sequence"]: each["deployable"] for each in rows}
    assert by_sequence[9]["ok"] is False
    assert {by_sequence[number]["ok"] for number in range(1, 6)} == {None}
    assert "it is archived" in by_sequence[1]["reasons"][0]
    assert "unknown: it is archived" in plugin("history", "chat", "--archived", "-o", "wide").out


def test_a_rollback_to_an_archived_row_is_as_to_any_other(plugin: ScriptedPlugin) -> None:
    """The row is named by its sequence or its name. Only the archive has its flow."""
    plugin.flows("v1")
    wanted = ARCHIVED[1]
    plugin.script.on("GET", f"{ROWS.path(given.NAMESPACE)}/chat-2", missing("deployments", "chat-2"))
    lost = names.flow("chat", given.flow_hash("v3"))
    plugin.script.on("GET", BY_KIND["ConfigMap"].path(given.NAMESPACE, lost), missing("configmaps", lost))
    plugin.script.on("GET", f"{PATH}/rows/chat-2", {"data": wanted})
    plugin.script.on("GET", PATH, lambda sent: {"data": [wanted]} if sent.query["cursor"] == "3.0" else {"data": []})
    plugin.script.on("GET", f"{PATH}/flows/{wanted['spec']['pinned']['workflowHash']}", {"data": {"flow": given.flow("v3")}})
    for row in ("2", "chat-2"):
        done = plugin("rollback", "chat", "--to-row", row, "--preview")
        assert (done.code, "v3" in done.out) == (0, True), done.err
    plugin.script.on("GET", PATH, {"data": []})
    for row in ("1", "9" * 60):
        assert f"no row #{row} of chat" in plugin("rollback", "chat", "--to-row", row, "--preview").err


def test_diff_compares_archived_rows(plugin: ScriptedPlugin) -> None:
    """The comparison also works if one of the two rows is in the cluster, and if only the archive has the flows."""
    for row in (*ALL_ROWS[1:3], ALL_ROWS[8]):
        version = row["spec"]["pinned"]["workflowVersion"]
        lost = names.flow("chat", given.flow_hash(version))
        plugin.script.on("GET", BY_KIND["ConfigMap"].path(given.NAMESPACE, lost), missing("configmaps", lost))
        plugin.script.on("GET", VERSIONS.path(given.NAMESPACE, f"chat-{version}"), missing("workflowversions", version))
        plugin.script.on("GET", f"{PATH}/flows/{row['spec']['pinned']['workflowHash']}", {"data": {"flow": given.flow(version)}})
    plugin.script.on("GET", f"{ROWS.path(given.NAMESPACE)}/chat-2", missing("deployments", "chat-2"))
    plugin.script.on("GET", f"{PATH}/rows/chat-2", {"data": ALL_ROWS[1]})
    plugin.script.on("GET", PATH, lambda sent: {"data": [ALL_ROWS[int(sent.query["cursor"].partition(".")[0]) - 2]]})
    done = plugin("diff", "chat", "chat-2", "#3")
    assert (done.code, done.out.splitlines()[0]) == (0, "chat: #2 chat-2 → #3 chat-3"), done.err
    assert [line for line in done.out.splitlines() if line[:1] in "+-" and "return" in line] != []
    assert plugin("diff", "chat", "2", "9").out.startswith("chat: #2 chat-2 → #9 chat-9\n")


def test_at_finds_the_live_row_in_the_archive(plugin: ScriptedPlugin) -> None:
    done = plugin("at", moment(3), "chat")
    assert (done.code, "(#2, chat-2) was live" in done.out) == (0, True)
    before = len(plugin.script.recorded)
    assert "(#8, chat-8) was live" in plugin("at", moment(9), "chat").out
    assert len(plugin.script.recorded) == before, "the cluster's rows say it"


def test_a_report_has_deploys_that_are_in_the_archive(plugin: ScriptedPlugin) -> None:
    done = plugin("report", "chat", "--since", moment(3), "--until", moment(20), "-o", "json")
    assert done.code == 0, done.err
    assert [each["sequence"] for each in json.loads(done.out)["deploys"]] == [3, 4, 5, 6, 7, 8, 9]
    assert json.loads(done.out)["fits"] is True


@pytest.mark.parametrize(
    "asked",
    [("verify", "chat"), ("history", "chat", "--archived"), ("at", moment(3), "chat"), ("report", "chat", "--since", moment(3))],
    ids=lambda asked: asked[0],
)
@pytest.mark.parametrize(("status", "says"), [(503, "the store is away"), (404, "no such App")])
def test_a_caller_who_cannot_read_the_archive_gets_an_error_and_no_shorter_history(
    plugin: ScriptedPlugin, asked: tuple[str, ...], status: int, says: str
) -> None:
    """The recorder answers 404 to callers who may not list rows."""
    for path in (PATH, f"{PATH}/at"):
        plugin.script.on("GET", path, Reply(status, {"error": {"code": "some", "message": says, "details": {}}}))
    done = plugin(*asked)
    assert done.code not in (0, 3)
    assert f"rows of chat are in the archive, which cannot be read: {says}" in done.err
    assert done.out == ""


def test_an_app_without_an_archive_asks_no_recorder(plugin: ScriptedPlugin) -> None:
    app = given.stored(given.app_manifest())
    plugin.app(app)
    plugin.script.on("GET", APPS.path(given.NAMESPACE), listed(app))
    plugin("verify", "chat")
    plugin("at", moment(3), "chat")
    assert plugin.script.recorded == []
    done = plugin("history", "chat", "--archived")
    assert (done.code != 0, "has no archive" in done.err) == (True, True)
