"""Conversations of real pods with the real journal: first turns at once are one conversation, and no turn reaches another App."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from dynamiq_recorder.identity.apps import Sessions
from dynamiq_recorder.identity.tokens import User
from dynamiq_recorder.journal.model import Place
from tests.support.background import KEY, pod
from tests.support.flows import a_flow
from tests.support.journal import APP, JournalStage
from tests.support.runtime import Answer, Served
from tests.support.waiting import eventually

A, B = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"
ROWS = {A: 11, B: 12}
OPERATOR = "operator-token"
OTHER_APP = "d44d44d4-0000-4000-8000-000000000004"
TIMES, AT_ONCE = int(os.environ.get("BENCH_FIRST_TURNS", "20")), 8


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalStage]:
    stage = JournalStage(tmp_path)
    stage.table.users[OPERATOR] = User("operator", "", (), {}, is_ours=False)
    stage.table.may = lambda user, *_: user == "operator"
    with stage:
        yield stage


@contextlib.contextmanager
def app(journal: JournalStage, folder: Path, name: str, uid: str) -> Iterator[dict[str, Served]]:
    """Runs an App with a pod of each row, which answers with the App's name and its pins. Yields the pods."""
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        pods = {}
        for pins in ROWS:
            place = msgspec.structs.replace(APP, app_uid=uid, app=name, pins=pins, pod=f"{name}-{pins}")
            pods[pins] = stack.enter_context(_pod(journal, folder / pins, place))
        journal.table.add_app(msgspec.structs.replace(APP, app_uid=uid, app=name), sessions=Sessions())
        put_placement(journal, uid, pods)
        for pins, each in pods.items():
            knows_row(each, pins)
        yield pods


def knows_row(served: Served, pins: str) -> None:
    eventually("it knows its row", lambda: row_of(served.request("GET", "/v1/verification")) == ROWS[pins])


def _pod(journal: JournalStage, folder: Path, place: Place) -> contextlib.AbstractContextManager[Served]:
    journal.table.add_pod(place.pod, place)
    journal.table.add_app(place, sessions=Sessions())
    flow = a_flow(f"def run(inputs):\n    return [{place.app!r}, {place.pins!r}]\n")
    return pod(folder, flow, journal, token=place.pod, DYNAMIQ_APP_ID=place.app_uid, DYNAMIQ_PINS=place.pins)


def put_placement(journal: JournalStage, uid: str, pods: dict[str, Served], closed: tuple[str, ...] = (), live: str = B) -> None:
    """Places the rows as the operator does."""
    rows = {pins: {"sequence": ROWS[pins], "service": f"127.0.0.1:{each.port}"} for pins, each in pods.items()}
    body = {"live": live, "rows": rows, "closed": list(closed), "taken": None}
    answer = journal.call("PUT", f"/v1/apps/{uid}/sessions-placement", OPERATOR, json=body)
    assert answer.status_code == 200, answer.text


def turn(served: Served, session: str) -> Answer:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "X-Dynamiq-Session-Id": session}
    return served.request("POST", "/", json.dumps({"input": {}}).encode(), headers)


def row_of(answer: Answer) -> int:
    return int(answer.headers["X-Dynamiq-Row"] or 0)


def test_first_turns_at_once_on_two_versions_are_answered_by_one(journal: JournalStage, tmp_path: Path) -> None:
    begun = set[str]()
    with app(journal, tmp_path / "app", "chat", APP.app_uid) as pods, ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(TIMES):
            order = [(A, B)[each % 2] for each in range(number, number + AT_ONCE)]
            answers = list(pool.map(lambda pins, session=f"s-{number}": turn(pods[pins], session), order))
            assert {each.status for each in answers} == {200}
            answered = {(each.body["result"][1], row_of(each)) for each in answers}
            assert len(answered) == 1, answered
            ((pins, row),) = answered
            assert row == ROWS[pins]
            begun.add(pins)
    assert begun == {A, B}, "each version was first at times"


def test_two_apps_with_equal_pins_and_equal_conversations_never_answer_for_each_other(journal: JournalStage, tmp_path: Path) -> None:
    with app(journal, tmp_path / "one", "chat", APP.app_uid) as ones, app(journal, tmp_path / "two", "shop", OTHER_APP) as others:
        for number in range(4):
            first = (A, B)[number % 2]
            other = (B, A)[number % 2]
            turn(ones[first], f"s-{number}"), turn(others[other], f"s-{number}")
            for entry in (A, B):
                assert turn(ones[entry], f"s-{number}").body["result"] == ["chat", first]
                assert turn(others[entry], f"s-{number}").body["result"] == ["shop", other]


def test_a_service_that_leads_to_a_pod_of_another_app_gets_no_turn_executed(journal: JournalStage, tmp_path: Path) -> None:
    """An address may have a new pod, of equal pins."""
    with app(journal, tmp_path / "one", "chat", APP.app_uid) as ones, app(journal, tmp_path / "two", "shop", OTHER_APP) as others:
        turn(ones[A], "s")
        put_placement(journal, APP.app_uid, {A: others[A], B: ones[B]})
        answer = eventually("it is misdirected", lambda: each if (each := turn(ones[B], "s")).status == 503 else None)
        assert answer.body["error"]["code"] == "session_unreachable"
        assert others[A].activity["runs"]["succeeded"] == 0


def test_a_rejected_version_answers_no_turn_any_more(journal: JournalStage, tmp_path: Path) -> None:
    with app(journal, tmp_path / "app", "chat", APP.app_uid) as pods:
        assert [turn(each, "s").body["result"][1] for each in (pods[A], pods[B], pods[A])] == [A, A, A]
        put_placement(journal, APP.app_uid, pods, closed=(A,))
        eventually("it is at the live one", lambda: [turn(each, "s").body["result"][1] for each in (pods[A], pods[B])] == [B, B])
        answer = turn(pods[A], "new")
        assert (answer.body["result"][1], row_of(answer)) == (B, ROWS[B])
