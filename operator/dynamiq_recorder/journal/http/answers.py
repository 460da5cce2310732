"""Shapes runs, claims, events and counts as the answers have them. It reads none of them."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
import orjson

from dynamiq_operator.model.journal import OPEN_STATES, placement_digest
from dynamiq_recorder.identity.apps import Sessions
from dynamiq_recorder.journal.callback import Callback, name_of
from dynamiq_recorder.journal.callbacks import Claimed
from dynamiq_recorder.journal.model import LEASE, MICROSECONDS, STATUSES, Conversations, LateCallbacks, Open, Saved, State
from dynamiq_recorder.journal.open_feed import Snapshot
from dynamiq_recorder.journal.operations import Claim
from dynamiq_recorder.journal.pending import Event
from dynamiq_recorder.journal.placement import Placement
from dynamiq_recorder.journal.question import Question
from dynamiq_recorder.journal.reading import Asked, Events, Shown
from dynamiq_recorder.journal.run import Run
from dynamiq_recorder.journal.sessions import Owned
from dynamiq_recorder.reads.times import shown, shown_or_none


def run(of: Shown, wait: int, *, content: bool) -> dict[str, Any]:
    """Returns a run. Without `content`, the input and output are null, and the error has only its code.

    `wait`: seconds for which a question of the App may be open.
    """
    each = of.run
    questions = each.open_questions if each.is_open else 0
    return {
        "id": each.id,
        "app_id": each.app_uid,
        "namespace": each.namespace,
        "app": each.app,
        "status": STATUSES[each.state],
        "reason": each.reason,
        "state": each.state,
        "pins": each.pins,
        "workflow_hash": each.workflow_hash,
        "accepted_at": shown(each.accepted_at),
        "started_at": shown_or_none(each.started_at),
        "ended_at": shown_or_none(each.ended_at),
        "busy_ms": each.busy_ms,
        "attempts": each.attempts,
        "node": each.node,
        "key": each.key_name,
        "user_id": each.user_id,
        "session_id": each.session_id,
        "trigger": each.trigger_name,
        "tags": orjson.Fragment(each.tags),
        "cancel_requested": each.canceling,
        "last_sequence": each.last_event,
        "input": _json(of.input if content else None),
        "output": _json(of.output if content else None),
        "content_omitted": of.is_omitted,
        "error": _error(each, content=content),
        "awaiting_input": questions > 0 and each.state is not State.HELD,
        "questions_open": questions,
        "paused_at": shown_or_none(each.paused_at),
        "resume_at": shown_or_none(each.resume_at),
        "hold_reason": each.hold_reason,
        "input_requests": [request(each, question, wait, content=content) for question in of.questions],
        "callbacks": [_callback(called) for called in of.callbacks],
    }


def _callback(of: Callback) -> dict[str, Any]:
    """Returns a callback for a reader, who sees neither URL nor token."""
    return {
        "n": of.n,
        "host": of.host,
        "state": of.state,
        "tries": of.own_tries,
        "status": of.status,
        "error": of.error,
        "last_at": shown_or_none(of.last_at),
        "next_at": shown_or_none(of.next_at),
    }


def callback_claims(of: Iterable[Claimed], wait: int, hosts: Collection[str], next_seconds: float | None) -> dict[str, Any]:
    """Returns callbacks for the pod that sends them. `hosts`: those that may have private addresses."""
    data = [
        {
            "run": run(Shown(each.run, output=each.output, is_omitted=each.is_omitted), wait, content=True),
            "n": each.callback.n,
            "id": name_of(each.run.id, each.callback.n),
            "url": each.callback.url,
            "token": each.callback.token,
            "metadata": _json(each.callback.metadata),
            "try": each.callback.tries,
            "private": each.callback.host in hosts,
        }
        for each in of
    ]
    return {"data": data, "next_seconds": next_seconds}


def request(of: Run, question: Question, wait: int, *, content: bool) -> dict[str, Any]:
    """Returns an open question of a run. Without `content`, its texts are null."""
    shown_content = {} if content else {"prompt": None, "params": None, "questions": None}
    return {
        **question.asked(),
        **shown_content,
        "asked_at": shown(question.asked_at),
        "expires_at": shown((of.waits_since or question.asked_at) + wait * MICROSECONDS),
        "answered": not question.is_open,
        "answered_by": question.answer_by,
        "answered_at": shown_or_none(question.answered_at),
    }


def questions(of: Sequence[Asked], wait: int, number: int, size: int, total: int, *, content: bool) -> dict[str, Any]:
    """Returns a page of open questions of an App."""
    data = [
        {
            **request(each.run, each.question, wait, content=content),
            "run_id": each.run.id,
            "pins": each.run.pins,
            "accepted_at": shown(each.run.accepted_at),
            "key": each.run.key_name,
            "user_id": each.run.user_id,
            "session_id": each.run.session_id,
        }
        for each in of
    ]
    return {"data": data, "pagination": _pagination(number, size, total)}


def claim(of: Claim, wait: int) -> dict[str, Any]:
    asked = tuple(each for each in of.questions if each.is_open)
    return {
        "run": run(Shown(of.run, of.input, questions=asked), wait, content=True),
        "fence": of.run.fence,
        "lease_seconds": LEASE,
        "busy_ms": of.run.busy_ms,
        "alone": of.alone,
        "headers": orjson.Fragment(of.run.headers),
        "parts": {node: base64.b64encode(state).decode() for node, state in of.parts.items()},
        "questions": [
            {"id": each.id, "node": each.node, "type": each.kind, "content": _json(each.content), "answer": _json(each.answer)}
            for each in of.questions
        ],
    }


def saved(of: Saved) -> dict[str, Any]:
    if not of.ok:
        return {"id": of.id, "ok": False, "code": "fenced"}
    answers = [{"id": name, "answer": _json(answer)} for name, answer in of.answers.items()]
    ended = {"callbacks": of.callbacks} if of.callbacks else {}
    return {"id": of.id, "ok": True, "cancel": of.cancel, "answers": answers, **ended}


def events(of: Events, after: int, *, content: bool) -> dict[str, Any]:
    """Returns events of a run, and if no later ones will come. Without `content`, their data is empty."""
    last = of.events[-1].sequence if of.events else after
    return {
        "data": [
            {
                "sequence": each.sequence,
                "type": each.type,
                "timestamp": shown(each.at),
                "data": _event_data(of, each) if content else {},
            }
            for each in of.events
        ],
        "ended": not of.run.is_open and last >= of.run.last_event,
    }


def _event_data(of: Events, event: Event) -> Any:
    return orjson.Fragment(event.data) if event.data is not None else end_data(of.run, of.output)


def end_data(of: Run, output: bytes | None) -> dict[str, Any]:
    """Returns the data of the last event of a run."""
    data = {"id": of.id, "object": "run", "status": STATUSES[of.state], "reason": of.reason, "error": _error(of, content=True)}
    if STATUSES[of.state] == "completed":
        data["output"] = _json(output)
    if of.cancel_by is not None:
        data["by"] = of.cancel_by
    return data


def open_runs(of: Snapshot) -> dict[str, Any]:
    """Returns the counts of open runs, conversations and late callbacks, one entry for each App's pins."""
    entries: dict[tuple[str, str], dict[str, Any]] = {}

    def entry_of(each: Open | Conversations | LateCallbacks) -> dict[str, Any]:
        place = (each.app_uid, each.pins)
        if (entry := entries.get(place)) is None:
            entry = entries[place] = _entry(each, polled=place in of.polled)
        return entry

    for each in of.runs:
        entry = entry_of(each)
        entry[each.state] += each.runs
        oldest = shown(each.oldest)
        entry["oldest"] = min(entry["oldest"] or oldest, oldest)
        entry["questions"] += each.questions
        if each.waiting_since is not None:
            since = shown(each.waiting_since)
            entry["waiting_since"] = min(entry["waiting_since"] or since, since)
        if each.state is State.QUEUED:
            entry["due"] = shown(each.oldest)
    for own in of.sessions.pins:
        counts = {"sessions": own.sessions, "recent_sessions": own.recent, "last_turn": shown_or_none(own.last_turn)}
        entry_of(own).update(counts, turns_wait=own.turns_wait)
    for late in of.callbacks:
        entry_of(late)["callbacks"] = late.callbacks
    apps = [{"namespace": app.namespace, "app": app.app, "app_uid": app.app_uid, "placement": app.digest} for app in of.sessions.apps]
    return {"version": of.version, "data": list(entries.values()), "apps": apps}


