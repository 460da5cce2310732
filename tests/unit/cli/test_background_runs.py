"""Background runs in a terminal: whole calls, from the command line to the journal's requests and the printed bytes."""

from __future__ import annotations

import json
import re
import threading

import pytest

from dynamiq_operator.cli import background_runs
from dynamiq_operator.cli.recorder import JOURNAL, PROXY
from dynamiq_operator.desired.pin_labels import stored_digest
from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.model.recorder import TOKEN_HEADER
from tests.support import factories as given
from tests.support import scripted_journal as made
from tests.support.scripted import Reply, Sent, failure, missing
from tests.support.scripted_journal import ENDED, OTHERS, QUEUED, READER, RUNNING, VIEWER
from tests.support.scripted_plugin import ScriptedPlugin
from tests.support.scripted_recorder import RUN, problem
from tests.support.waiting import IN_TIME

UID = given.an_app().meta.uid
RUNS = f"{JOURNAL.proxy}/v1/apps/{UID}/runs"
LIVE = given.stored(given.row_manifest("chat-b", given.live(2, "v2")))
TABLE = f"""\
RUN                                    ACCEPTED               STATUS    ROW                NODE     ATTEMPTS
{QUEUED}   2026-11-24T12:00:00Z   created   0123456789abcdef            0
{RUNNING}   2026-11-24T12:00:00Z   started   v2 (#2)            answer   1
"""


@pytest.fixture(autouse=True)
def app(plugin: ScriptedPlugin) -> None:
    """Sets up App chat, two rows of it, and a journal whose running run is of the live row."""
    plugin.app(given.stored(given.app_manifest()))
    plugin.rows(given.stored(given.row_manifest("chat-a", given.superseded(1, "v1"))), LIVE)
    plugin.keeps_runs()
    running = made.a_run(pins=stored_digest(LIVE["spec"]["pinned"]))
    plugin.script.on("GET", RUNS, made.a_page(made.a_queued_run(), running)).on("GET", f"{RUNS}/{RUNNING}", {"data": running})


# Open runs.


def test_open_runs_are_shown_with_the_row_that_each_ends_on(plugin: ScriptedPlugin) -> None:
    done = plugin("runs", "chat", "--open")
    assert (done.code, done.out, done.err) == (0, TABLE, "")
    (request,) = plugin.script.kept
    assert (request.path, request.headers[TOKEN_HEADER]) == (RUNS, "token-of-anna")
    assert dict(request.pairs) == {"open": "true", "sort": "-accepted_at", "page": "1", "page_size": "25"}
    assert plugin.script.recorded == []
    wide = plugin("runs", "chat", "--open", "-o", "wide").out.splitlines()
    assert (wide[0].split()[6:], wide[2].split()[-4:]) == (["KEY", "TRIGGER", "SESSION", "USER", "TAGS"], ["default", "s-1", "u-1", "beta"])


def test_open_runs_are_data_and_names(plugin: ScriptedPlugin) -> None:
    assert [each["id"] for each in json.loads(plugin("runs", "chat", "--open", "-o", "json").out)] == [QUEUED, RUNNING]
    assert plugin("runs", "chat", "--open", "-o", "name").out.splitlines() == [QUEUED, RUNNING]
    assert plugin("runs", "chat", "--open", "-o", "jsonpath={[1].node}").out == "answer\n"


def test_filters_of_open_runs_reach_the_journal_page_by_page(plugin: ScriptedPlugin) -> None:
    pages = [made.a_page(*(made.a_queued_run(id=f"id-{at}") for at in range(begin, begin + 100)), total=150) for begin in (0, 90)]
    for page in pages:
        page["pagination"]["page_count"] = 2
    plugin.script.on("GET", RUNS, *pages)
    done = plugin("runs", "chat", "--open", "--user-id", "u", "--session", "s", "--sort", "oldest", "--limit", "190", "-o", "name")
    assert done.out.splitlines() == [f"id-{at}" for at in range(190)], "a run that two pages have is shown once"
    first, second = ({name: value for name, value in sent.pairs if name != "page"} for sent in plugin.script.kept)
    assert first == second == {"open": "true", "sort": "accepted_at", "user_id": "u", "session_id": "s", "page_size": "100"}


