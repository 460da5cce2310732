"""Scripts a journal: a small world answers every call about background runs: two open ones of App chat, and one that ended.

Three more have questions, or are held; lists of open runs have them only where a test scripts it. It keeps nothing and decides nothing but
who calls: `viewer` may not read contents, and neither `viewer` nor `reader` may cancel or answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dynamiq_operator.model import background_runs as model
from dynamiq_operator.model.recorder import TOKEN_HEADER
from tests.support.scripted import Reply, Script, Sent
from tests.support.scripted_recorder import problem

QUEUED = "66666666-0000-4000-8000-000000000001"
RUNNING = "66666666-0000-4000-8000-000000000002"
ENDED = "66666666-0000-4000-8000-000000000003"
ASKING = "77777777-0000-4000-8000-000000000001"
"""A run with one question: an approval."""
ASKING_TWICE = "77777777-0000-4000-8000-000000000002"
"""A run with two questions: a text, and a choice."""
HELD = "77777777-0000-4000-8000-000000000003"
OTHERS = "66666666-0000-4000-8000-000000000009"
"""A run of another App. Callers cannot tell it from one that does not exist."""
PINS = "0123456789abcdef"
VIEWER, READER = "token-of-viewer", "token-of-reader"
MISSING = "there is no run with this id, or you may not see it"
CANNOT_ANSWER = "you need the right to update apps/runcontents to answer"
ALREADY = "approve:1 was answered by bo"
NOT_ENDED = "the run has not ended: its callbacks are sent once it has"
CANNOT_CANCEL = "you need the right to update apps/runs: you may only see the runs of this App"


def a_run(**changed: Any) -> dict[str, Any]:
    """Returns one background run that a pod has, as the journal answers it."""
    fields = {
        "id": RUNNING,
        "app_id": "33333333-0000-4000-8000-000000000001",
        "namespace": "demo",
        "app": "chat",
        "status": "started",
        "reason": None,
        "state": "running",
        "pins": PINS,
        "workflow_hash": None,
        "accepted_at": "2026-11-24T12:00:00.000000Z",
        "started_at": "2026-11-24T12:00:01.000000Z",
        "ended_at": None,
        "busy_ms": 1234.0,
        "attempts": 1,
        "node": "answer",
        "key": "default",
        "user_id": "u-1",
        "session_id": "s-1",
        "trigger": None,
        "tags": ("beta",),
        "cancel_requested": False,
        "last_sequence": 4,
        "input": {"question": "Where?"},
        **changed,
    }
    return model.BackgroundRun.model_validate(fields).model_dump(mode="json")


def a_queued_run(**changed: Any) -> dict[str, Any]:
    queued = {"id": QUEUED, "status": "created", "state": "queued", "started_at": None, "attempts": 0, "node": None, "busy_ms": 0}
    return a_run(**{**queued, "last_sequence": 1, **changed})


def an_ended_run(**changed: Any) -> dict[str, Any]:
    ended = {"status": "failed", "state": "failed", "reason": "failed", "ended_at": "2026-11-24T12:00:03.000000Z", "last_sequence": 5}
    error = {"code": "node_failed", "message": "no such invoice", "details": {}}
    return a_run(**{"id": ENDED, **ended, "error": error, **changed})


def a_callback(**changed: Any) -> dict[str, Any]:
    """Returns a callback that is tried again, as the journal answers it."""
    tried = {"n": 0, "host": "hooks.example.com", "state": "pending", "tries": 2, "status": 500, "error": "the receiver answered 500"}
    times = {"last_at": "2026-11-24T12:00:08.000000Z", "next_at": "2026-11-24T12:00:38.000000Z"}
    return model.RunCallback.model_validate({**tried, **times, **changed}).model_dump(mode="json")


def conversations(*counts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns counts of conversations by pins, as the journal answers them."""
    last = {"recent": 0, "moved": 0, "last_turn": "2026-11-24T12:00:00.000000Z"}
    return {"data": [{"pins": PINS, "sequence": None, "sessions": 1, **last, **each} for each in counts]}


