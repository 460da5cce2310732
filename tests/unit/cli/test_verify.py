"""`verify`: the chain of an App's rows in the cluster or in an export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from dynamiq_operator.kube.resources import APP_CHANGES, ROWS
from dynamiq_operator.model import ownership
from dynamiq_operator.model.digests import change_digest
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.scripted import failure, listed
from tests.support.scripted_plugin import ScriptedPlugin


def history() -> list[Manifest]:
    """Returns three rows in a chain."""
    rows = (given.row_manifest(name, given.superseded(at, f"v{at}")) for at, name in ((1, "chat-a"), (2, "chat-b"), (3, "chat-c")))
    made = list(given.a_history(*rows))
    return [given.stored({**given.row_manifest(row.name), "spec": dict(row.raw_spec)}) for row in made]


def digests(rows: list[Manifest]) -> list[str]:
    return [row["spec"]["pinned"]["digest"] for row in rows]


def exported(folder: Path, document: object) -> str:
    path = folder / "export.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return str(path)


def a_list(*items: object) -> Manifest:
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


def test_rows_of_the_cluster_that_fit(plugin: ScriptedPlugin) -> None:
    rows = history()
    plugin.rows(*rows[::-1])
    done = plugin("verify", "chat")
    oldest, *_, newest = digests(rows)
    assert (done.code, done.out, done.err) == (0, f"chat: 3 rows fit, from {oldest} to {newest}\n", "")
    assert plugin("verify", "chat", "--expect", newest).code == 0


def test_the_end_of_a_walk_as_data(plugin: ScriptedPlugin) -> None:
    plugin.rows(*history())
    data = json.loads(plugin("verify", "chat", "-o", "json").out)
    assert (data["app"], data["fits"], data["says"]) == ("chat", True, plugin("verify", "chat").out.splitlines())


def test_rows_of_an_app_that_had_the_name_before_are_none_of_the_chain(plugin: ScriptedPlugin) -> None:
    """They stay as they are until they are collected, and no digest links them to the first row of the new App."""
    rows = history()
    for row, uid in zip(rows, ("uid-before", "uid-now", "uid-now"), strict=True):
        row["metadata"]["ownerReferences"] = [ownership.reference("chat", uid)]
    plugin.rows(*rows)
    plugin.app(given.stored(given.app_manifest(given.with_meta(uid="uid-now"))))
    assert plugin("verify", "chat").out.startswith("chat: 2 rows fit")


def test_a_row_that_was_changed_is_named(plugin: ScriptedPlugin) -> None:
    rows = history()
    rows[1]["spec"]["message"] = "changed\nafter the fact"
    plugin.rows(*rows)
    done = plugin("verify", "chat")
    assert (done.code, done.out) == (1, "chat: row chat-b does not fit: its content does not have its digest: it was changed\n")


def test_a_digest_that_was_written_down_has_to_be_there(plugin: ScriptedPlugin) -> None:
    plugin.rows(*history()[:-1])
    noted = digests(history())[-1]
    done = plugin("verify", "chat", f"--expect={noted}")
    assert (done.code, f"no row has the expected digest {noted}" in done.out) == (1, True)


def test_no_row_and_no_answer_have_exit_codes_of_their_own(plugin: ScriptedPlugin) -> None:
    plugin.rows()
    done = plugin("verify", "chat")
    assert (done.code, done.out) == (3, "chat: no row was found\n")
    plugin.script.on("GET", ROWS.path(given.NAMESPACE), failure(403, "Forbidden", 'forbidden: User "eve" cannot list'))
    assert plugin("verify", "chat").code == 2
    plugin.complains("error: no configuration has been provided\n")
    assert plugin("verify", "chat").code == 2


@pytest.mark.parametrize("how", ["yaml", "json", "documents"])
def test_an_export_verifies_like_the_cluster_without_a_request(plugin: ScriptedPlugin, tmp_path: Path, how: str) -> None:
    rows = history()
    plugin.rows(*rows)
    output = plugin("verify", "chat").out
    plugin.script.sent.clear()
    plugin.complains("error: the cluster is down\n")
    text = {"yaml": yaml.safe_dump(a_list(*rows)), "json": json.dumps(a_list(*rows)), "documents": yaml.safe_dump_all(rows)}[how]
    done = plugin("verify", "chat", "--file", exported(tmp_path, text))
    assert (done.code, done.out, done.err) == (0, output, "")
    assert plugin.script.sent == []


def test_only_the_apps_rows_of_an_export_count(plugin: ScriptedPlugin, tmp_path: Path) -> None:
    other = given.stored(given.row_manifest("other-a", given.live(1, "v1"), given.of_app("other")))
    workload = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "chat"}, "spec": {"app": "chat"}}
    path = exported(tmp_path, a_list(*history(), other, workload, "damage", {"kind": "Deployment", "metadata": "damage"}))
    assert plugin("verify", "chat", "--file", path).out.startswith("chat: 3 rows fit")
    assert plugin("verify", "other", f"--file={path}").out.startswith("other: 1 row fits")
    assert plugin("verify", "nobodys", "--file", path).code == 3


def test_a_namespace_that_is_named_selects_rows_of_an_export(plugin: ScriptedPlugin, tmp_path: Path) -> None:
    path = exported(tmp_path, a_list(*history()))
    assert plugin("verify", "chat", "--file", path, "-n", "demo").code == 0
    assert plugin("verify", "chat", "--file", path, "-n", "elsewhere").code == 3


def test_a_damaged_row_that_may_have_been_the_apps_is_named(plugin: ScriptedPlugin, tmp_path: Path) -> None:
    rows = history()
    rows[2]["spec"]["app"] = "chxt"
    done = plugin("verify", "chat", "--file", exported(tmp_path, a_list(*rows)))
    assert (done.code, "row chat-c does not fit: its content does not have its digest" in done.out) == (1, True)
    rows[2]["spec"] = "gone"
    done = plugin("verify", "chat", "--file", exported(tmp_path, a_list(*rows)), "--expect", digests(history())[0])
    assert (done.code, "row chat-c does not fit: it has no spec" in done.out) == (1, True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("a: [\nb: {", "while parsing a flow"), ("\x00", "unacceptable character"), ("- 2026-13-45T99:99:99Z", "month must be in 1..12")],
)
def test_a_file_that_cannot_be_read_ends_with_2_and_one_sentence(plugin: ScriptedPlugin, tmp_path: Path, text: str, sentence: str) -> None:
    done = plugin("verify", "chat", "--file", exported(tmp_path, text))
    (line,) = done.err.splitlines()
    assert (done.code, done.out, line.startswith("error: the history cannot be read: ")) == (2, "", True)
    assert sentence in line


def test_a_file_that_is_not_there(plugin: ScriptedPlugin, tmp_path: Path) -> None:
    done = plugin("verify", "chat", "--file", str(tmp_path / "none"))
    assert (done.code, done.err) == (2, f"error: the history cannot be read: [Errno 2] No such file or directory: '{tmp_path / 'none'}'\n")


def test_a_wrong_option_ends_with_2(plugin: ScriptedPlugin) -> None:
    assert plugin("verify", "chat", "--nonsense").code == 2


# AppChanges.


def a_chain(*summaries: str) -> list[Manifest]:
    """Returns AppChanges in a chain, one for each summary."""
    made: list[Manifest] = []
    for sequence, summary in enumerate(summaries, 1):
        before = {"previousDigest": made[-1]["spec"]["digest"]} if made else {}
        spec = given.app_change_manifest(given.with_spec(sequence=sequence, summary=summary, **before))["spec"]
        spec["digest"] = change_digest(spec)
        made.append(given.stored({**given.app_change_manifest(name=f"chat-settings-{sequence}"), "spec": spec}))
    return made


def records(plugin: ScriptedPlugin, *changes: Manifest) -> list[Manifest]:
    plugin.rows(*history())
    plugin.script.on("GET", APP_CHANGES.path(given.NAMESPACE), listed(*changes))
    return list(changes)


def test_records_of_settings_are_walked_as_well(plugin: ScriptedPlugin) -> None:
    first, _, third = records(plugin, *a_chain("the App was created", "MODEL changed", "KEY added")[::-1])[::-1]
    done = plugin("verify", "chat")
    message = f"chat: 3 records of its settings fit, from {first['spec']['digest']} to {third['spec']['digest']}"
    assert (done.code, done.err, done.out.splitlines()[1:]) == (0, "", [message])
    assert plugin("verify", "chat", "--expect", first["spec"]["digest"]).code == 0
    assert plugin("verify", "chat", "--expect", digests(history())[0]).code == 0


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda records: records[1]["spec"].update(by="mallory"), "chat-settings-2 does not fit: its content does not have its digest"),
        (
            lambda records: records.pop(1),
            "chat-settings-3 does not fit: it does not follow chat-settings-1: a record between them is missing",
        ),
        (lambda records: records[2].update(spec="gone"), "chat-settings-3 does not fit: it has no spec"),
    ],
    ids=["changed", "removed", "emptied"],
)
def test_a_record_of_settings_that_does_not_fit_is_named(
    plugin: ScriptedPlugin, tmp_path: Path, damage: Callable[[list[Manifest]], object], said: str
) -> None:
    made = a_chain("the App was created", "MODEL changed", "KEY added")
    damage(made)
    records(plugin, *made)
    for done in (plugin("verify", "chat"), plugin("verify", "chat", "--file", exported(tmp_path, a_list(*history(), *made)))):
        assert (done.code, "chat: 3 rows fit" in done.out, f"chat: AppChange {said}" in done.out) == (1, True, True)


def test_only_the_apps_records_of_an_export_count(plugin: ScriptedPlugin, tmp_path: Path) -> None:
    made = a_chain("the App was created")
    path = exported(tmp_path, a_list(*history(), *made))
    assert plugin("verify", "chat", "--file", path).out.splitlines()[1].startswith("chat: 1 record of its settings fits")
    assert plugin("verify", "other", "--file", path).out == "other: no row was found\n"
    made[0]["spec"]["app"] = "chxt"
    done = plugin("verify", "chat", "--file", exported(tmp_path, a_list(*history(), *made)))
    assert (done.code, "AppChange chat-settings-1 does not fit: its content" in done.out) == (1, True)


def test_unreadable_records_are_a_warning_and_rows_verify_without_them(plugin: ScriptedPlugin) -> None:
    records(plugin)
    plugin.script.on("GET", APP_CHANGES.path(given.NAMESPACE), failure(403, "Forbidden", 'User "eve" cannot list'))
    done = plugin("verify", "chat")
    assert (done.code, len(done.out.splitlines())) == (0, 1)
    assert done.err == 'the records of its settings are not verified: User "eve" cannot list\n'
    plugin.script.on("GET", APP_CHANGES.path(given.NAMESPACE), failure(404, "NotFound"))
    done = plugin("verify", "chat")
    assert (done.code, len(done.out.splitlines()), done.err) == (0, 1, "")