@pytest.mark.parametrize(
    "options", [("--status", "failed"), ("--watch",), ("--since", "1h"), ("--sort", "slowest"), ("-o", "jsonl"), ("--row", "2")]
)
def test_an_option_of_recorded_runs_is_refused(plugin: ScriptedPlugin, options: tuple[str, ...]) -> None:
    done = plugin("runs", "chat", "--open", *options)
    assert (done.code, plugin.script.kept) == (2, [])
    assert "--open" in done.err


def test_an_app_without_open_runs_prints_that_there_are_none(plugin: ScriptedPlugin) -> None:
    plugin.script.on("GET", RUNS, made.a_page())
    assert plugin("runs", "chat", "--open").err == "no background run of chat is open\n"
    assert "that matches these options" in plugin("runs", "chat", "--open", "--user-id", "u").err
    assert plugin("runs", "chat", "--open", "-o", "json").out == "[]\n"


def test_runs_are_shown_with_their_pins_if_the_caller_may_not_list_rows(plugin: ScriptedPlugin) -> None:
    plugin.script.on("GET", ROWS.path(given.NAMESPACE), failure(403, "Forbidden", "no"))
    plugin.script.on("GET", RUNS, made.a_page(made.a_run()))
    assert made.PINS in plugin("runs", "chat", "--open").out


# One run.


def test_a_background_run_is_shown_with_its_events(plugin: ScriptedPlugin) -> None:
    done = plugin("run", "chat", ENDED)
    header, events, note = done.out.split("\n\n")
    shown = {line[:10].strip(): line[11:] for line in header.splitlines()}
    assert shown == {
        "run": ENDED,
        "app": "chat",
        "status": "failed: no such invoice",
        "accepted": "2026-11-24T12:00:00Z",
        "began": "2026-11-24T12:00:01Z",
        "ended": "2026-11-24T12:00:03Z",
        "took": "1.23 s",
        "row": made.PINS,
        "node": "answer",
        "attempts": "1 interrupted since its last progress",
        "key": "default",
        "session": "s-1",
        "user": "u-1",
        "tags": "beta",
    }
    assert [line.split()[:3:2] for line in events.splitlines()] == [
        ["SEQ", "EVENT"],
        ["1", "run.accepted"],
        ["2", "run.started"],
        ["3", "node.started"],
        ["5", "run.failed"],
    ]
    assert events.splitlines()[3].endswith("answer (attempt 2)")
    assert note == "1 events with parts of texts are left out: -o json has them\n"
    data = json.loads(plugin("run", "chat", ENDED, "-o", "json").out)
    assert (data["id"], [each["sequence"] for each in data["events"]]) == (ENDED, [1, 2, 3, 4, 5])
    assert plugin.script.recorded == []


def test_all_events_are_read(plugin: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_runs, "EVENTS_MOST", 2)
    assert len(json.loads(plugin("run", "chat", ENDED, "-o", "json").out)["events"]) == 5
    assert [dict(sent.pairs)["after"] for sent in plugin.script.kept if sent.path.endswith("/events")] == ["0", "2", "4"]


def test_contents_are_for_who_may_read_them(plugin: ScriptedPlugin) -> None:
    assert "Where?" not in plugin("run", "chat", RUNNING).out
    assert 'run: input\n  {\n    "question": "Where?"\n  }' in plugin("run", "chat", RUNNING, "--content").out
    plugin.keeps_runs(VIEWER)
    shown = plugin("run", "chat", ENDED, "--content").out
    assert "dynamiq-deployer" in shown
    assert not [each for each in ("Where?", "no such invoice") if each in shown]
    assert "status     failed: node_failed" in shown


def test_a_run_that_the_journal_no_longer_has_is_the_recorders(plugin: ScriptedPlugin) -> None:
    plugin.records()
    done = plugin("run", "chat", RUN)
    assert (done.code, "NODE" in done.out) == (0, True)
    assert dict(plugin.script.recorded[-1].pairs) == {"app_id": UID}
    plugin.script.has_journal = False
    assert plugin("run", "chat", RUN).code == 0


def test_a_run_of_another_app_is_as_unknown_as_one_that_does_not_exist(plugin: ScriptedPlugin) -> None:
    plugin.records()
    plugin.script.on("GET", f"{PROXY}/v1/runs/{OTHERS}", problem(404, "no run has this id", "not_found"))
    done = plugin("run", "chat", OTHERS)
    assert (done.code, done.out, done.err) == (1, "", f"error: {made.MISSING}\n")
    assert plugin("run", "chat", "7").code == 2
    assert plugin("run", "chat", RUN, "--app-id", UID).code == 2


