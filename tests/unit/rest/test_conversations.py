"""Conversations and callbacks over HTTP: counts by row, callbacks that are sent again, and deploys that take conversations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dynamiq_operator.kube.resources import APPS, ROWS, VERSIONS, WORKFLOWS
from dynamiq_operator.model.background_runs import BackgroundRun, RowConversations
from dynamiq_operator.rest.http import sessions
from dynamiq_operator.rest.http.recorder import is_about_runs
from dynamiq_operator.views.preview import CONVERSATIONS_UNKNOWN
from tests.support import scripted_journal as made
from tests.support.rest_stage import TOKEN, UNKNOWN, RestStage, of_user
from tests.support.scripted import Reply, ScriptedServer, Sent, failure
from tests.support.scripted_journal import ENDED, OTHERS, READER, RUNNING, ScriptedJournal
from tests.support.scripted_recorder import problem


class Kept:
    """The API with a scripted journal, and App chat, whose conversations stay on their rows."""

    def __init__(self, stage: RestStage, journal: ScriptedJournal) -> None:
        self.stage, self.journal = stage, journal
        app = stage.object(APPS, "chat")
        stage.put({**app, "spec": {**app["spec"], "sessions": {}}})
        self.app = f"/v1/apps/{stage.uid(APPS, 'chat')}"

    def counts(self, *counts: dict[str, Any]) -> None:
        self.journal.on("GET", f"{self.app}/sessions", made.conversations(*counts))

    @property
    def asked(self) -> Sent:
        """Returns the only request that the journal got."""
        (sent,) = self.journal.sent
        return sent

    def body(self, version: str = "v1", **fields: Any) -> dict[str, Any]:
        """Returns a deploy of a version; v2 is live."""
        ids = {"workflow_id": self.stage.uid(WORKFLOWS, "chat"), "workflow_version_id": self.stage.uid(VERSIONS, f"chat-{version}")}
        return {**ids, **fields}

    def preview(self, version: str = "v1", **fields: Any) -> dict[str, Any]:
        shown: dict[str, Any] = self.stage.call("POST", f"{self.app}/deploy/preview", self.body(version, **fields)).data
        return shown


@pytest.fixture
def kept() -> Iterator[Kept]:
    journal = ScriptedJournal()
    with ScriptedServer(journal) as keeps, RestStage(journal=keeps.url) as stage:
        yield Kept(stage, journal)


# Conversations by row.


def test_conversations_are_listed_by_row_the_newest_first(kept: Kept) -> None:
    kept.counts({"sequence": 1, "sessions": 12, "recent": 3}, {"sequence": None}, {"sequence": 2, "sessions": 4}, {"sequence": 99})
    listed = [RowConversations.model_validate(each) for each in kept.stage.get(f"{kept.app}/conversations")]
    assert [(each.sequence, each.row and each.row.version) for each in listed] == [(99, None), (2, "v2"), (1, "v1"), (None, None)]
    assert (listed[2].sessions, listed[2].recent, listed[2].last_turn) == (12, 3, "2026-11-24T12:00:00.000000Z")
    live = kept.stage.object(APPS, "chat")["status"]["live"]
    assert listed[1].deployment_id == kept.stage.uid(ROWS, live["row"])
    assert (listed[0].deployment_id, listed[3].row) == (None, None), "that row was deleted"
    assert (kept.asked.path, kept.asked.headers["Authorization"]) == (f"{kept.app}/sessions", f"Bearer {TOKEN}")


def test_an_app_that_a_caller_cannot_read_has_no_conversations(kept: Kept) -> None:
    assert kept.stage.call("GET", f"/v1/apps/{UNKNOWN}/conversations").status == 404
    kept.stage.script.on("GET", APPS.path("demo", "chat"), failure(403, "Forbidden"))
    assert kept.stage.call("GET", f"{kept.app}/conversations").status == 404
    assert kept.journal.sent == []


def test_a_journal_that_is_slow_takes_no_slot_of_other_requests(kept: Kept) -> None:
    assert is_about_runs({"type": "http", "path": f"{kept.app}/conversations"})
    assert is_about_runs({"type": "http", "path": f"{kept.app}/runs/{ENDED}/callbacks"})


def test_an_error_of_the_journal_is_one_of_this_api(kept: Kept) -> None:
    kept.journal.on("GET", f"{kept.app}/sessions", problem(403, "you may not list apps/runs", "forbidden"), problem(503, "away"))
    assert "you may not list apps/runs" in kept.stage.call("GET", f"{kept.app}/conversations").error(403)["message"]
    assert kept.stage.call("GET", f"{kept.app}/conversations").status == 503
    with RestStage() as stage:
        for method, path in (("GET", "conversations"), ("POST", f"runs/{ENDED}/callbacks")):
            called = stage.call(method, f"/v1/apps/{stage.uid(APPS, 'chat')}/{path}", {} if method == "POST" else None)
            assert called.error(501)["code"] == "no_journal"


# Callbacks.


def test_callbacks_are_sent_again_all_or_one(kept: Kept) -> None:
    run = made.an_ended_run(callbacks=(made.a_callback(),))
    kept.journal.on("POST", f"{kept.app}/runs/{ENDED}/callbacks", {"data": run})
    for body, sent in (({}, {"n": None}), ({"n": None}, {"n": None}), ({"n": 0}, {"n": 0})):
        (callback,) = BackgroundRun.model_validate(kept.stage.call("POST", f"{kept.app}/runs/{ENDED}/callbacks", body).data).callbacks
        assert (callback.host, callback.status, callback.next_at) == ("hooks.example.com", 500, "2026-11-24T12:00:38.000000Z")
        assert (kept.journal.sent[-1].method, kept.journal.sent[-1].body) == ("POST", sent)
    for wrong in ({"n": 5}, {"n": -1}, {"n": "0"}, {"all": True}):
        assert kept.stage.call("POST", f"{kept.app}/runs/{ENDED}/callbacks", wrong).status == 422
    assert len(kept.journal.sent) == 3


def test_callbacks_that_cannot_be_sent_again_keep_the_journals_word(kept: Kept) -> None:
    assert kept.stage.call("POST", f"{kept.app}/runs/{RUNNING}/callbacks", {}).error(409)["code"] == "not_ended"
    errors = [kept.stage.call("POST", f"{kept.app}/runs/{each}/callbacks", {}).error(404) for each in (OTHERS, UNKNOWN)]
    assert errors[0] == errors[1]
    kept.stage.script.on("POST", sessions.REVIEWS, of_user("bo@example.com"))
    assert kept.stage.call("POST", f"{kept.app}/runs/{ENDED}/callbacks", {}, token=READER).status == 403


# Previews and deploys.


def test_a_preview_has_the_conversations(kept: Kept) -> None:
    kept.counts({"sequence": 2, "sessions": 3}, {"pins": "other", "sequence": 1, "sessions": 2})
    kept.journal.on("GET", f"{kept.app}/runs", made.a_page(total=0))
    shown = kept.preview()
    assert (shown["open_conversations"], shown["takes_sessions"], shown["warnings"]) == (5, False, [])
    assert shown["open_run_notes"] == ["3 conversations finish on #2, 2 conversations on #1"]
    taken = kept.preview(take_sessions=True)
    assert (taken["takes_sessions"], taken["open_run_notes"][-1]) == (
        True,
        "5 conversations move to this version once it is live: 3 of #2, 2 of #1",
    )


def test_a_preview_does_not_need_the_conversations(kept: Kept) -> None:
    kept.journal.on("GET", f"{kept.app}/runs", made.a_page(total=14))
    answers: tuple[Reply, ...] = (problem(404, "there is no such path"), problem(503, "away"), Reply(body={"data": [{}]}))
    for answer in answers:
        kept.journal.on("GET", f"{kept.app}/sessions", answer)
        shown = kept.preview()
        assert shown["open_conversations"] is None
        assert CONVERSATIONS_UNKNOWN in shown["warnings"]


def test_a_row_takes_conversations(kept: Kept) -> None:
    for fields in ({"take_sessions": True}, {"take_sessions": False}, {}):
        assert kept.stage.call("POST", f"{kept.app}/deploy", {**kept.body(), **fields}).status == 201
    confirmed = kept.preview(take_sessions=True)["to"]
    assert kept.stage.call("POST", f"{kept.app}/deploy", kept.body(take_sessions=True, confirmed=confirmed)).status == 201
    assert [row["spec"].get("takeSessions") for row in kept.stage.created(ROWS)] == [True, None, None, True]


def test_an_app_without_sessions_takes_no_conversations(stage: RestStage) -> None:
    body = {"workflow_id": stage.uid(WORKFLOWS, "chat"), "take_sessions": True}
    for path in ("deploy", "deploy/preview"):
        error = stage.call("POST", f"/v1/apps/{stage.uid(APPS, 'chat')}/{path}", body).error(422)
        assert "chat has no spec.sessions" in error["details"]["take_sessions"]
    assert stage.created(ROWS) == []
