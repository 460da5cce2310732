"""Conversations and callbacks in a terminal: whole calls, from the command line to the journal's requests and the printed bytes."""

from __future__ import annotations

import json

import pytest

from dynamiq_operator.cli import background_runs
from dynamiq_operator.cli.recorder import JOURNAL
from dynamiq_operator.desired.base import SERVICE, WORKLOAD
from dynamiq_operator.desired.pin_labels import stored_digest
from dynamiq_operator.kube.resources import BY_KIND, ROWS
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support import scripted_journal as made
from tests.support.scripted import listed
from tests.support.scripted_journal import ENDED, READER, RUNNING
from tests.support.scripted_plugin import ScriptedPlugin
from tests.support.scripted_recorder import problem
from tests.support.waiting import IN_TIME

UID = given.an_app().meta.uid
APP = f"{JOURNAL.proxy}/v1/apps/{UID}"
RUN = f"{APP}/runs/{ENDED}"
BEFORE, LIVE = (
    given.stored(given.row_manifest(*each)) for each in (("chat-a", given.superseded(1, "v1")), ("chat-b", given.live(2, "v2")))
)
PINS = {"v1": stored_digest(BEFORE["spec"]["pinned"]), "v2": stored_digest(LIVE["spec"]["pinned"])}
COUNTS = (
    {"pins": PINS["v1"], "sequence": 1, "sessions": 12, "recent": 3, "moved": 5},
    {"pins": PINS["v2"], "sequence": 2, "sessions": 1, "recent": 1},
)


def an_app(**spec: object) -> Manifest:
    return given.stored(given.app_manifest(given.with_spec(rollout={"strategy": "Switch"}, **spec)))


@pytest.fixture(autouse=True)
def app(plugin: ScriptedPlugin) -> None:
    """Sets up App chat with conversations on two rows, and an ended run with two callbacks."""
    plugin.app(an_app(sessions={}))
    plugin.rows(BEFORE, LIVE)
    plugin.keeps_runs()
    plugin.script.on("GET", f"{APP}/sessions", made.conversations(*COUNTS))
    callbacks = (made.a_callback(), made.a_callback(n=1, state="delivered", tries=1, status=200, error=None, next_at=None))
    run = made.an_ended_run(callbacks=callbacks)
    plugin.script.on("GET", RUN, {"data": run}).on("POST", f"{RUN}/callbacks", {"data": run})


# Conversations.


def test_open_conversations_are_shown_by_row_the_newest_first(plugin: ScriptedPlugin) -> None:
    done = plugin("sessions", "chat", "--by-row")
    assert (done.code, done.err) == (0, "")
    assert [line.split() for line in done.out.splitlines()] == [
        ["ROW", "OPEN", "RECENT", "MOVED", "LAST", "TURN"],
        ["v2", "(#2)", "1", "1", "0", "2026-11-24T12:00:00Z"],
        ["v1", "(#1)", "12", "3", "5", "2026-11-24T12:00:00Z"],
    ]
    assert plugin.script.recorded == []
    assert [each["sequence"] for each in json.loads(plugin("sessions", "chat", "--by-row", "-o", "json").out)] == [2, 1]


def test_an_app_without_open_conversations_prints_that_there_are_none(plugin: ScriptedPlugin) -> None:
    plugin.script.on("GET", f"{APP}/sessions", made.conversations())
    done = plugin("sessions", "chat", "--by-row")
    assert (done.code, done.out, done.err) == (0, "", "no conversation of chat is open\n")
    assert plugin("sessions", "chat", "--by-row", "-o", "json").out == "[]\n"


@pytest.mark.parametrize("options", [("--since", "1h"), ("--user-id", "u"), ("--limit", "3")])
def test_an_option_of_recorded_sessions_is_refused(plugin: ScriptedPlugin, options: tuple[str, ...]) -> None:
    done = plugin("sessions", "chat", "--by-row", *options)
    assert (done.code, plugin.script.kept) == (2, [])
    assert "--by-row shows what is open now" in done.err