def test_text_of_a_caller_cannot_control_a_terminal(plugin: ScriptedPlugin) -> None:
    evil = "s\x1b[2J\r\nRUN"
    run = made.a_run(session_id=evil, user_id=evil, tags=(evil,), node=evil, input={evil: evil}, reason=evil, key=evil)
    plugin.script.on("GET", RUNS, made.a_page(run)).on("GET", f"{RUNS}/{RUNNING}", {"data": run})
    event = {"sequence": 1, "type": f"node.{evil}", "timestamp": evil, "data": {"id": evil, "attempt": evil}}
    plugin.script.on("GET", f"{RUNS}/{RUNNING}/events", {"data": [event], "ended": False})
    for call in (("runs", "chat", "--open", "-o", "wide"), ("run", "chat", RUNNING, "--content"), ("cancel", "chat", RUNNING, "--preview")):
        done = plugin(*call)
        assert done.code == 0, done.err
        assert not {"\x1b", "\r"} & set(done.out + done.err)


# Cancellation.


def canceled(plugin: ScriptedPlugin) -> list[str]:
    """Returns the ids of the runs that the journal was asked to cancel."""
    return [sent.path.split("/")[-2] for sent in plugin.script.kept if sent.method == "POST"]


def test_runs_are_canceled_after_they_were_shown(plugin: ScriptedPlugin) -> None:
    shown = plugin("cancel", "chat", QUEUED, RUNNING, ENDED, "--preview")
    assert shown.out == (f"cancel 2 background runs of chat in demo\n  {QUEUED} created\n  {RUNNING} started, at node answer\n")
    assert plugin("cancel", "chat", QUEUED).code == 2, "nobody can be asked"
    assert plugin("cancel", "chat", QUEUED, typed="n\n").code == 1
    assert canceled(plugin) == []
    done = plugin("cancel", "chat", QUEUED, RUNNING, QUEUED, "--yes")
    assert (done.code, done.err) == (0, "background runs of chat: 1 canceled, 1 to end at the next node\n")
    assert canceled(plugin) == [QUEUED, RUNNING]
    assert plugin("cancel", "chat", QUEUED, "--yes", "-o", "name").out == f"{QUEUED}\n"
    assert json.loads(plugin("cancel", "chat", QUEUED, "--yes", "-o", "json").out)[0]["status"] == "canceled"
    assert plugin("cancel", "chat", QUEUED, typed="y\n").code == 0


def test_all_open_runs_are_canceled(plugin: ScriptedPlugin) -> None:
    assert plugin("cancel", "chat", "--all-open", "--yes").code == 0
    assert canceled(plugin) == [QUEUED, RUNNING]
    plugin.script.on("GET", RUNS, made.a_page())
    done = plugin("cancel", "chat", "--all-open", "--yes")
    assert (done.code, done.err) == (0, "no background run of chat is open\n")
    many = [made.a_queued_run(id=f"id-{at}") for at in range(23)]
    plugin.script.on("GET", RUNS, made.a_page(*many))
    assert plugin("cancel", "chat", "--all-open", "--preview").out.splitlines()[-1] == "  and 3 more"


def test_a_run_that_had_ended_is_left_alone(plugin: ScriptedPlugin) -> None:
    done = plugin("cancel", "chat", ENDED, "--yes")
    assert (done.code, done.err, canceled(plugin)) == (0, f"nothing to cancel: {ENDED} failed\n", [])


def test_nothing_is_canceled_if_one_of_the_runs_is_unknown(plugin: ScriptedPlugin) -> None:
    done = plugin("cancel", "chat", QUEUED, OTHERS, "--yes")
    assert (done.code, done.err, canceled(plugin)) == (1, f"error: {made.MISSING}\n", [])


def test_a_caller_without_the_right_cancels_nothing(plugin: ScriptedPlugin) -> None:
    plugin.keeps_runs(READER)
    done = plugin("cancel", "chat", QUEUED, "--yes")
    assert (done.code, done.err.splitlines()[-1]) == (1, f"error: {made.CANNOT_CANCEL}")


@pytest.mark.parametrize("options", [(), (QUEUED, "--all-open"), ("7",)])
def test_a_cancellation_names_runs_or_all(plugin: ScriptedPlugin, options: tuple[str, ...]) -> None:
    assert plugin("cancel", "chat", *options).code == 2


