"""`report` and `at`: whole calls, from the command line to the printed bytes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

import pytest

from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.factories import NAMESPACE
from tests.support.scripted import failure, listed, missing
from tests.support.scripted_plugin import ScriptedPlugin

OWNER = "00000000-0000-0000-0000-00000000000a"


def app_manifest(name: str = "chat", uid: str = OWNER, namespace: str = NAMESPACE) -> Manifest:
    return given.stored(given.app_manifest(given.in_namespace(namespace), given.with_meta(uid=uid), name=name))


def owned(row: Manifest, uid: str = OWNER, namespace: str = NAMESPACE) -> Manifest:
    row["metadata"] |= {"ownerReferences": [{"kind": "App", "name": "chat", "uid": uid}], "namespace": namespace}
    return row


def history(uid: str = OWNER, namespace: str = NAMESPACE) -> list[Manifest]:
    """Returns three rows in a chain. All are of the same hour, and the last one is live."""
    made = (
        given.row_manifest("chat-a", given.superseded(1, "v1"), given.asking(createdBy="anna")),
        given.row_manifest("chat-b", given.failed(2, "v2"), given.asking(createdBy="bo", message="the other\nteam")),
        given.row_manifest("chat-c", given.live(3, "v3"), given.asking(createdBy="anna", message="=1+1")),
    )
    rows = [given.stored({**given.row_manifest(row.name), "spec": dict(row.raw_spec)}) for row in given.a_history(*made)]
    return [owned(row, uid, namespace) for row in rows]


def holds(plugin: ScriptedPlugin, apps: Sequence[Manifest], rows: Sequence[Manifest]) -> None:
    """Adds Apps and rows to the cluster: to the lists of the namespace and of all namespaces, and by name."""
    for namespace in (NAMESPACE, ""):
        inside = [[each for each in some if namespace in ("", each["metadata"]["namespace"])] for some in (apps, rows)]
        plugin.script.on("GET", APPS.path(namespace), listed(*inside[0])).on("GET", ROWS.path(namespace), listed(*inside[1]))
    for each in apps:
        plugin.app(each, each["metadata"]["namespace"])


@pytest.fixture
def with_rows(plugin: ScriptedPlugin) -> ScriptedPlugin:
    """Returns a plugin on App chat with three rows."""
    holds(plugin, [app_manifest()], history())
    return plugin


TABLE = """\
APP    SEQ   BEGAN                  VERSION   RESULT      CREATED BY   APPROVED BY   FROM   MESSAGE
chat   1     2026-11-24T12:00:00Z   v1        Succeeded   anna
chat   2     2026-11-24T12:00:00Z   v2        Failed      bo                                the other\\nteam
chat   3     2026-11-24T12:00:00Z   v3        Succeeded   anna                              =1+1

3 deploys of 1 App; 3 rows fit
"""


def test_a_report_for_people(with_rows: ScriptedPlugin) -> None:
    done = with_rows("report", "--since", "2026-11-24")
    assert (done.code, done.out, done.err) == (0, TABLE, "")


def test_a_report_for_a_spreadsheet_and_one_to_read(with_rows: ScriptedPlugin) -> None:
    lines = list(csv.DictReader(io.StringIO(with_rows("report", "-o", "csv").out)))
    assert [(line["app"], line["result"], line["message"]) for line in lines] == [
        ("chat", "Succeeded", ""),
        ("chat", "Failed", r"the other\nteam"),
        ("chat", "Succeeded", "'=1+1"),
    ]
    assert with_rows("report", "-o", "md").out.startswith("# Deploys\n")


def test_a_report_as_data(with_rows: ScriptedPlugin) -> None:
    data = json.loads(with_rows("report", "chat", "--since", "2026-11-24", "--until", "2026-11-25", "-o", "json").out)
    assert (data["since"], data["until"], data["fits"]) == ("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z", True)
    assert [each["sequence"] for each in data["deploys"]] == [1, 2, 3]
    assert data["histories"][0]["newest"] == history()[2]["spec"]["pinned"]["digest"]
    assert with_rows("report", "-o", "jsonpath={.says}").out == "3 deploys of 1 App; 3 rows fit\n"
    assert with_rows("report", "--since", "2026-11-25", "-o", "jsonpath={.deploys}").out == "[]\n"


def test_a_history_that_does_not_fit_is_an_error_of_every_format(with_rows: ScriptedPlugin) -> None:
    rows = history()
    del rows[1]
    holds(with_rows, [app_manifest()], rows)
    for how in ("csv", "md", "json"):
        done = with_rows("report", "--since", "2026-11-25", "-o", how)
        assert done.code == 1
        assert (
            done.err
            == "error: demo/chat: row chat-c does not fit: it does not follow row chat-a: a row between them is missing, or one was changed\n"
        )


def test_rows_of_a_deleted_app_of_the_same_name_belong_to_no_app(plugin: ScriptedPlugin) -> None:
    """They wait for garbage collection: with them the new App's history would not fit."""
    before = [{**row, "metadata": {**row["metadata"], "name": f"old-{number}"}} for number, row in enumerate(history("gone"))]
    holds(plugin, [app_manifest()], [*before, *history()])
    assert plugin("report").out == TABLE
    holds(plugin, [], before)
    assert plugin("report").out == "0 deploys of 0 Apps; 0 rows fit\n"


def test_rows_without_an_owner_are_reported(plugin: ScriptedPlugin) -> None:
    """Such rows are of a restore that has just begun, or were made for an App that never existed."""
    rows = history()
    for row in rows:
        del row["metadata"]["ownerReferences"]
    holds(plugin, [app_manifest()], rows)
    assert plugin("report").out == TABLE
    holds(plugin, [], rows)
    assert plugin("report").out == TABLE


