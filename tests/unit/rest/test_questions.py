"""Questions of background runs over HTTP: what the journal gets, what it answers, and who may answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from dynamiq_operator.desired.pin_labels import stored_digest
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.background_runs import BackgroundRun, QuestionPage
from dynamiq_operator.rest.http import sessions
from tests.support import factories as given
from tests.support import scripted_journal as made
from tests.support.rest_stage import TOKEN, UNKNOWN, RestStage, of_user, row
from tests.support.scripted import ScriptedServer, failure
from tests.support.scripted_journal import ASKING, ENDED, HELD, OTHERS, READER, RUNNING, VIEWER, ScriptedJournal
from tests.support.scripted_recorder import problem

APPROVAL: dict[str, Any] = {"type": "approval_request", "data": {"request_id": "approve:1", "is_approved": True}}


@dataclass(frozen=True)
class Asked:
    """The API with a scripted journal."""

    stage: RestStage
    journal: ScriptedJournal

    @property
    def app(self) -> str:
        return f"/v1/apps/{self.stage.uid(APPS, 'chat')}"

    def path(self, run: str, what: str) -> str:
        return f"{self.app}/runs/{run}/{what}"


@pytest.fixture
def asked() -> Iterator[Asked]:
    journal = ScriptedJournal()
    with ScriptedServer(journal) as server, RestStage(journal=server.url) as stage:
        yield Asked(stage, journal)


def test_open_questions_of_an_app_are_listed(asked: Asked) -> None:
    answered = asked.stage.call("GET", f"{asked.app}/questions?page=2&page_size=50").json
    page = QuestionPage.model_validate(answered)
    assert (page.data[0].run_id, page.data[0].id) == (ASKING, "approve:1")
    (sent,) = asked.journal.sent
    assert (sent.path, dict(sent.pairs)) == (f"{asked.app}/questions", {"page": "2", "page_size": "50"})
    assert sent.headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_run_shows_its_open_questions(asked: Asked) -> None:
    run = BackgroundRun.model_validate(asked.stage.get(f"{asked.app}/runs/{ASKING}"))
    assert (run.awaiting_input, run.questions_open, [each.prompt for each in run.input_requests]) == (
        True,
        1,
        ["Refund 40 euros?\nThe customer waits."],
    )


@pytest.mark.parametrize(
    "data",
    [
        {"request_id": "approve:1", "is_approved": False, "feedback": "too much", "data": {"amount": 20}},
        {"request_id": "approve:1", "answers": [{"question_id": "how", "selected": ["mail"]}]},
    ],
)
def test_an_answer_is_passed_on_as_it_was_sent(asked: Asked, data: dict[str, Any]) -> None:
    body = {"type": "approval_request", "data": data}
    run = BackgroundRun.model_validate(asked.stage.call("POST", asked.path(ASKING, "input"), body).data)
    assert (run.state, run.questions_open) == ("queued", 0)
    (sent,) = asked.journal.sent
    assert (sent.method, sent.path, sent.body) == ("POST", asked.path(ASKING, "input"), body)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "approval_request", "data": {"is_approved": True}},
        {"type": "approval_request", "data": {"request_id": "approve:1", "is_approved": "true"}},
        {"type": "other", "data": {"request_id": "approve:1"}},
        {**APPROVAL, "by": "somebody else"},
    ],
)
def test_an_answer_of_another_form_does_not_reach_the_journal(asked: Asked, body: dict[str, Any]) -> None:
    assert asked.stage.call("POST", asked.path(ASKING, "input"), body).status == 422
    assert asked.journal.sent == []


@pytest.mark.parametrize(
    ("status", "code", "passed"),
    [
        (404, "no_such_request", "no_such_request"),
        (409, "already_answered", "already_answered"),
        (409, "run_ended", "run_ended"),
        (409, "run_held", "run_held"),
        (409, "<b>", "conflict"),
        (413, "too_large", "payload_too_large"),
        (422, "validation_error", "validation_error"),
    ],
)
def test_a_refusal_of_the_journal_keeps_its_status_and_its_code(asked: Asked, status: int, code: str, passed: str) -> None:
    asked.journal.on("POST", asked.path(ASKING, "input"), problem(status, made.ALREADY, code))
    error = asked.stage.call("POST", asked.path(ASKING, "input"), APPROVAL).error(status)
    assert (error["code"], error["message"]) == (passed, made.ALREADY)


def test_only_who_may_answer_answers_and_a_reader_without_contents_sees_no_text(asked: Asked) -> None:
    asked.stage.script.on("POST", sessions.REVIEWS, of_user("bo@example.com"))
    for token in (VIEWER, READER):
        assert asked.stage.call("POST", asked.path(ASKING, "input"), APPROVAL, token=token).error(403)["message"] == made.CANNOT_ANSWER
    (request,) = asked.stage.call("GET", f"{asked.app}/runs/{ASKING}", token=VIEWER).data["input_requests"]
    assert (request["prompt"], request["params"], request["id"]) == (None, None, "approve:1")


def test_a_held_run_begins_again_on_what_is_live(asked: Asked) -> None:
    pinned = row("chat-b", given.live(2, "v2"))["spec"]["pinned"]
    run = BackgroundRun.model_validate(asked.stage.call("POST", asked.path(HELD, "restart")).data)
    assert run.state == "queued"
    sent = asked.journal.sent[-1]
    assert sent.body == {"pins": stored_digest(pinned), "workflow_hash": pinned["workflowHash"]}


def test_a_held_run_goes_on_where_it_was(asked: Asked) -> None:
    assert asked.stage.call("POST", asked.path(HELD, "release")).data["state"] == "queued"
    assert (asked.journal.sent[0].path, asked.journal.sent[0].body) == (asked.path(HELD, "release"), {})
    for what in ("release", "restart"):
        assert asked.stage.call("POST", asked.path(RUNNING, what)).error(409)["code"] == "not_held"


def test_nothing_reaches_the_journal_of_an_unreadable_app_or_run(asked: Asked) -> None:
    assert asked.stage.call("POST", asked.path(ENDED, "input"), APPROVAL).error(409)["code"] == "run_ended"
    errors = [asked.stage.call("POST", asked.path(each, "input"), APPROVAL).error(404) for each in (OTHERS, UNKNOWN)]
    assert errors[0] == errors[1]
    asked.journal.sent.clear()
    asked.stage.script.on("GET", APPS.path("demo", "chat"), failure(403, "Forbidden"))
    for method, path in (("GET", f"{asked.app}/questions"), ("POST", asked.path(ASKING, "input")), ("POST", asked.path(HELD, "restart"))):
        assert asked.stage.call(method, path, APPROVAL if path.endswith("input") else None).status == 404
    assert asked.journal.sent == []