# Previews.


@pytest.fixture
def deployable(plugin: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> ScriptedPlugin:
    """Returns the plugin on App chat, whose releases, runtimes and flows a preview reads. A preview waits for a busy machine."""
    monkeypatch.setattr(background_runs, "COUNT_LATE", IN_TIME)
    plugin.releases(given.stored(given.version_manifest("v1")), given.stored(given.version_manifest("v2")))
    plugin.runtimes(given.stored(given.runtime_manifest()))
    plugin.flows("v1", "v2")
    plugin.script.on("GET", RUNS, made.a_page(made.a_run(), total=14))
    return plugin


@pytest.mark.parametrize("call", [("rollback", "chat"), ("deploy", "chat", "--version", "v1")])
def test_a_preview_shows_where_open_runs_finish(deployable: ScriptedPlugin, call: tuple[str, ...]) -> None:
    assert "  14 background runs finish on v2 (#2)\n" in deployable(*call, "--preview").out
    assert json.loads(deployable(*call, "--preview", "-o", "json").out)["openRuns"] == 14
    assert [dict(sent.pairs) for sent in deployable.script.kept if sent.path == RUNS] == [{"open": "true", "page_size": "1"}] * 2


def test_a_preview_shows_how_long_a_question_waits(deployable: ScriptedPlugin) -> None:
    lines = deployable("rollback", "chat", "--preview").out.splitlines()
    assert [line for line in lines if re.fullmatch(r"  3 questions wait for a person, one for .+; this needs no pod", line)]
    deployable.script.on("GET", RUNS.replace("/runs", "/questions"), problem(404, "there is no such path", "not_found"))
    lines = deployable("rollback", "chat", "--preview").out.splitlines()
    assert "  14 background runs finish on v2 (#2)" in lines
    assert not [line for line in lines if "question" in line]


def test_a_preview_of_a_deploy_that_restarts_no_pod_shows_no_open_runs(deployable: ScriptedPlugin) -> None:
    assert "background" not in deployable("deploy", "chat", "--version", "v2", "--max", "7", "--preview").out


def test_a_preview_does_not_need_the_journal(deployable: ScriptedPlugin) -> None:
    deployable.script.on("GET", RUNS, failure(503, "ServiceUnavailable", "no endpoints available"))
    shown = deployable("rollback", "chat", "--preview")
    assert shown.code == 0
    assert "how many background runs are open is unknown" in shown.out
    deployable.script.has_journal = False
    assert "background" not in deployable("rollback", "chat", "--preview").out


def test_a_preview_waits_no_longer_for_a_slow_journal(deployable: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_runs, "COUNT_LATE", 0.3)
    ends = threading.Event()

    def slow(_: Sent) -> Reply:
        ends.wait(IN_TIME)
        return Reply(body=made.a_page(total=14))

    deployable.script.on("GET", RUNS, slow)
    assert "unknown" in deployable("rollback", "chat", "--preview").out
    ends.set()


# Errors.


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (missing("services", "dynamiq-journal"), "no journal is installed in this cluster"),
        (
            failure(503, "ServiceUnavailable", "no endpoints available"),
            "`kubectl get pods -n dynamiq-journal` shows its pods; docs/journal.md",
        ),
        (problem(401, "the token is not valid", "unauthorized"), "the journal does not accept your token"),
        (problem(429, "more arrives than can be stored now", "rate_limited"), "more arrives than can be stored now"),
    ],
)
def test_an_error_is_one_sentence(plugin: ScriptedPlugin, reply: Reply, says: str) -> None:
    plugin.script.on("GET", RUNS, reply).on("GET", f"{RUNS}/{QUEUED}", reply)
    for call in (("runs", "chat", "--open"), ("run", "chat", QUEUED), ("cancel", "chat", QUEUED, "--yes")):
        done = plugin(*call)
        assert (done.code, done.err.count("\n")) == (1, 1)
        assert says in done.err


def test_the_journal_needs_a_token(plugin: ScriptedPlugin) -> None:
    plugin.logs_in({"client-certificate": "/x"})
    assert "the journal needs a token, but your kubeconfig logs in with a client certificate" in plugin("runs", "chat", "--open").err
    assert "--as does not work with the journal" in plugin("runs", "chat", "--open", "--as", "bo").err