def test_a_report_of_all_namespaces_has_the_namespace_of_each_row(plugin: ScriptedPlugin) -> None:
    other = app_manifest(uid="other", namespace="other")
    holds(plugin, [app_manifest(), other], [*history(), *history("other", "other")])
    done = plugin("report", "-A")
    assert [line.split()[:3] for line in done.out.splitlines()][:3] == [
        ["NAMESPACE", "APP", "SEQ"],
        ["demo", "chat", "1"],
        ["demo", "chat", "2"],
    ]
    assert done.out.endswith("6 deploys of 2 Apps; 6 rows fit\n")


def test_at_shows_what_was_live(with_rows: ScriptedPlugin) -> None:
    done = with_rows("at", "chat", "2026-11-24T12:00:00Z")
    row = history()[2]["spec"]["pinned"]
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "chat in demo at 2026-11-24T12:00:00Z",
        "  v3 (#3, chat-c) was live, from 2026-11-24T12:00:00Z and still is",
        "  description What v3 does",
        f"  runtime     1.0.0 ({given.IMAGE})",
        "  config      1 to 2 pods at 80 % CPU",
        "  compute     100m CPU and 256Mi memory",
        "  created by  anna",
        "  message     =1+1",
        f"  flow        {row['workflowHash']}",
        f"  digest      {row['digest']}",
    ]
    assert with_rows("at", "2026-11-24T12:00:00Z", "chat").out == done.out, "the order of older versions goes on"
    data = json.loads(with_rows("at", "chat", "2026-11-24T12:00:00Z", "-o", "json").out)
    assert (data["row"]["version"], data["known"], data["rollingOut"]) == ("v3", True, None)


def test_at_of_a_time_when_nothing_was_live_has_an_exit_code_of_its_own(with_rows: ScriptedPlugin) -> None:
    done = with_rows("at", "chat", "2026-11-23")
    assert (done.code, done.out.splitlines()[1]) == (3, "  nothing was live, the first row went live at 2026-11-24T12:00:00Z")
    holds(with_rows, [app_manifest()], history()[2:])
    done = with_rows("at", "chat", "2026-11-23")
    assert (done.code, "is unknown: rows before #3 are not kept any more" in done.out) == (3, True)


def test_at_shows_the_row_that_was_being_deployed_as_well(with_rows: ScriptedPlugin) -> None:
    holds(with_rows, [app_manifest()], [*history(), owned(given.stored(given.row_manifest("chat-d", given.progressing(4, "v4"))))])
    assert (
        with_rows("at", "chat", "2026-11-24T12:00:05Z").out.splitlines()[-1]
        == "  deploying   v4 (#4, chat-d), started at 2026-11-24T12:00:00Z"
    )


def test_at_of_all_apps_is_a_table(plugin: ScriptedPlugin) -> None:
    other = app_manifest(uid="other", namespace="other")
    cut = history("other", "other")[2:]
    cut[0]["spec"]["outcome"]["at"] = "2026-11-24T13:00:00Z"
    holds(plugin, [app_manifest(), other], [*history(), *cut])
    done = plugin("at", "2026-11-24T12:30:00Z", "-A")
    header, *lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert header == "NAMESPACE APP VERSION ROW RUNTIME LIVE FROM LIVE UNTIL CREATED BY APPROVED BY"
    assert lines == ["demo chat v3 #3 1.0.0 2026-11-24T12:00:00Z - anna -", "other chat - - - - - - -"]
    assert done.err == "other/chat: the live row before 2026-11-24T13:00:00Z is unknown: rows before #3 are not kept any more\n"
    data = json.loads(plugin("at", "2026-11-24T12:30:00Z", "-A", "-o", "json").out)
    assert [(each["namespace"], each["app"], each["known"]) for each in data] == [("demo", "chat", True), ("other", "chat", False)]
    assert plugin("at", "2026-11-20T12:30:00Z").err == "nothing was live in namespace demo\n"


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["report", "--since", "soon"], "soon is not a time"),
        (["report", "--since", "1h", "--until", "2h"], "--since is not before --until"),
        (["report", "--since", "2999-01-01"], "--since is in the future"),
        (["report", "--since", "2026"], "2026 is not a time"),
        (["at", "chat", "20261124"], "TIME: 20261124 is not a time"),
        (["report", "--until", "3000-01-01"], "is not before 3000"),
        (["report", "chat", "-A"], "an App is in one namespace"),
        (["report", "-o", "xml"], "must be one of csv, md, json, yaml"),
        (["at", "chat", "2999-01-01"], "in the future"),
        (["at"], "required: TIME"),
        (["at", "chat", "1h", "-A"], "an App is in one namespace"),
    ],
)
def test_wrong_usage_is_one_sentence(plugin: ScriptedPlugin, typed: list[str], says: str) -> None:
    done = plugin(*typed)
    assert (done.code, says in done.err) == (2, True)


@pytest.mark.parametrize("typed", [["report", "nobodys"], ["at", "nobodys", "1h"]])
def test_no_such_app_is_a_refusal(plugin: ScriptedPlugin, typed: list[str]) -> None:
    holds(plugin, [], [])
    plugin.script.on("GET", APPS.path(NAMESPACE, "nobodys"), missing("apps", "nobodys"))
    done = plugin(*typed)
    assert (done.code, done.err) == (1, "error: no App nobodys in namespace demo; there are none: name another namespace with -n\n")


def test_unreadable_apps_are_an_error_and_no_empty_report(plugin: ScriptedPlugin) -> None:
    plugin.script.on("GET", APPS.path(), failure(403, "Forbidden", 'apps is forbidden: User "eve" cannot list'))
    assert plugin("report", "-A").code == 1
