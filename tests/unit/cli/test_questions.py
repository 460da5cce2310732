"""Questions of background runs in a terminal: what is shown, what an answer sends, and what is refused before anything is sent."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from dynamiq_operator.cli.recorder import JOURNAL
from dynamiq_operator.desired.base import WORKLOAD
from dynamiq_operator.desired.pin_labels import stored_digest
from dynamiq_operator.kube.resources import APPS, BY_KIND
from tests.support import factories as given
from tests.support import scripted_journal as made
from tests.support.cluster import REPOSITORY
from tests.support.scripted import failure, listed
from tests.support.scripted_journal import ASKING, ASKING_TWICE, ENDED, HELD, QUEUED, READER, RUNNING
from tests.support.scripted_plugin import ScriptedPlugin
from tests.support.scripted_recorder import problem

UID = given.an_app().meta.uid
OF_APP = f"{JOURNAL.proxy}/v1/apps/{UID}"
OPEN = f"{JOURNAL.proxy}/v1/open"
EVIL = "s\x1b[2J\r\u202eRUN"
APPROVE = ("answer", "chat", ASKING, "--approve")


@pytest.fixture(autouse=True)
def app(plugin: ScriptedPlugin) -> None:
    """Sets up App chat, which serves v2, and a journal with questions of two of its runs."""
    live = {"row": "chat-b", "sequence": 2, "workflowVersion": "v2", "runtime": "1.0.0"}
    finishing = {"row": "chat-a", "sequence": 1, "version": "v1", "pins": made.PINS, "running": 11, "waiting": 2, "held": 1}
    app = given.stored(given.app_manifest(given.with_status(live=live, finishing=[finishing])))
    plugin.app(app)
    plugin.script.on("GET", APPS.path(given.NAMESPACE), listed(app))
    plugin.script.on("GET", BY_KIND[WORKLOAD.kind].path(given.NAMESPACE), failure(403, "Forbidden", "no"))
    plugin.rows(given.stored(given.row_manifest("chat-b", given.live(2, "v2"))))
    plugin.keeps_runs()


def sent(plugin: ScriptedPlugin) -> list[tuple[str, Any]]:
    """Returns what the journal was asked to change: the end of the path, and the body."""
    return [(each.path.removeprefix(f"{OF_APP}/runs/"), each.body) for each in plugin.script.kept if each.method == "POST"]


# What is asked.


def test_open_questions_of_an_app_are_shown_oldest_first(plugin: ScriptedPlugin) -> None:
    done = plugin("questions", "chat")
    cells = [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in done.out.splitlines()]
    assert (done.code, cells[0]) == (0, ["APP", "RUN", "QUESTION", "NODE", "TYPE", "AGE", "PROMPT"])
    assert [(line[1], line[2], line[3], line[-1]) for line in cells[1:]] == [
        ("77777777", "approve:1", "Approve the refund", "Refund 40 euros?"),
        ("77777777", "ask:1", "ask", "Which tone?"),
        ("77777777", "ask:2", "ask", "How is it sent?"),
    ]
    assert ASKING in plugin("questions", "chat", "-o", "wide").out
    data = json.loads(plugin("questions", "chat", "-o", "json").out)
    assert [data[0][name] for name in ("namespace", "app", "run_id", "id")] == ["demo", "chat", ASKING, "approve:1"]


def test_questions_of_all_apps_are_found_by_one_request_or_app_by_app(plugin: ScriptedPlugin) -> None:
    entry = {"namespace": "demo", "app": "chat", "app_uid": UID, "pins": made.PINS, "questions": 3}
    others = [{**entry, "app_uid": "other", "questions": 0}, {**entry, "namespace": "prod", "app": "pay", "app_uid": "elsewhere"}]
    plugin.script.on("GET", OPEN, {"version": "1", "data": [entry, *others]})
    assert len(json.loads(plugin("questions", "-o", "json").out)) == 3
    everywhere = plugin("questions", "-A")
    assert everywhere.out.startswith("NAMESPACE")
    assert {line.split()[0] for line in everywhere.out.splitlines()[1:]} == {"demo", "prod"}
    plugin.script.on("GET", OPEN, problem(403, "you may not list runs everywhere", "forbidden"))
    assert len(json.loads(plugin("questions", "-o", "json").out)) == 3


def test_equal_ids_of_two_runs_are_two_questions(plugin: ScriptedPlugin) -> None:
    pages = [made.questions(made.a_waiting_run(made.a_question(), id=run)) for run in (ASKING, ASKING_TWICE)]
    for page in pages:
        page["pagination"]["page_count"] = 2
    plugin.script.on("GET", f"{OF_APP}/questions", *pages)
    assert [each["run_id"] for each in json.loads(plugin("questions", "chat", "-o", "json").out)] == [ASKING, ASKING_TWICE]


def test_nothing_asked_is_one_sentence(plugin: ScriptedPlugin) -> None:
    plugin.script.on("GET", f"{OF_APP}/questions", made.questions())
    assert plugin("questions", "chat").err == "no background run of chat asks a person\n"
    assert plugin("questions", "chat", "-o", "json").out == "[]\n"
    assert plugin("questions", "chat", "-A").code == 2


def test_a_run_shows_its_question_whole_and_lists_show_what_runs_wait_for(plugin: ScriptedPlugin) -> None:
    shown = plugin("run", "chat", ASKING).out
    for line in ("status     waits for a person", "  | Refund 40 euros?", "  | The customer waits.", "  amount (editable): 40"):
        assert line in shown.splitlines()
    timed = made.a_waiting_run(awaiting_input=False, resume_at="2026-11-25T12:00:00.000000Z")
    plugin.script.on("GET", f"{OF_APP}/runs", made.a_page(made.WAITING[ASKING], timed, made.a_held_run()))
    lines = plugin("runs", "chat", "--open").out.splitlines()
    assert [line.split("   ")[2] for line in lines[1:]] == ["waits for a person", "waits until 2026-11-25T12:00:00Z", "held: Rejected"]


def test_status_shows_versions_that_finish(plugin: ScriptedPlugin) -> None:
    assert "  finishing   v1 (#1): 14 background runs, 2 wait, 1 is held" in plugin("status", "chat").out.splitlines()
    assert json.loads(plugin("status", "chat", "-o", "json").out)["finishing"][0]["held"] == 1


def test_a_question_cannot_control_a_terminal(plugin: ScriptedPlugin) -> None:
    choice = {"id": EVIL, "question": EVIL, "options": ({"label": EVIL, "description": EVIL},)}
    request = made.a_question(prompt=f"{EVIL}\n{EVIL}", name=EVIL, node=EVIL, params={EVIL: EVIL}, questions=(choice,))
    run = made.a_waiting_run(request, hold_reason=EVIL, key=EVIL)
    plugin.script.on("GET", f"{OF_APP}/runs/{ASKING}", {"data": run}).on("GET", f"{OF_APP}/questions", made.questions(run))
    calls = (("questions", "chat", "-o", "wide"), ("run", "chat", ASKING), (*APPROVE, "--preview"), (*APPROVE, "--yes"))
    for call in calls:
        done = plugin(*call)
        assert done.code == 0, done.err
        assert not {"\x1b", "\r", "\u202e"} & set(done.out + done.err)


# Answers.


@pytest.mark.parametrize(
    ("run", "options", "data"),
    [
        (ASKING, ("--approve", "--yes"), {"request_id": "approve:1", "is_approved": True}),
        (
            ASKING,
            ("--approve", "--yes", "--set", "amount=20", "--text", "half"),
            {"request_id": "approve:1", "is_approved": True, "data": {"amount": 20}, "feedback": "half"},
        ),
        (ASKING, ("--deny", "--text", "no"), {"request_id": "approve:1", "is_approved": False, "feedback": "no"}),
        (ASKING_TWICE, ("--question", "ask:1", "--text", "calm"), {"request_id": "ask:1", "feedback": "calm"}),
        (
            ASKING_TWICE,
            ("--question", "ask:2", "--choose", "how=mail"),
            {"request_id": "ask:2", "answers": [{"question_id": "how", "selected": ["mail"]}]},
        ),
    ],
)
def test_an_answer_reaches_the_journal(plugin: ScriptedPlugin, run: str, options: tuple[str, ...], data: dict[str, Any]) -> None:
    done = plugin("answer", "chat", run, *options)
    kind = "approval_request" if "is_approved" in data else "human_feedback"
    assert (done.code, done.err, sent(plugin)) == (0, "", [(f"{run}/input", {"type": kind, "data": data})])
    assert done.out.splitlines()[-1].startswith(f"{data['request_id']} of run {run} ")
    assert done.out.splitlines()[-1].endswith("; the run is queued")


def test_a_run_is_named_by_its_first_letters_if_no_other_begins_so(plugin: ScriptedPlugin) -> None:
    plugin.script.on("GET", f"{OF_APP}/questions", made.questions(made.WAITING[ASKING]))
    assert plugin("answer", "chat", ASKING[:8], "--deny").code == 0
    assert sent(plugin)[0][0] == f"{ASKING}/input"
    plugin.script.on("GET", f"{OF_APP}/questions", made.questions(*made.WAITING.values()))
    done = plugin("answer", "chat", ASKING[:8], "--deny")
    assert (done.code, len(sent(plugin))) == (1, 1)
    assert f"{ASKING} or {ASKING_TWICE}" in done.err
    assert plugin("answer", "chat", "99999999", "--deny").code == 1
    assert plugin("answer", "chat", "777", "--deny").code == 2


def test_an_approval_is_asked_for_below_the_whole_question(plugin: ScriptedPlugin) -> None:
    for typed, code in (("n\n", 1), ("\n", 1), (None, 2)):
        done = plugin(*APPROVE, typed=typed)
        assert (done.code, sent(plugin)) == (code, [])
    assert "--yes" in done.err
    shown = plugin(*APPROVE, "--set", "amount=20", "--preview")
    assert (shown.code, sent(plugin)) == (0, [])
    assert shown.out.splitlines() == [
        f"chat in demo, run {ASKING}",
        "  approve:1 (approval_request) of node Approve the refund, asked at 2026-11-24T12:00:02Z",
        "    fails without an answer at 2026-12-24T12:00:02Z",
        "    | Refund 40 euros?",
        "    | The customer waits.",
        "    amount (editable): 40",
        "  answer: approve",
        "    amount: 20",
    ]
    assert plugin(*APPROVE, typed="y\n").code == 0
    assert len(sent(plugin)) == 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ((ASKING, "--text", "yes, approved"), "a text alone does neither"),
        ((ASKING_TWICE, "--text", "calm"), "has 2 questions: choose one by --question: ask:1 (human_feedback): Which tone?; ask:2"),
        ((ASKING_TWICE, "--question", "ask:1", "--approve", "--yes"), "asks for no approval"),
        ((ASKING_TWICE, "--question", "ask:9", "--text", "x"), "question ask:9 of run"),
        ((ASKING_TWICE, "--question", "ask:2", "--choose", "how=fax"), "fax is no option of how: choose mail or phone"),
        ((ASKING_TWICE, "--question", "ask:2", "--choose", "how=mail", "--choose", "how=phone"), "how takes one option, got 2"),
        ((ASKING_TWICE, "--question", "ask:2", "--choose", "when=now"), "has no question when: it has how"),
        ((RUNNING, "--approve", "--yes"), "has no open question (running)"),
        ((HELD, "--approve", "--yes"), "has no open question (held: Rejected)"),
        ((ENDED, "--deny"), "has no open question (failed)"),
    ],
)
def test_an_answer_of_another_kind_than_the_question_is_refused_before_it_is_sent(
    plugin: ScriptedPlugin, call: tuple[str, ...], says: str
) -> None:
    done = plugin("answer", "chat", *call)
    assert (done.code, done.out, done.err.count("\n"), sent(plugin)) == (1, "", 1, [])
    assert says in done.err


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--approve", "--deny"),
        ("--deny", "--set", "amount=2"),
        ("--approve", "--set", "amount=x"),
        ("--choose", "how"),
        ("--set", "a=1"),
    ],
)
def test_options_that_are_no_answer_are_wrong_usage(plugin: ScriptedPlugin, options: tuple[str, ...]) -> None:
    assert plugin("answer", "chat", ASKING, *options).code == 2
    assert plugin.script.kept == []


def test_several_options_and_a_text_of_ones_own(plugin: ScriptedPlugin) -> None:
    request = made.a_choice(multi_select=True, allow_custom_answer=True)
    plugin.script.on("GET", f"{OF_APP}/runs/{ASKING}", {"data": made.a_waiting_run(request)})
    chosen = ("--choose", "how=mail", "--choose", "how=phone", "--choose", "how=a pigeon=fast")
    plugin("answer", "chat", ASKING, *chosen)
    ((_, body),) = sent(plugin)
    assert body["data"]["answers"] == [{"question_id": "how", "selected": ["mail", "phone"], "custom_text": "a pigeon=fast"}]


def test_what_the_journal_refuses_is_one_sentence(plugin: ScriptedPlugin) -> None:
    plugin.script.on("POST", f"{OF_APP}/runs/{ASKING}/input", problem(409, made.ALREADY, "already_answered"))
    done = plugin(*APPROVE, "--yes", "-o", "name")
    assert (done.code, done.out, done.err.splitlines()[-1]) == (1, "", f"error: {made.ALREADY}")


def test_who_may_only_read_answers_nothing(plugin: ScriptedPlugin) -> None:
    plugin.keeps_runs(READER)
    assert made.CANNOT_ANSWER in plugin("answer", "chat", ASKING, "--deny").err


def test_the_commands_of_the_page_run(plugin: ScriptedPlugin) -> None:
    page = (REPOSITORY / "docs" / "answering.md").read_text()
    commands = [shlex.split(line)[2:] for line in page.splitlines() if line.startswith("kubectl dynamiq ")]
    assert {words[0] for words in commands} == {"questions", "answer", "restart-runs", "release-runs"}
    plugin.script.on("GET", OPEN, problem(403, "you may not list runs everywhere", "forbidden"))
    for words in commands:
        run = made.a_waiting_run(made.a_question() if "--approve" in words else made.a_feedback_question(), id=f"5f0c2b1e{ASKING[8:]}")
        plugin.script.on("GET", f"{OF_APP}/questions", made.questions(run)).on("GET", f"{OF_APP}/runs/{run['id']}", {"data": run})
        plugin.script.on("POST", f"{OF_APP}/runs/{run['id']}/input", {"data": made.a_queued_run()})
        done = plugin(*("chat" if word == "support" else word for word in words), typed="y\n")
        assert done.code == 0, done.err


# Held runs.


def test_held_runs_begin_again_on_what_is_live(plugin: ScriptedPlugin) -> None:
    shown = plugin("restart-runs", "chat", HELD, RUNNING, "--preview")
    assert shown.out == f"restart 1 background run of chat in demo on v2 (#2)\n  {HELD} held: Rejected, at node answer\n"
    assert plugin("restart-runs", "chat", HELD).code == 2, "nobody can be asked"
    assert sent(plugin) == []
    done = plugin("restart-runs", "chat", HELD, "--yes")
    pinned = given.row_manifest("chat-b", given.live(2, "v2"))["spec"]["pinned"]
    assert (done.code, done.err) == (0, "background runs of chat: 1 begin again\n")
    assert sent(plugin) == [(f"{HELD}/restart", {"pins": stored_digest(pinned), "workflow_hash": pinned["workflowHash"]})]


def test_a_queued_run_begins_again_if_it_is_named(plugin: ScriptedPlugin) -> None:
    assert plugin("restart-runs", "chat", QUEUED, "--yes").code == 0
    assert [path for path, _ in sent(plugin)] == [f"{QUEUED}/restart"]
    plugin.script.on("GET", f"{OF_APP}/runs", made.a_page(made.a_queued_run()))
    assert plugin("restart-runs", "chat", "--all-held", "--yes").err == "no background run of chat is held\n"
    assert plugin("release-runs", "chat", QUEUED, "--yes").err == f"no background run of chat is held: {QUEUED} is queued\n"


def test_held_runs_are_released_where_they_were(plugin: ScriptedPlugin) -> None:
    plugin.script.on("GET", f"{OF_APP}/runs", made.a_page(made.a_run(), made.a_held_run()))
    assert plugin("release-runs", "chat", "--all-held", "--yes", "-o", "name").out == f"{HELD}\n"
    assert sent(plugin) == [(f"{HELD}/release", {})]
    plugin.script.on("POST", f"{OF_APP}/runs/{HELD}/release", problem(409, "it is held since v1 is rejected", "run_rejected"))
    done = plugin("release-runs", "chat", HELD, "--yes")
    assert (done.code, done.err.splitlines()[-1]) == (1, "error: it is held since v1 is rejected")


def test_a_run_that_is_not_held_is_left_alone(plugin: ScriptedPlugin) -> None:
    done = plugin("restart-runs", "chat", RUNNING, "--yes")
    assert (done.code, done.err, sent(plugin)) == (0, f"no background run of chat is held or queued: {RUNNING} is running\n", [])
    for options in ((), (HELD, "--all-held")):
        assert plugin("release-runs", "chat", *options).code == 2


def test_nothing_begins_again_while_nothing_is_live(plugin: ScriptedPlugin) -> None:
    plugin.app(given.stored(given.app_manifest()))
    done = plugin("restart-runs", "chat", HELD, "--yes")
    assert (done.code, sent(plugin)) == (1, [])
    assert "nothing of chat is live" in done.err