def _entry(of: Open | Conversations | LateCallbacks, *, polled: bool) -> dict[str, Any]:
    counts: dict[str, Any] = dict.fromkeys(OPEN_STATES, 0)
    place = {"namespace": of.namespace, "app": of.app, "app_uid": of.app_uid, "pins": of.pins}
    asked = {"questions": 0, "waiting_since": None, "due": None, "oldest": None}
    turns = {"sessions": 0, "recent_sessions": 0, "last_turn": None, "turns_wait": False}
    return {**place, **counts, **asked, **turns, "callbacks": 0, "polled": polled}


def page(of: Sequence[Shown], wait: int, number: int, size: int, total: int, *, content: bool) -> dict[str, Any]:
    return {"data": [run(each, wait, content=content) for each in of], "pagination": _pagination(number, size, total)}


def _pagination(number: int, size: int, total: int) -> dict[str, int]:
    return {"page": number, "page_size": size, "page_count": -(-total // size), "total_count": total}


def claims(of: Iterable[Claim], wait: int, next_seconds: int, *, sessions: bool, callbacks_seconds: float | None = None) -> dict[str, Any]:
    """Returns claims. `next_seconds`, `callbacks_seconds`: until the pod asks again, and until the next callback of its App is due."""
    later = {"next_seconds": next_seconds, "sessions": sessions, "callbacks_seconds": callbacks_seconds}
    return {"data": [claim(each, wait) for each in of], **later}


def whose(of: Owned) -> dict[str, Any]:
    """Returns whose a conversation is, and the way there."""
    session, placement = of.session, of.placement
    data = {
        "pins": session.pins,
        "sequence": placement.sequence(session),
        "service": placement.service(session.pins),
        "began_at": shown(session.began_at),
        "is_new": of.is_new,
    }
    return {"data": data, "epoch": placement.epoch}


def policy(sessions: Sessions | None, placement: Placement) -> dict[str, Any]:
    """Returns what pods need of an App's sessions, with a version that is the same from every replica."""
    taken = placement.taken
    answer = {
        "policy": {"idle": sessions.idle, "warm": sessions.warm, "when_unknown": sessions.when_unknown} if sessions is not None else None,
        "epoch": placement.epoch,
        "live": placement.live,
        "closed": list(placement.closed),
        "taken": {"pins": taken.pins, "before": shown(taken.before)} if taken is not None else None,
        "rows": {pins: row.sequence for pins, row in placement.rows.items()},
        "services": {pins: row.service for pins, row in placement.rows.items() if row.service is not None},
    }
    return {"version": placement_digest(answer), **answer}


def conversations(of: Iterable[Conversations], placement: Placement) -> dict[str, Any]:
    """Returns the counts of an App's conversations by pins."""
    data = []
    for each in of:
        row = placement.row(each.pins)
        counts = {"sessions": each.sessions, "recent": each.recent, "last_turn": shown_or_none(each.last_turn), "moved": each.moved}
        data.append({"pins": each.pins, "sequence": row.sequence if row is not None else None, **counts})
    return {"data": data}


def _json(data: bytes | None) -> Any:
    return orjson.Fragment(data) if data is not None else None


def _error(of: Run, *, content: bool) -> Any:
    if of.error is None:
        return None
    if content:
        return orjson.Fragment(of.error)
    return {"code": msgspec.json.decode(of.error)["code"]}