def a_question(**changed: Any) -> dict[str, Any]:
    """Returns an open question, an approval, as the journal answers it."""
    fields = {
        "id": "approve:1",
        "type": "approval_request",
        "node": "approve",
        "name": "Approve the refund",
        "prompt": "Refund 40 euros?\nThe customer waits.",
        "params": {"amount": 40},
        "editable_params": ("amount",),
        "asked_at": "2026-11-24T12:00:02.000000Z",
        "expires_at": "2026-12-24T12:00:02.000000Z",
        **changed,
    }
    return model.InputRequest.model_validate(fields).model_dump(mode="json")


def a_feedback_question(**changed: Any) -> dict[str, Any]:
    feedback = {"id": "ask:1", "type": "human_feedback", "node": "ask", "name": None, "params": None, "editable_params": ()}
    return a_question(**{**feedback, "prompt": "Which tone?", **changed})


def a_choice(**changed: Any) -> dict[str, Any]:
    options = ({"label": "mail", "description": "By mail"}, {"label": "phone"})
    choice = {"id": "how", "header": "How", "question": "How is it sent?", "options": options, **changed}
    return a_feedback_question(id="ask:2", prompt=None, questions=(choice,))


def a_waiting_run(*requests: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
    waiting = {"status": "paused", "state": "waiting", "awaiting_input": True, "paused_at": "2026-11-24T12:00:02.000000Z", "attempts": 0}
    asked = {"questions_open": len(requests), "input_requests": tuple(requests)}
    return a_run(**{"id": ASKING, **waiting, **asked, **changed})


def a_held_run(**changed: Any) -> dict[str, Any]:
    return a_run(**{"id": HELD, "status": "paused", "state": "held", "hold_reason": "Rejected", "attempts": 0, **changed})


def questions(*runs: Mapping[str, Any], total: int | None = None) -> dict[str, Any]:
    """Returns a page with the open questions of these runs."""
    whose = ("pins", "accepted_at", "key", "user_id", "session_id")
    listed = [{**each, "run_id": run["id"], **{name: run[name] for name in whose}} for run in runs for each in run["input_requests"]]
    return model.QuestionPage.model_validate({**a_page(total=len(listed) if total is None else total), "data": listed}).model_dump(
        mode="json"
    )


WAITING: dict[str, dict[str, Any]] = {
    each["id"]: each
    for each in (a_waiting_run(a_question()), a_waiting_run(a_feedback_question(), a_choice(), id=ASKING_TWICE), a_held_run())
}
RUNS: dict[str, dict[str, Any]] = {each["id"]: each for each in (a_queued_run(), a_run(), an_ended_run())}
QUEUED_AGAIN = {"status": "started", "state": "queued", "awaiting_input": False}
EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("run.accepted", {}),
    ("run.started", {}),
    ("node.started", {"id": "answer", "attempt": 2}),
    ("node.output.delta", {"id": "answer", "text": "On the"}),
    ("run.failed", {"status": "failed"}),
)


