"""Background runs over HTTP: the requests to the journal, who sees and cancels them, and a journal that is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.kube.resources import APPS, VERSIONS, WORKFLOWS
from dynamiq_operator.model.background_runs import BackgroundEvents, BackgroundRun, BackgroundRunPage
from dynamiq_operator.rest.http import recorder as forwarding
from dynamiq_operator.rest.http import sessions
from dynamiq_operator.views.preview import OPEN_RUNS_UNKNOWN
from dynamiq_recorder.identity.tokens import User
from dynamiq_recorder.journal.model import Place
from tests.support import scripted_journal as made
from tests.support.journal import APP, JournalStage, a_run
from tests.support.rest_stage import TOKEN, UNKNOWN, RestStage, of_user
from tests.support.scripted import Reply, ScriptedServer, Sent, failure
from tests.support.scripted_journal import ENDED, OTHERS, QUEUED, READER, RUNNING, VIEWER, ScriptedJournal
from tests.support.scripted_recorder import ScriptedRecorder, problem


@dataclass(frozen=True)
class Kept:
    """The API with a scripted journal and a scripted recorder."""

    stage: RestStage
    journal: ScriptedJournal
    recorder: ScriptedRecorder

    @property
    def runs(self) -> str:
        return f"/v1/apps/{self.stage.uid(APPS, 'chat')}/runs"

    @property
    def asked(self) -> Sent:
        """Returns the only request that the journal got."""
        (sent,) = self.journal.sent
        return sent


@pytest.fixture
def kept() -> Iterator[Kept]:
    journal, recorder = ScriptedJournal(), ScriptedRecorder()
    with (
        ScriptedServer(journal) as keeps,
        ScriptedServer(recorder) as records,
        RestStage(recorder=records.url, journal=keeps.url) as stage,
    ):
        yield Kept(stage, journal, recorder)


def test_open_runs_are_the_journals_and_all_others_the_recorders(kept: Kept) -> None:
    answered = kept.stage.call("GET", f"{kept.runs}?open=true&user_id=u-1&session_id=s-1&page=2&page_size=50&sort=started_at").json
    assert [each["id"] for each in answered["data"]] == [QUEUED, RUNNING]
    BackgroundRunPage.model_validate(answered)
    assert kept.asked.path == kept.runs
    assert sorted(kept.asked.pairs) == sorted(
        [("open", "true"), ("sort", "accepted_at"), ("user_id", "u-1"), ("session_id", "s-1"), ("page", "2"), ("page_size", "50")]
    )
    assert kept.recorder.sent == []
    assert kept.stage.call("GET", kept.runs).json["data"][0]["status"] == "failed"
    assert (len(kept.journal.sent), len(kept.recorder.sent)) == (1, 1)


@pytest.mark.parametrize(
    "query", ["status=failed", "sort=-cost_usd", "tag=a", "cursor=x", f"trigger_id={UNKNOWN}", "from=2026-11-24", "min_cost_usd=1"]
)
def test_a_filter_that_only_recorded_runs_have_is_refused(kept: Kept, query: str) -> None:
    assert kept.stage.call("GET", f"{kept.runs}?open=true&{query}").error(422)["details"].keys() == {query.partition("=")[0]}
    assert kept.stage.call("GET", f"{kept.runs}?open=false").status == 422
    assert kept.journal.sent == []


def test_one_run_and_its_events_are_the_models_shapes(kept: Kept) -> None:
    run = BackgroundRun.model_validate(kept.stage.get(f"{kept.runs}/{RUNNING.upper()}"))
    assert (run.id, run.status, run.node, run.input) == (RUNNING, "started", "answer", {"question": "Where?"})
    events = BackgroundEvents.model_validate(kept.stage.call("GET", f"{kept.runs}/{ENDED}/events?after=3&limit=50&wait=1").json)
    assert ([each.sequence for each in events.data], events.ended) == ([4, 5], True)
    assert list(kept.journal.sent[-1].pairs) == [("after", "3"), ("limit", "50"), ("wait", "1")]
    for wrong in ("wait=26", "limit=501", "after=-1"):
        assert kept.stage.call("GET", f"{kept.runs}/{RUNNING}/events?{wrong}").status == 422


def test_a_cancellation_is_passed_on(kept: Kept) -> None:
    assert kept.stage.call("POST", f"{kept.runs}/{QUEUED}/cancel").data["status"] == "canceled"
    assert (kept.asked.method, kept.asked.path, kept.asked.body) == ("POST", f"{kept.runs}/{QUEUED}/cancel", {})
    assert kept.stage.call("POST", f"{kept.runs}/{RUNNING}/cancel").data["cancel_requested"] is True
    assert kept.stage.call("POST", f"{kept.runs}/{ENDED}/cancel").data["status"] == "failed", "one that had ended stays as it is"


# Who may.


def test_the_journal_gets_the_callers_token(kept: Kept) -> None:
    kept.stage.call("GET", f"{kept.runs}?open=true", headers={"X-Dynamiq-Token": "other"})
    assert kept.asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert "X-Dynamiq-Token" not in kept.asked.headers


def test_a_run_of_another_app_is_as_unknown_as_one_that_does_not_exist(kept: Kept) -> None:
    for method, more in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/release")):
        errors = [kept.stage.call(method, f"{kept.runs}/{run_id}{more}").error(404) for run_id in (OTHERS, UNKNOWN)]
        assert errors[0] == errors[1]
    assert kept.stage.call("GET", f"{kept.runs}/7").error(404)["code"] == "not_found"


def test_contents_and_cancellation_are_for_who_has_the_right(kept: Kept) -> None:
    kept.stage.script.on("POST", sessions.REVIEWS, of_user("bo@example.com"))
    run = kept.stage.call("GET", f"{kept.runs}/{ENDED}", token=VIEWER).data
    assert (run["input"], run["output"], run["error"]["message"], run["error"]["code"]) == (None, None, None, "node_failed")
    assert kept.stage.call("GET", f"{kept.runs}/{ENDED}", token=READER).data["input"] == {"question": "Where?"}
    assert kept.stage.call("POST", f"{kept.runs}/{QUEUED}/cancel", token=READER).error(403)["message"] == made.CANNOT_CANCEL


def test_the_journal_gets_no_request_for_an_unreadable_app(kept: Kept) -> None:
    kept.stage.script.on("GET", APPS.path("demo", "chat"), failure(403, "Forbidden"))
    for method, path in (("GET", f"{kept.runs}?open=true"), ("GET", f"{kept.runs}/{RUNNING}"), ("POST", f"{kept.runs}/{RUNNING}/cancel")):
        assert kept.stage.call(method, path).status == 404
    assert kept.journal.sent == []


def test_the_real_journal_answers_by_the_models(tmp_path: Path) -> None:
    with JournalStage(tmp_path) as journal, RestStage(journal=journal.url) as stage:
        uid = stage.uid(APPS, "chat")
        runs, pod = f"/v1/apps/{uid}/runs", Place(uid, "demo", "chat", APP.pins, APP.workflow_hash, "chat-1")
        journal.table.users[TOKEN] = User("anna", "", (), {}, is_ours=False)
        journal.table.may = lambda user, verb, *_: user == "anna" and verb != "update"
        journal.table.add_pod("chat-token", pod)
        accepted = journal.call("POST", runs, "chat-token", json=a_run(claim=True))
        run_id = accepted.json()["data"]["id"]
        (listed,) = BackgroundRunPage.model_validate(stage.call("GET", f"{runs}?open=true").json).data
        assert listed == BackgroundRun.model_validate(stage.get(f"{runs}/{run_id}"))
        events = BackgroundEvents.model_validate(stage.call("GET", f"{runs}/{run_id}/events?after=1&wait=20").json)
        assert ([each.type for each in events.data], events.ended) == (["run.started"], False)
        assert "update apps/runs" in stage.call("POST", f"{runs}/{run_id}/cancel").error(403)["message"]
        journal.table.may = lambda user, *_: user == "anna"
        assert BackgroundRun.model_validate(stage.call("POST", f"{runs}/{run_id}/cancel").data).cancel_requested
        others = [journal.accept()["data"]["id"], UNKNOWN]
        errors = [stage.call("GET", f"{runs}/{each}").error(404) for each in others]
        assert errors[0]["message"].replace(others[0], UNKNOWN) == errors[1]["message"]


# Previews.


def _preview(stage: RestStage, version: str = "v1") -> dict[str, Any]:
    ids = {"workflow_id": stage.uid(WORKFLOWS, "chat"), "workflow_version_id": stage.uid(VERSIONS, f"chat-{version}")}
    shown: dict[str, Any] = stage.call("POST", f"/v1/apps/{stage.uid(APPS, 'chat')}/deploy/preview", ids).data
    return shown


def test_a_preview_has_the_number_of_open_runs(kept: Kept) -> None:
    kept.journal.on("GET", kept.runs, made.a_page(made.a_run(), total=14))
    shown = _preview(kept.stage)
    assert (shown["open_runs"], shown["warnings"]) == (14, [])
    assert (shown["open_questions"], shown["oldest_question_at"], shown["held_runs"]) == (3, "2026-11-24T12:00:02.000000Z", 0)
    sent = {each.path: each for each in kept.journal.sent}
    assert dict(sent[kept.runs].pairs) == {"open": "true", "page_size": "1"}
    assert {each.headers["Authorization"] for each in sent.values()} == {f"Bearer {TOKEN}"}
    assert _preview(kept.stage, "v2")["open_runs"] is None, "no pod changes"
    assert len(kept.journal.sent) == 2


def test_a_preview_does_not_need_the_questions(kept: Kept) -> None:
    kept.journal.on("GET", kept.runs, made.a_page(made.a_run(), total=14))
    for answer in (problem(404, "there is no such path"), problem(503, "away"), Reply(cut=True)):
        kept.journal.on("GET", kept.runs.replace("/runs", "/questions"), answer)
        shown = _preview(kept.stage)
        assert (shown["open_runs"], shown["open_questions"], shown["warnings"]) == (14, None, [])


def test_a_preview_waits_no_longer_for_a_slow_journal(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "JOURNAL_SILENT_MOST", 30.0)
    ends = threading.Event()

    def slow(_: Sent) -> Reply:
        ends.wait(10)
        return Reply(body=made.a_page(total=14))

    for answer in (slow, problem(503, "away"), Reply(body={"data": []})):
        kept.journal.on("GET", kept.runs, answer)
        shown = _preview(kept.stage)
        assert (shown["open_runs"], shown["warnings"]) == (None, [OPEN_RUNS_UNKNOWN])
    ends.set()


def test_a_preview_without_a_journal_has_no_number_and_no_warning(stage: RestStage) -> None:
    assert (_preview(stage)["open_runs"], _preview(stage)["warnings"]) == (None, [])


# A journal that is away.


def test_without_a_journal_each_call_names_the_page_about_it() -> None:
    with RestStage() as stage:
        runs = f"/v1/apps/{stage.uid(APPS, 'chat')}/runs"
        for method, path in (
            ("GET", f"{runs}?open=true"),
            ("GET", f"{runs}/{RUNNING}"),
            ("GET", f"{runs}/{RUNNING}/events"),
            ("POST", f"{runs}/{RUNNING}/cancel"),
            ("POST", f"{runs}/{RUNNING}/release"),
            ("GET", runs.replace("/runs", "/questions")),
        ):
            error = stage.call(method, path).error(501)
            assert error["code"] == "no_journal"
            assert "docs/journal.md" in error["message"]
        assert stage.call("GET", runs).error(501)["code"] == "no_recorder"


def test_a_journal_that_is_away_is_reported_at_once() -> None:
    with ScriptedServer(ScriptedJournal()) as server:
        url = server.url
    with RestStage(journal=url) as stage:
        answered = stage.call("GET", f"/v1/apps/{stage.uid(APPS, 'chat')}/runs?open=true")
        assert "the journal does not answer" in answered.error(503)["message"]
        assert int(answered.headers["retry-after"]) >= 1


def test_a_silent_journal_is_reported_within_seconds_and_a_long_poll_may_be_silent(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    assert forwarding.CONNECT_WITHIN + forwarding.JOURNAL_SILENT_MOST <= 10
    monkeypatch.setattr(forwarding, "JOURNAL_SILENT_MOST", 0.2)
    ends = threading.Event()

    def silent(_: Sent) -> Reply:
        ends.wait(0.6)
        return Reply(body=made.events(made.a_run()))

    kept.journal.on("GET", f"{kept.runs}/{RUNNING}/events", silent).on("GET", f"{kept.runs}/{RUNNING}", silent)
    assert kept.stage.call("GET", f"{kept.runs}/{RUNNING}").status == 503
    assert kept.stage.call("GET", f"{kept.runs}/{RUNNING}/events?wait=20").status == 200
    ends.set()


@pytest.mark.parametrize(("theirs", "ours"), [(401, 401), (403, 403), (422, 422), (429, 429), (503, 503), (500, 503)])
def test_an_error_of_the_journal_is_one_of_this_api(kept: Kept, theirs: int, ours: int) -> None:
    kept.journal.on("GET", f"{kept.runs}/{RUNNING}", problem(theirs, "says the journal", Retry_After="7"))
    answered = kept.stage.call("GET", f"{kept.runs}/{RUNNING}")
    assert ("says the journal" in answered.error(ours)["message"]) == (theirs not in (401, 500))
    assert answered.headers.get("retry-after") == ("7" if ours in (429, 503) else None)
