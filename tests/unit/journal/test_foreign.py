"""Nobody reaches a run of an App that is not theirs: foreign pods, pins, users and tokens, by every call, in every state."""

from __future__ import annotations

import base64
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from dynamiq_recorder.identity.pods import KnownPod
from dynamiq_recorder.identity.tokens import User
from tests.support.journal import APP, OTHER, OTHER_POD, POD, STRANGER, VIEWER, JournalStage, a_run

SECRET = "the-secret-of-a-run"
KEY = "idempotency-key-of-ann"
READS = frozenset({"get", "events", "list", "questions"})
ANSWER = {"type": "human_feedback", "data": {"request_id": "ask:1", "feedback": "forged"}, "by": "of-ann"}
SIBLING = msgspec.structs.replace(APP, app_uid="c33c33c3-0000-4000-8000-000000000003", app="mail", pod="mail-1")
RECREATED = msgspec.structs.replace(APP, app_uid="d44d44d4-0000-4000-8000-000000000004", pod="chat-8")
END = {"status": "completed", "reason": "succeeded", "output": {"text": "forged"}}


@dataclass(frozen=True)
class Foreigner:
    """A caller. `uids`: the Apps in whose name they call. `may`: calls that they may make; even so they see no content unless `sees`."""

    token: str | None
    uids: tuple[str, ...] = (APP.app_uid,)
    may: frozenset[str] = frozenset()
    sees: bool = False


FOREIGNERS: Mapping[str, Foreigner] = {
    "a pod of another namespace": Foreigner(OTHER_POD, (APP.app_uid, OTHER.app_uid)),
    "a pod of another App with the same pins": Foreigner("sibling", (APP.app_uid, SIBLING.app_uid)),
    "a pod of an App that had the name before": Foreigner("recreated", (APP.app_uid, RECREATED.app_uid)),
    # After a deploy, the same request gets its run from a pod of the newer row.
    "a pod of other pins": Foreigner("newer", may=READS | {"cancel", "answer", "accept its id", "accept its key"}, sees=True),
    "a pod of no row": Foreigner("no-pins", may=READS | {"cancel", "answer"}, sees=True),
    "a pod of no App": Foreigner("no-app"),
    "a viewer": Foreigner(VIEWER, may=READS),
    "an admin of another namespace": Foreigner("their-admin", (APP.app_uid, OTHER.app_uid)),
    "a stranger": Foreigner(STRANGER),
    "an unknown token": Foreigner("nobody-knows-it"),
    "no token": Foreigner(None),
}


@dataclass
class Target:
    """A run of APP in one state, and its fence."""

    id: str
    fence: int


def _save(run: Target, **fields: Any) -> tuple[str, str, Any]:
    return "POST", "saves", {"instance": "i", "saves": [{"id": run.id, "fence": run.fence, "number": 99, **fields}]}


CALLS: Mapping[str, Callable[[Target], tuple[str, str, Any]]] = {
    "get": lambda run: ("GET", f"runs/{run.id}", None),
    "events": lambda run: ("GET", f"runs/{run.id}/events", None),
    "list": lambda _: ("GET", "runs?page_size=100", None),
    "questions": lambda _: ("GET", "questions", None),
    "answer": lambda run: ("POST", f"runs/{run.id}/input", ANSWER),
    "hold": lambda _: ("POST", "hold", {"pins": APP.pins, "reason": "Rejected"}),
    "restart": lambda run: ("POST", f"runs/{run.id}/restart", {"pins": "9999999999999999"}),
    "cancel": lambda run: ("POST", f"runs/{run.id}/cancel", {"by": "of-ann"}),
    "claim": lambda _: ("POST", "claims", {"instance": "i", "free": 100, "held": 0, "wait": 0}),
    "renew": _save,
    "save": lambda run: _save(run, parts={"a": base64.b64encode(b"forged").decode()}, events=[{"type": "forged"}]),
    "hand back": lambda run: _save(run, hand_back=True),
    "end": lambda run: _save(run, end=END),
    "accept its id": lambda run: ("POST", "runs", a_run(id=run.id)),
    "accept its key": lambda _: ("POST", "runs", a_run(idempotency_key=KEY, request_hash="ab")),
}