def a_page(*listed: Mapping[str, Any], total: int | None = None) -> dict[str, Any]:
    count = len(listed) if total is None else total
    pagination = {"page": 1, "page_size": 25, "page_count": -(-count // 25), "total_count": count}
    return model.BackgroundRunPage.model_validate({"data": listed, "pagination": pagination}).model_dump(mode="json")


def events(run: Mapping[str, Any], after: int = 0, limit: int = 500) -> dict[str, Any]:
    """Returns the events of a run after one of them."""
    time = "2026-11-24T12:00:00.000000Z"
    known: list[dict[str, Any]] = [
        {"sequence": at, "type": kind, "timestamp": time, "data": data} for at, (kind, data) in enumerate(EVENTS[: run["last_sequence"]], 1)
    ]
    shown = [each for each in known if each["sequence"] > after][:limit]
    has_ended = run["ended_at"] is not None and after + len(shown) >= run["last_sequence"]
    return model.BackgroundEvents.model_validate({"data": shown, "ended": has_ended}).model_dump(mode="json")


class ScriptedJournal(Script):
    """The answers to requests: by a line of the test, else by the small world."""

    def answer(self, sent: Sent) -> Reply:
        reply = super().answer(sent)
        if not self.unscripted or self.unscripted[-1] is not sent:
            return reply
        self.unscripted.pop()
        return answer(sent)


def answer(sent: Sent, prefix: str = "") -> Reply:
    """Returns the small world's answer. `prefix`: of the path, if the request came through the API server."""
    path = sent.path.removeprefix(prefix)
    if path == "/healthz":
        return Reply()
    if re.fullmatch(r"/v1/apps/[^/]+/questions", path):
        return Reply(body=questions(*WAITING.values()))
    if re.fullmatch(r"/v1/apps/[^/]+/sessions", path):
        return Reply(body=conversations())
    matched = re.fullmatch(r"/v1/apps/[^/]+/runs(?:/([^/]+)(?:/(cancel|events|input|restart|release|callbacks))?)?", path)
    if matched is None:
        return problem(404, f"there is no {sent.method} {path}", "not_found")
    token = sent.headers.get(TOKEN_HEADER) or sent.headers.get("Authorization", "").removeprefix("Bearer ")
    run_id, what = matched.groups()
    if run_id is None:
        return Reply(body=a_page(*(_for(token, run) for run in RUNS.values() if run["ended_at"] is None)))
    if (run := {**RUNS, **WAITING}.get(run_id)) is None:
        return problem(404, MISSING, "not_found")
    if what == "events":
        return Reply(body=events(run, int(sent.query.get("after", "0")), int(sent.query.get("limit", "500"))))
    if what == "input":
        return _answered(token, run, sent.body)
    if what == "callbacks":
        return _sent_again(token, run)
    if what in ("restart", "release"):
        return _moved(token, run, ("held", "queued") if what == "restart" else ("held",))
    return _canceled(token, run) if what == "cancel" else Reply(body={"data": _for(token, run)})


def _answered(token: str, run: Mapping[str, Any], body: Mapping[str, Any]) -> Reply:
    if token in (VIEWER, READER):
        return problem(403, CANNOT_ANSWER, "forbidden")
    if run["ended_at"] is not None:
        return problem(409, "the run has ended", "run_ended")
    left = [each for each in run["input_requests"] if each["id"] != body["data"]["request_id"]]
    if len(left) == len(run["input_requests"]):
        return problem(404, "the run has no such question", "no_such_request")
    return Reply(body={"data": a_run(**{**run, **QUEUED_AGAIN, "questions_open": len(left), "input_requests": left})})


def _sent_again(token: str, run: Mapping[str, Any]) -> Reply:
    if token in (VIEWER, READER):
        return problem(403, CANNOT_CANCEL, "forbidden")
    if run["ended_at"] is None:
        return problem(409, NOT_ENDED, "not_ended")
    return Reply(body={"data": dict(run)})


def _moved(token: str, run: Mapping[str, Any], states: tuple[str, ...]) -> Reply:
    if token in (VIEWER, READER):
        return problem(403, CANNOT_CANCEL, "forbidden")
    if run["state"] not in states:
        return problem(409, f"the run is not {' or '.join(states)}", "not_held")
    return Reply(body={"data": {**run, **QUEUED_AGAIN, "hold_reason": None}})


def _canceled(token: str, run: Mapping[str, Any]) -> Reply:
    if token in (VIEWER, READER):
        return problem(403, CANNOT_CANCEL, "forbidden")
    if run["state"] == "queued":
        return Reply(
            body={"data": {**run, "status": "canceled", "state": "canceled", "reason": "canceled", "ended_at": run["accepted_at"]}}
        )
    return Reply(body={"data": {**run, "cancel_requested": run["ended_at"] is None}})


def _for(token: str, run: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a run as this caller may see it."""
    if token != VIEWER:
        return dict(run)
    error = run["error"] and {**run["error"], "message": None, "details": None}
    asked = [{**each, "prompt": None, "params": None, "questions": None} for each in run["input_requests"]]
    return {**run, "input": None, "output": None, "error": error, "input_requests": asked}
