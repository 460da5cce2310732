"""Conversations over HTTP: pods ask whose one is and follow the placement, the operator moves them, and counts show them without an id."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import requests

from dynamiq_operator.kube.journal import OpenAnswer, usable, with_sessions
from dynamiq_operator.model.journal import placement_digest
from dynamiq_recorder.identity.apps import Sessions
from dynamiq_recorder.identity.tokens import User
from dynamiq_recorder.journal import open_feed, upkeep
from dynamiq_recorder.journal.placement import hash_of
from dynamiq_recorder.journal.store import opened
from tests.support.journal import ADMIN, APP, OTHER_POD, POD, STRANGER, VIEWER, JournalStage, a_run
from tests.support.journal_store import Clock
from tests.support.waiting import IN_TIME, eventually
from tests.unit.journal.test_polls import asking, wait_for_polls

OPERATOR, NEWER_POD, PUBLIC_POD = "operator-token", "newer-token", "pod-without-sessions"
NEWER = msgspec.structs.replace(APP, pins="9999999999999999", workflow_hash="sha256:f9", pod="chat-2")
WITHOUT = msgspec.structs.replace(APP, app_uid="c33c33c3-0000-4000-8000-000000000003", app="plain", pod="plain-1")
ROWS = {
    APP.pins: {"sequence": 3, "service": "chat-old-turns", "workflow_hash": "sha256:f1"},
    NEWER.pins: {"sequence": 4, "service": "chat-new-turns", "workflow_hash": "sha256:f9"},
}
PLACED: dict[str, Any] = {"live": NEWER.pins, "rows": ROWS, "closed": [], "taken": None}
ID = hash_of("s-1")
TIMES, AT_ONCE = 500, 8


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[JournalStage]:
    """Yields a journal of an App with sessions, at a time that the test sets, whose upkeep and counts are often."""
    for name in ("SWEEPS_EVERY", "SESSIONS_EVERY"):
        monkeypatch.setattr(upkeep, name, 0.02)
    for name in ("EVERY", "AGAIN"):
        monkeypatch.setattr(open_feed, name, 0.02)
    monkeypatch.setattr(upkeep, "REPORTED", 0.0)
    stage = JournalStage(tmp_path, store=opened(f"sqlite://{tmp_path}/journal.db", clock, clock))
    stage.table.add_app(APP, sessions=Sessions())
    stage.table.add_pod(NEWER_POD, NEWER)
    stage.table.add_pod(PUBLIC_POD, WITHOUT)
    stage.table.users[OPERATOR] = User("operator", "", (), {}, is_ours=False)
    by_table = stage.table.may
    stage.table.may = lambda user, verb, subresource, namespace: (
        subresource == "runs" and namespace == "" if user == "operator" else by_table(user, verb, subresource, namespace)
    )
    with stage:
        yield stage


def ask(journal: JournalStage, token: str = POD, session: str = ID) -> requests.Response:
    return journal.call("PUT", f"sessions/{session}", token, json={"instance": "i"})


def pins(journal: JournalStage, token: str = POD, session: str = ID) -> str:
    answer = ask(journal, token, session)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["pins"])


def place(journal: JournalStage, **fields: Any) -> dict[str, Any]:
    answer = journal.call("PUT", "sessions-placement", OPERATOR, json={**PLACED, **fields})
    assert answer.status_code == 200, answer.text
    placed: dict[str, Any] = answer.json()
    return placed


def policy(journal: JournalStage, token: str = POD) -> dict[str, Any]:
    found: dict[str, Any] = journal.get("sessions/policy", token)
    return found


def counts(journal: JournalStage) -> OpenAnswer:
    return msgspec.convert(journal.get("/v1/open", OPERATOR), OpenAnswer)


def code(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_conversation_stays_with_its_pins_and_names_the_way_there(journal: JournalStage) -> None:
    place(journal)
    began = {"pins": APP.pins, "sequence": 3, "service": "chat-old-turns", "began_at": "2026-12-02T12:00:00.000000Z"}
    assert ask(journal).json() == {"data": {**began, "is_new": True}, "epoch": 0}
    assert ask(journal, NEWER_POD).json() == {"data": {**began, "is_new": False}, "epoch": 0}


def test_a_conversation_that_goes_on_costs_no_commit(journal: JournalStage, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    place(journal)
    pins(journal)
    clock.pass_by(890)
    assert journal.context is not None
    committer = journal.context.committer

    async def none(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(committer, "put", none)
    assert pins(journal, NEWER_POD) == APP.pins
    monkeypatch.undo()
    clock.pass_by(100)
    assert pins(journal, NEWER_POD) == APP.pins
    assert journal.store is not None
    _, noted = journal.store.session(APP.app_uid, ID)
    assert noted is not None
    assert noted.last_seen == clock.now, "it would end before its pods report it"


def test_a_closed_version_has_no_conversation_from_the_answer_on(journal: JournalStage) -> None:
    place(journal)
    for number in range(3):
        pins(journal, session=hash_of(f"s-{number}"))
    body = {**PLACED, "closed": [APP.pins]}
    assert place(journal, closed=[APP.pins]) == {"digest": placement_digest(body), "moved": {APP.pins: 3}}
    assert place(journal, closed=[APP.pins]) == {"digest": placement_digest(body), "moved": {}}, "it may come again"
    refused = ask(journal)
    assert code(refused) == (409, "moved")
    assert refused.json()["error"]["details"] == {"pins": NEWER.pins, "service": "chat-new-turns"}
    assert pins(journal, NEWER_POD) == NEWER.pins
    assert ask(journal).json()["data"]["service"] == "chat-new-turns", "one that began elsewhere is named to the closed version, too"
    assert journal.metrics()["dynamiq_journal_sessions_moved_total"] == 3


def test_a_row_that_takes_conversations_has_those_of_before(journal: JournalStage, clock: Clock) -> None:
    pins(journal)
    clock.pass_by(10)
    taken = {"pins": NEWER.pins, "before": "2026-12-02T12:00:05Z"}
    assert place(journal, taken=taken)["moved"] == {APP.pins: 1}
    assert pins(journal, NEWER_POD) == NEWER.pins
    assert policy(journal)["taken"] == {"pins": NEWER.pins, "before": "2026-12-02T12:00:05.000000Z"}


def test_pods_hear_of_a_placement_and_of_the_policy_at_once(journal: JournalStage) -> None:
    first = policy(journal)
    assert {name: first[name] for name in ("policy", "live", "closed", "rows", "services")} == {
        "policy": {"idle": 1800, "warm": 300, "when_unknown": "Live"},
        "live": None,
        "closed": [],
        "rows": {},
        "services": {},
    }
    assert journal.get(f"sessions/policy?after={first['version']}&wait=0.01") == first
    with asking(journal, "GET", f"sessions/policy?after={first['version']}&wait=25") as answers:
        wait_for_polls(journal, 1)
        place(journal, closed=[APP.pins])
    second = answers[0].json()
    assert (second["live"], second["closed"], second["epoch"]) == (NEWER.pins, [APP.pins], 1)
    assert (second["rows"], second["services"][APP.pins]) == ({APP.pins: 3, NEWER.pins: 4}, "chat-old-turns")
    with asking(journal, "GET", f"sessions/policy?after={second['version']}&wait=25") as answers:
        wait_for_polls(journal, 1)
        change(journal, Sessions(idle=60, warm=0, when_unknown="Refuse"))
    assert answers[0].json()["policy"] == {"idle": 60, "warm": 0, "when_unknown": "Refuse"}
    with asking(journal, "GET", f"sessions/policy?after={answers[0].json()['version']}&wait=25") as answers:
        wait_for_polls(journal, 1)
        change(journal, None)
    assert answers[0].json()["policy"] is None


def change(journal: JournalStage, sessions: Sessions | None) -> None:
    """Changes the sessions of APP, as a watch of Apps delivers it."""
    journal.table.add_app(APP, sessions=sessions)
    assert journal._loop is not None
    journal._loop.call_soon_threadsafe(journal.table.apps.sessions_changed, APP.app_uid)


def test_an_app_without_sessions_has_none_and_its_pods_hear_it_with_their_claims(journal: JournalStage) -> None:
    def claim(token: str, uid: str) -> Any:
        body = {"instance": "i", "free": 1, "held": 0, "wait": 0}
        return journal.call("POST", f"/v1/apps/{uid}/claims", token, json=body).json()

    path = f"/v1/apps/{WITHOUT.app_uid}/sessions"
    assert journal.get(f"{path}/policy", PUBLIC_POD)["policy"] is None
    for method, name, body in (
        ("PUT", ID, {"instance": "i"}),
        ("POST", "seen", {"instance": "i", "sessions": {}}),
        ("POST", "wake", {"instance": "i", "pins": APP.pins}),
    ):
        assert code(journal.call(method, f"{path}/{name}", PUBLIC_POD, json=body)) == (404, "no_sessions")
    assert claim(PUBLIC_POD, WITHOUT.app_uid) == {"data": [], "next_seconds": 60, "sessions": False, "callbacks_seconds": None}
    nothing = {"data": [], "next_seconds": 0, "sessions": True, "callbacks_seconds": None}
    assert claim(POD, APP.app_uid) == nothing, "one may come for a conversation of its pins"


def test_wrong_bodies_change_nothing(journal: JournalStage) -> None:
    assert code(ask(journal, session="not-a-hash")) == (422, "validation_error")
    assert code(journal.call("PUT", f"sessions/{ID}", json={})) == (422, "validation_error")
    too_many = {f"{number:032x}": 0 for number in range(5001)}
    for sessions in ({"s-1": 0}, {ID: -1}, too_many):
        assert code(journal.call("POST", "sessions/seen", json={"instance": "i", "sessions": sessions})) == (422, "validation_error")
    taken = {"pins": APP.pins, "before": "now"}
    wrongs: list[dict[str, Any]] = [{"live": "x"}, {"rows": {"x": {"sequence": 1}}}, {"rows": {APP.pins: {}}}, {"taken": taken}]
    for wrong in wrongs:
        assert code(journal.call("PUT", "sessions-placement", OPERATOR, json={**PLACED, **wrong})) == (422, "validation_error"), wrong
    assert (journal.get("sessions", VIEWER), policy(journal)["live"]) == ({"data": []}, None)


def test_only_the_operator_places_and_only_pods_of_the_app_ask(journal: JournalStage) -> None:
    for token in (POD, ADMIN, VIEWER):
        assert journal.call("PUT", "sessions-placement", token, json=PLACED).status_code == 403
    missing = f"/v1/apps/{'d' * 8}-0000-4000-8000-000000000004/sessions-placement"
    assert journal.call("PUT", missing, OPERATOR, json=PLACED).status_code == 404
    body = {"instance": "i", "sessions": {ID: 0}}
    for token, status in ((OTHER_POD, 404), (STRANGER, 404), (VIEWER, 403), (ADMIN, 403)):
        assert ask(journal, token).status_code == status
        assert journal.call("POST", "sessions/seen", token, json=body).status_code == status
        assert journal.call("POST", "sessions/wake", token, json={"instance": "i", "pins": APP.pins}).status_code == status
        assert journal.call("GET", "sessions/policy", token).status_code == status
    for token, status in ((OTHER_POD, 404), (STRANGER, 404), (VIEWER, 200), (POD, 200)):
        assert journal.call("GET", "sessions", token).status_code == status


def test_counts_show_conversations_and_no_id(journal: JournalStage, clock: Clock) -> None:
    def recent() -> list[int]:
        return [each.recent_sessions for each in with_sessions(counts(journal))]

    place(journal)
    eventually("the placement is counted", lambda: counts(journal).apps[0].placement)
    pins(journal), pins(journal, session=hash_of("s-2")), pins(journal, NEWER_POD, hash_of("s-3"))
    eventually("they are counted", lambda: recent() == [2, 1])
    clock.pass_by(400)
    eventually("they are silent", lambda: recent() == [0, 0])
    reported = journal.call("POST", "sessions/seen", json={"instance": "i", "sessions": {ID: 0, hash_of("missing"): 0}})
    assert reported.json() == {"epoch": 0}
    listed = journal.get("sessions", VIEWER)
    entry = {"pins": APP.pins, "sequence": 3, "sessions": 2, "recent": 1, "last_turn": "2026-12-02T12:06:40.000000Z", "moved": 0}
    silent = {"pins": NEWER.pins, "sequence": 4, "sessions": 1, "recent": 0, "last_turn": "2026-12-02T12:00:00.000000Z", "moved": 0}
    assert listed == {"data": [entry, silent]}

    eventually("one has had a turn", lambda: recent() == [1, 0])
    answer = counts(journal)
    assert list(usable(answer)) == []
    assert [(each.pins, each.sessions, each.turns_wait) for each in with_sessions(answer)] == [(APP.pins, 2, False), (NEWER.pins, 1, False)]
    assert [(each.app_uid, each.placement) for each in answer.apps] == [(APP.app_uid, placement_digest(PLACED))]
    shown = journal.metrics()
    assert shown[f'dynamiq_journal_sessions{{app="chat",namespace="team",pins="{APP.pins}"}}'] == 2


def test_a_turn_that_waits_for_a_pod_is_seen_until_it_waits_no_more(journal: JournalStage, clock: Clock) -> None:
    place(journal)

    def waits() -> list[str]:
        return [each.pins for each in with_sessions(counts(journal)) if each.turns_wait]

    def wake(pins: str) -> requests.Response:
        return journal.call("POST", "sessions/wake", json={"instance": "i", "pins": pins})

    assert wake(NEWER.pins).json() == {}
    eventually("it is seen", lambda: waits() == [NEWER.pins])
    clock.pass_by(5)
    eventually("it is over", lambda: waits() == [])
    place(journal, closed=[APP.pins])
    assert code(wake(APP.pins)) == (409, "moved")


def test_a_background_run_of_a_conversation_is_claimed_by_pods_of_its_pins(journal: JournalStage) -> None:
    place(journal)
    pins(journal)
    accepted = journal.accept(NEWER_POD, session_id="s-1", claim=True)
    assert (accepted["data"]["pins"], accepted["data"]["workflow_hash"], accepted["claim"]) == (APP.pins, "sha256:f1", None)
    assert [each["run"]["id"] for each in journal.claim()] == [accepted["data"]["id"]]
    alone = journal.call("POST", f"/v1/apps/{WITHOUT.app_uid}/runs", PUBLIC_POD, json=a_run(session_id="s-1", claim=True)).json()
    assert (alone["data"]["pins"], alone["claim"] is not None) == (WITHOUT.pins, True)


def test_a_full_disk_begins_no_conversation_and_ends_none(journal: JournalStage, monkeypatch: pytest.MonkeyPatch) -> None:
    pins(journal)
    assert journal.context is not None
    journal.context.health.fullness = 0.99
    assert journal.store is not None
    monkeypatch.setattr(journal.store, "fullness", lambda: 0.99)
    assert code(ask(journal, session=hash_of("new"))) == (503, "disk_full")
    assert pins(journal, NEWER_POD) == APP.pins


def test_silent_conversations_end(journal: JournalStage, clock: Clock) -> None:
    pins(journal), pins(journal, session=hash_of("s-2"))
    clock.pass_by(1790)
    journal.call("POST", "sessions/seen", json={"instance": "i", "sessions": {ID: 0}})
    clock.pass_by(20)
    eventually("one has ended", lambda: [each["sessions"] for each in journal.get("sessions", VIEWER)["data"]] == [1])
    assert (pins(journal, NEWER_POD), pins(journal, NEWER_POD, hash_of("s-2"))) == (APP.pins, NEWER.pins)


def test_all_conversations_of_an_app_end_with_its_sessions(journal: JournalStage) -> None:
    place(journal)
    pins(journal)
    change(journal, None)
    eventually("they have ended", lambda: journal.get("sessions", VIEWER) == {"data": []})
    eventually("the counts have neither", lambda: (counts(journal).apps, counts(journal).data) == ([], []))


def test_all_conversations_of_an_app_end_with_it(journal: JournalStage) -> None:
    place(journal)
    pins(journal)
    del journal.table.apps_by_uid[APP.app_uid]
    assert journal.store is not None
    store = journal.store
    eventually("nothing is left", lambda: (store.conversations({}), store.placements()) == ((), {}))


def test_conversations_are_kept_until_pods_could_report_their_turns(
    journal: JournalStage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins(journal)
    journal.stop()
    clock.pass_by(3600)  # the journal was away, and pods answered meanwhile
    monkeypatch.setattr(upkeep, "REPORTED", 60.0)
    monkeypatch.setattr(upkeep, "SESSIONS_EVERY", 3600.0)
    journal.store = opened(journal.address, clock, clock)
    journal.start()
    context, loop, now = journal.context, journal._loop, 1000.0
    assert context is not None
    work = upkeep.Upkeep(context, journal.table.exists, records=False, clock=lambda: now)

    def left(later: float) -> int:
        nonlocal now
        now += later
        assert loop is not None
        asyncio.run_coroutine_threadsafe(work.end_sessions(), loop).result(IN_TIME)
        return len(journal.get("sessions", VIEWER)["data"])

    assert left(59) == 1
    context.health.wrong = "the disk is away"
    assert left(2) == 1
    context.health.wrong = ""
    assert left(59) == 1, "the store was away"
    assert left(2) == 0


@pytest.mark.timeout(300)
async def test_of_first_turns_at_once_exactly_one_begins_the_conversation(journal: JournalStage) -> None:
    """Each conversation is asked for by eight pods at once, of as many versions."""
    tokens = [f"of-version-{number}" for number in range(AT_ONCE)]
    for number, token in enumerate(tokens):
        journal.table.add_pod(token, msgspec.structs.replace(APP, pins=f"{number:016x}", pod=f"of-version-{number}"))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

        async def put(token: str, session: str) -> tuple[str, bool]:
            url, headers = f"{journal.url}/v1/apps/{APP.app_uid}/sessions/{session}", {"Authorization": f"Bearer {token}"}
            async with client.put(url, json={"instance": token}, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                data = (await answer.json())["data"]
                return data["pins"], data["is_new"]

        began: dict[str, int] = {}
        for number in range(TIMES):
            answers = await asyncio.gather(*(put(token, hash_of(f"s-{number}")) for token in tokens))
            assert len({owner for owner, _ in answers}) == 1
            assert [is_new for _, is_new in answers].count(True) == 1
            began[answers[0][0]] = began.get(answers[0][0], 0) + 1
    listed = (await asyncio.to_thread(journal.get, "sessions", VIEWER))["data"]
    assert {each["pins"]: each["sessions"] for each in listed} == began