@dataclass
class Shelf:
    """The runs of APP by state, and all that the journal has of them."""

    journal: JournalStage
    runs: dict[str, Target] = field(default_factory=dict)

    def fill(self) -> None:
        given = {"input": {"text": SECRET}, "idempotency_key": KEY, "request_hash": "ab"}
        for state in ("queued", "running", "waiting", "ended"):
            body = a_run(**{**given, "idempotency_key": KEY if state == "queued" else None}, claim=state != "queued")
            assert self.journal.call("POST", "runs", json=body).status_code == 201
            self.runs[state] = Target(body["id"], 0 if state == "queued" else 1)
            if state != "queued":
                saved = {"id": body["id"], "fence": 1, "number": 1, "events": [{"type": "chunk", "data": {"text": SECRET}}]}
                end = {"status": "completed", "reason": "succeeded", "output": {"text": SECRET}} if state == "ended" else None
                question = {"id": "ask:1", "node": "ask", "type": "human_feedback", "content": {"prompt": SECRET}}
                asks = {"questions": [question], "pause": {}} if state == "waiting" else {}
                assert self.journal.save({**saved, **asks, "end": end})[0]["ok"]

    def everything(self) -> list[object]:
        store = self.journal.store
        assert store is not None
        return [(store.run(APP.app_uid, each.id), store.events(APP.app_uid, each.id)) for each in self.runs.values()]


@pytest.fixture
def shelf(journal: JournalStage) -> Shelf:
    table = journal.table
    for token, place in (("sibling", SIBLING), ("recreated", RECREATED)):
        table.add_pod(token, place)
    table.add_pod("newer", msgspec.structs.replace(APP, pins="9999999999999999", pod="chat-7"))
    table.add_pod("no-pins", msgspec.structs.replace(APP, pins="", pod="chat-6"))
    table.add_pod("no-app", msgspec.structs.replace(APP, pod="chat-5"))
    _, uid = table.users["no-app"].pod or ("", "")
    table.pods_by_uid[uid] = KnownPod(APP.namespace)
    table.users["their-admin"] = User("their-admin", "", (), {}, is_ours=False)
    by_table = table.may
    table.may = lambda user, verb, subresource, namespace: (
        namespace == OTHER.namespace if user == "their-admin" else by_table(user, verb, subresource, namespace)
    )
    made = Shelf(journal)
    made.fill()
    return made


def test_nobody_reaches_a_run_of_another_app(shelf: Shelf) -> None:
    journal, before, answers = shelf.journal, shelf.everything(), Counter[int]()
    tried = [
        (name, who, uid, call, state)
        for call in CALLS  # those that make runs of the callers' own Apps, with the same id, come last
        for name, who in FOREIGNERS.items()
        for uid in who.uids
        for state in shelf.runs
        if not (who.sees and call in who.may)
    ]
    for name, who, uid, call, state in tried:
        method, path, body = CALLS[call](shelf.runs[state])
        headers = {"Authorization": ""} if who.token is None else {}
        answer = journal.call(method, f"/v1/apps/{uid}/{path}", who.token or "", json=body, headers=headers)
        answers[answer.status_code] += 1
        what = f"{name}: {call} of a run that is {state}, as App {uid}: {answer.status_code} {answer.text}"
        assert SECRET not in answer.text, what
        assert shelf.everything() == before, what
        if call not in who.may:
            assert not _is_let_in(call, uid, shelf.runs[state], answer), what
    print(f"\n{len(tried)} calls of foreign pods, pins, users and tokens: 0 let in; statuses {dict(answers)}")
    assert len(tried) >= 300


def _is_let_in(call: str, uid: str, run: Target, answer: Any) -> bool:
    """Returns True if a call had an effect on the run, or its answer has it. An App of the caller may have own runs."""
    if uid == APP.app_uid:
        refused: bool = answer.status_code in (401, 403, 404)
        if call in ("renew", "save", "hand back", "end") and answer.status_code == 200:
            refused = [each["ok"] for each in answer.json()["data"]] == [False]
        if call == "claim" and answer.status_code == 200:
            refused = answer.json()["data"] == []
        return not refused
    if call == "restart":  # pods may restart none, of their own Apps neither
        return bool(answer.status_code not in (403, 404))
    if call in ("get", "events", "cancel", "answer"):
        return bool(answer.status_code != 404)
    return call in ("accept its key", "questions") and run.id in answer.text


def test_each_access_key_has_idempotency_keys_of_its_own(shelf: Shelf) -> None:
    theirs = a_run(key="of-bob", idempotency_key=KEY, request_hash="ab")
    answer = shelf.journal.call("POST", "runs", json=theirs)
    assert (answer.status_code, answer.json()["data"]["id"]) == (201, theirs["id"])
    assert SECRET not in answer.text
    again = shelf.journal.call("POST", "runs", POD, json=a_run(id=str(uuid.uuid4()), idempotency_key=KEY, request_hash="ab"))
    assert (again.status_code, again.json()["data"]["id"]) == (200, shelf.runs["queued"].id)