# Previews and deploys.


@pytest.fixture
def deployable(plugin: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> ScriptedPlugin:
    """Returns the plugin on App chat, whose releases, runtimes and flows a preview reads. A preview waits for a busy machine."""
    monkeypatch.setattr(background_runs, "COUNT_LATE", IN_TIME)
    plugin.releases(given.stored(given.version_manifest("v1")), given.stored(given.version_manifest("v2")))
    plugin.runtimes(given.stored(given.runtime_manifest()))
    plugin.flows("v1", "v2")
    for kind in (WORKLOAD, SERVICE):
        plugin.script.on("GET", BY_KIND[kind.kind].path(given.NAMESPACE), listed())
    plugin.script.on("GET", f"{APP}/runs", made.a_page(made.a_run(), total=14))
    return plugin


@pytest.mark.parametrize("call", [("rollback", "chat"), ("deploy", "chat", "--version", "v1")])
def test_a_preview_shows_where_conversations_go_on(deployable: ScriptedPlugin, call: tuple[str, ...]) -> None:
    shown = deployable(*call, "--preview").out
    assert "  14 background runs and 1 conversation finish on v2 (#2), 12 conversations on v1 (#1)\n" in shown
    taken = deployable(*call, "--take-sessions", "--preview").out.splitlines()
    assert "  14 background runs finish on v2 (#2)" in taken
    assert "  1 conversation moves to this version once it is live: 1 of v2 (#2)" in taken
    assert json.loads(deployable(*call, "--preview", "-o", "json").out)["openConversations"] == 13


def test_a_preview_does_not_need_the_conversations(deployable: ScriptedPlugin) -> None:
    deployable.script.on("GET", f"{APP}/sessions", problem(404, "there is no such path", "not_found"))
    shown = deployable("rollback", "chat", "--preview").out
    assert "  14 background runs finish on v2 (#2)\n" in shown
    assert "how many conversations are open is unknown" in shown


def test_an_app_without_sessions_costs_no_request(deployable: ScriptedPlugin) -> None:
    deployable.app(an_app())
    assert "conversation" not in deployable("rollback", "chat", "--preview").out
    assert not [sent for sent in deployable.script.kept if sent.path.endswith("/sessions")]
    for call in (("rollback", "chat"), ("deploy", "chat", "--version", "v1")):
        done = deployable(*call, "--take-sessions", "--yes")
        assert (done.code, done.err.count("\n")) == (1, 1)
        assert done.err.startswith("error: chat has no spec.sessions, so no conversation stays on its version")


def test_the_row_takes_conversations(deployable: ScriptedPlugin) -> None:
    deployable.script.on("POST", ROWS.path(given.NAMESPACE), LIVE)
    for call in (("rollback", "chat"), ("deploy", "chat", "--version", "v1")):
        assert deployable(*call, "--take-sessions", "--yes", "--no-wait").code == 0
        assert deployable(*call, "--yes", "--no-wait").code == 0
    assert [
        row["spec"].get("takeSessions")
        for row in [sent.body for sent in deployable.script.writes() if sent.path == ROWS.path(given.NAMESPACE)]
    ] == [True, None, True, None]


def test_the_wide_history_shows_what_is_open_on_earlier_rows(plugin: ScriptedPlugin) -> None:
    finishing = {"row": "chat-a", "sequence": 1, "version": "v1", "pins": PINS["v1"], "running": 2, "sessions": 12}
    plugin.app(an_app() | {"status": {"finishing": [finishing]}})
    header, live, before = plugin("history", "chat", "-o", "wide").out.splitlines()
    assert header.split()[-1] == "FINISHING"
    assert before.endswith("2 background runs, 12 conversations")
    assert "conversations" not in live


# Callbacks.


def test_a_run_is_shown_with_its_callbacks(plugin: ScriptedPlugin) -> None:
    shown = plugin("run", "chat", ENDED).out.split("\n\n")[1].splitlines()
    assert [line.split() for line in shown] == [
        ["CALLBACK", "HOST", "STATE", "TRIES", "NEXT", "LAST"],
        [
            "0",
            "hooks.example.com",
            "pending",
            "2",
            "2026-11-24T12:00:38Z",
            "2026-11-24T12:00:08Z",
            "HTTP",
            "500,",
            "the",
            "receiver",
            "answered",
            "500",
        ],
        ["1", "hooks.example.com", "delivered", "1", "-", "2026-11-24T12:00:08Z", "HTTP", "200"],
    ]
    assert "CALLBACK" not in plugin("run", "chat", RUNNING).out


@pytest.mark.parametrize(("number", "sent", "said"), [((), None, "2 callbacks"), (("1",), 1, "1 callback")])
def test_callbacks_are_sent_again(plugin: ScriptedPlugin, number: tuple[str, ...], sent: int | None, said: str) -> None:
    done = plugin("run", "chat", ENDED, "--send-again", *number)
    assert (done.code, done.err) == (0, f"{said} of {ENDED} {'is' if number else 'are'} sent again\n")
    assert "hooks.example.com" in done.out
    (request,) = plugin.script.kept
    assert (request.method, request.path, request.body) == ("POST", f"{RUN}/callbacks", {"n": sent})
    assert json.loads(plugin("run", "chat", ENDED, "--send-again", *number, "-o", "json").out)["id"] == ENDED


@pytest.mark.parametrize(
    ("run", "says"),
    [(RUNNING, f"error: {made.NOT_ENDED}\n"), (made.QUEUED, f"error: {made.NOT_ENDED}\n"), (made.OTHERS, f"error: {made.MISSING}\n")],
)
def test_callbacks_that_cannot_be_sent_again_are_one_sentence(plugin: ScriptedPlugin, run: str, says: str) -> None:
    done = plugin("run", "chat", run, "--send-again")
    assert (done.code, done.out, done.err) == (1, "", says)


def test_a_run_without_callbacks_has_nothing_to_send(plugin: ScriptedPlugin) -> None:
    plugin.script.on("POST", f"{RUN}/callbacks", {"data": made.an_ended_run()})
    done = plugin("run", "chat", ENDED, "--send-again")
    assert (done.code, done.err) == (1, f"error: nothing was sent: run {ENDED} has no callbacks\n")


def test_a_caller_without_the_right_sends_nothing(plugin: ScriptedPlugin) -> None:
    plugin.keeps_runs(READER)
    plugin.script.on("POST", f"{RUN}/callbacks", problem(403, made.CANNOT_CANCEL, "forbidden"))
    done = plugin("run", "chat", ENDED, "--send-again")
    assert (done.code, done.err) == (1, f"error: {made.CANNOT_CANCEL}\n")


@pytest.mark.parametrize(
    "options", [(ENDED, "--send-again"), ("chat", ENDED, "--send-again", "5"), ("chat", ENDED, "--send-again", "--content")]
)
def test_a_repeat_names_the_app_and_one_of_five_callbacks(plugin: ScriptedPlugin, options: tuple[str, ...]) -> None:
    assert (plugin("run", *options).code, plugin.script.kept) == (2, [])


def test_text_of_a_receiver_cannot_control_a_terminal(plugin: ScriptedPlugin) -> None:
    evil = "no\x1b[2J\r\nCALLBACK"
    run = made.an_ended_run(callbacks=(made.a_callback(error=evil, host=evil),))
    plugin.script.on("GET", RUN, {"data": run}).on("POST", f"{RUN}/callbacks", {"data": run})
    plugin.script.on("GET", f"{APP}/sessions", made.conversations({"pins": evil}))
    for call in (("run", "chat", ENDED), ("run", "chat", ENDED, "--send-again"), ("sessions", "chat", "--by-row")):
        done = plugin(*call)
        assert done.code == 0, done.err
        assert not {"\x1b", "\r"} & set(done.out + done.err)
