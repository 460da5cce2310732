"""Two journals on one PostgreSQL keep conversations: each has one owner, and pods of either hear of a move at once."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp
import msgspec
import pytest

from dynamiq_operator.kube.journal import OpenAnswer, with_sessions
from dynamiq_recorder.identity.apps import Sessions
from dynamiq_recorder.journal.placement import hash_of
from tests.support.journal import APP, VIEWER, JournalStage
from tests.support.waiting import eventually
from tests.unit.journal.test_polls import asking, wait_for_polls
from tests.unit.journal.test_replicas import address, both  # noqa: F401 - fixtures
from tests.unit.journal.test_sessions_http import ID, NEWER, NEWER_POD, OPERATOR, PLACED, ask, pins, place, policy

TIMES, AT_ONCE, TOGETHER = 500, 8, 20
Pair = tuple[JournalStage, JournalStage]


@pytest.fixture
def journals(both: Pair) -> Pair:  # noqa: F811
    for each in both:
        each.table.add_app(APP, sessions=Sessions())
        each.table.add_pod(NEWER_POD, NEWER)
        each.table.users[OPERATOR] = msgspec.structs.replace(each.table.users[VIEWER], username="operator")
        of_table = each.table.may
        each.table.may = lambda user, verb, subresource, namespace, of_table=of_table: (  # type: ignore[misc]
            (user == "operator" and subresource == "runs") or of_table(user, verb, subresource, namespace)
        )
    return both


@pytest.mark.timeout(600)
async def test_of_first_turns_at_both_exactly_one_begins_the_conversation(journals: Pair) -> None:
    tokens = [f"of-version-{number}" for number in range(AT_ONCE)]
    for number, token in enumerate(tokens):
        for each in journals:
            each.table.add_pod(token, msgspec.structs.replace(APP, pins=f"{number:016x}", pod=f"of-version-{number}"))
    began = Counter[str]()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

        async def put(number: int, session: str) -> tuple[str, bool]:
            token = tokens[number]
            url, headers = f"{journals[number % 2].url}/v1/apps/{APP.app_uid}/sessions/{session}", {"Authorization": f"Bearer {token}"}
            async with client.put(url, json={"instance": token}, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                data = (await answer.json())["data"]
                return data["pins"], data["is_new"]

        async def begin(session: str) -> None:
            answers = await asyncio.gather(*(put(number, session) for number in range(AT_ONCE)))
            assert len({owner for owner, _ in answers}) == 1, answers
            assert [is_new for _, is_new in answers].count(True) == 1, answers
            began[answers[0][0]] += 1

        for first in range(0, TIMES, TOGETHER):
            await asyncio.gather(*(begin(hash_of(f"s-{number}")) for number in range(first, first + TOGETHER)))
    for each in journals:
        listed = (await asyncio.to_thread(each.get, "sessions", VIEWER))["data"]
        assert {entry["pins"]: entry["sessions"] for entry in listed} == dict(began)


def test_a_move_at_one_is_heard_at_the_other_at_once(journals: Pair) -> None:
    first, second = journals
    place(first)
    assert (pins(first), pins(second, NEWER_POD)) == (APP.pins, APP.pins)
    version = eventually("the placement is there", lambda: policy(second)["live"] and policy(second))["version"]
    assert policy(first)["version"] == version, "a pod may ask either"
    with asking(second, "GET", f"sessions/policy?after={version}&wait=25") as answers:
        wait_for_polls(second, 1)
        assert place(first, closed=[APP.pins])["moved"] == {APP.pins: 1}
    assert (answers[0].json()["closed"], answers[0].json()["epoch"]) == ([APP.pins], 1)
    assert ask(second).status_code == 409
    assert place(second, **{**PLACED, "closed": [APP.pins]})["moved"] == {}


def test_conversations_and_turns_that_one_notes_are_counted_at_the_other(journals: Pair) -> None:
    first, second = journals

    def shown_at_second() -> list[tuple[str, int, bool]]:
        answer = msgspec.convert(second.get("/v1/open", OPERATOR), OpenAnswer)
        return [(each.pins, each.sessions, each.turns_wait) for each in with_sessions(answer)]

    eventually("it is read", lambda: second.call("GET", "/v1/open", OPERATOR).status_code == 200)
    pins(first)
    eventually("it is counted", lambda: shown_at_second() == [(APP.pins, 1, False)])
    first.call("POST", "sessions/wake", json={"instance": "i", "pins": NEWER.pins})
    eventually("it waits", lambda: shown_at_second() == [(APP.pins, 1, False), (NEWER.pins, 0, True)])
    reported = second.call("POST", "sessions/seen", json={"instance": "i", "sessions": {ID: 0}})
    assert reported.json() == {"epoch": 0}
