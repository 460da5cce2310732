"""Each ended run reaches the recorder once, however long that is away; what it refuses for good is dropped, and said."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dynamiq_operator.model.runs import RECORDER_AUDIENCE
from dynamiq_operator.serving.limits import RUNS_MAX
from dynamiq_recorder.journal import listening, outbox
from dynamiq_recorder.journal.http import pod_routes
from dynamiq_recorder.journal.outbox import Recorder
from dynamiq_recorder.journal.reading import Record
from dynamiq_recorder.journal.store import opened
from tests.support import postgres, recorder_stage
from tests.support.journal import APP, OTHER_POD, POD, JournalStage, a_run
from tests.support.otlp_runs import a_run as a_recorded_run
from tests.support.otlp_runs import request, run_id_of
from tests.support.recorder_stage import RecorderStage
from tests.support.scripted import HttpServer, Reply, Sent
from tests.support.waiting import eventually

JOURNAL_USER = "system:serviceaccount:dynamiq-journal:dynamiq-journal"
NEWER = "newer-pod-token"


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the outbox try often."""
    monkeypatch.setattr(outbox, "EVERY", 0.02)
    monkeypatch.setattr(outbox, "WAITS", (0.02,))


class Receiver:
    """A recorder that keeps what it gets, and answers with `status`. `poison`: the id of a run for which it answers 400."""

    def __init__(self) -> None:
        self.status, self.poison = 200, ""
        self.posts: list[tuple[str, str, str, list[str]]] = []
        """Status, App, pins, and the ids of the runs, of each request."""
        self.tokens: set[str] = set()

    def answer(self, sent: Sent) -> Reply:
        body = json.loads(gzip.decompress(sent.raw))
        ids = [run_id_of({"spans": group["scopeSpans"][0]["spans"]}) for group in body["resourceSpans"]]
        status = 400 if self.poison in ids else self.status
        headers = {name.lower(): value for name, value in sent.headers.items()}
        self.tokens.add(headers["authorization"])
        self.posts.append((str(status), headers["x-dynamiq-app-id"], headers["x-dynamiq-pins"], ids))
        return Reply(status, {"partialSuccess": {}}, cut=status == 0)

    @property
    def taken(self) -> list[str]:
        return [run_id for status, _, _, ids in self.posts if status == "200" for run_id in ids]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def journal(receiver: Receiver, tmp_path: Path) -> Iterator[JournalStage]:
    (tmp_path / "token").write_text("of-the-journal\n")
    with HttpServer(receiver.answer) as server, JournalStage(tmp_path, recorder=Recorder(server.url, tmp_path / "token")) as stage:
        yield stage


def record(run: dict[str, Any], **more: Any) -> str:
    return base64.b64encode(zlib.compress(json.dumps(request(run, **more)).encode())).decode()


def ended(journal: JournalStage, token: str = POD, text: str | None = None, **fields: Any) -> str:
    """Accepts and ends a run with its record. Returns its id."""
    uid = journal.table.pods_by_uid[str(dict(journal.table.users[token].extra)["authentication.kubernetes.io/pod-uid"][0])].app_uid
    body = a_run(claim=True, **fields)
    assert journal.call("POST", f"/v1/apps/{uid}/runs", token, json=body).status_code == 201
    end = {"status": "completed", "reason": "succeeded", "record": text or record(a_recorded_run(body["id"]))}
    answer = journal.call(
        "POST", f"/v1/apps/{uid}/saves", token, json={"instance": "i", "saves": [{"id": body["id"], "fence": 1, "number": 1, "end": end}]}
    )
    assert answer.json()["data"][0]["ok"], answer.text
    return str(body["id"])


def all_sent(journal: JournalStage) -> None:
    eventually("nothing waits for the recorder", lambda: journal.store is not None and journal.store.unrecorded() == ())


def test_runs_are_sent_for_their_app_and_pins_in_the_order_of_their_ends(journal: JournalStage, receiver: Receiver) -> None:
    journal.table.add_pod(NEWER, msgspec.structs.replace(APP, pins="9999999999999999"))
    receiver.status = 503
    ids = [ended(journal) for _ in range(3)]
    newer, other = ended(journal, NEWER), ended(journal, OTHER_POD)
    receiver.status = 200
    all_sent(journal)
    by_place = {(app, pins): [] for _, app, pins, _ in receiver.posts}  # type: ignore[var-annotated]
    for status, app, pins, sent in receiver.posts:
        by_place[app, pins] += sent if status == "200" else []
    assert by_place[APP.app_uid, APP.pins] == ids
    assert by_place[APP.app_uid, "9999999999999999"] == [newer]
    assert sorted(receiver.taken) == sorted([*ids, newer, other])
    assert receiver.tokens == {"Bearer of-the-journal"}


def test_runs_wait_for_a_recorder_that_is_away_also_over_a_restart(journal: JournalStage, receiver: Receiver) -> None:
    receiver.status = 0
    first = ended(journal)
    eventually("it was tried", lambda: receiver.posts)
    journal.stop()
    journal.start()
    second = ended(journal)
    receiver.status = 200
    all_sent(journal)
    assert receiver.taken == [first, second]
    eventually("the metric is 0 again", lambda: journal.metrics()["dynamiq_journal_unrecorded"] == 0)


def test_of_two_replicas_one_sends_each_run_once_and_after_its_end_the_other_one(
    receiver: Receiver, tmp_path: Path, server: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "EVERY", 0.1)
    (tmp_path / "token").write_text("of-the-journal\n")
    address = server.database()
    with HttpServer(receiver.answer) as recorder:
        to = Recorder(recorder.url, tmp_path / "token")
        with JournalStage(tmp_path, store=opened(address), recorder=to) as first:
            with JournalStage(tmp_path, store=opened(address), recorder=to) as second:
                ids = [ended(each) for each in (first, second) * 10]
                all_sent(first)
                assert sorted(receiver.taken) == sorted(ids)
            first_alone = ended(first)
            all_sent(first)
        assert sorted(receiver.taken) == sorted([*ids, first_alone])
        with JournalStage(tmp_path, store=opened(address), recorder=to) as last:
            ids.append(ended(last))
            all_sent(last)
            assert receiver.taken[-1] == ids[-1]


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500])
def test_refusals_that_are_not_about_the_runs_are_tried_again(journal: JournalStage, receiver: Receiver, status: int) -> None:
    receiver.status = status
    run_id = ended(journal)
    eventually("it was tried twice", lambda: len(receiver.posts) > 1)
    receiver.status = 200
    all_sent(journal)
    assert receiver.taken == [run_id]


def test_a_run_that_the_recorder_refuses_is_dropped_and_holds_no_other_up(journal: JournalStage, receiver: Receiver) -> None:
    receiver.status = 503
    before, wrong, after = (ended(journal) for _ in range(3))
    receiver.poison, receiver.status = wrong, 200
    all_sent(journal)
    assert receiver.taken == [before, after]
    assert journal.metrics()["dynamiq_journal_records_refused_total"] == 1


UNREADABLE = (b"no zlib", zlib.compress(b"no JSON"), zlib.compress(bytes(9 << 20)), zlib.compress(b'{"resourceSpans":[]}')[:-4])


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("data", UNREADABLE)
def test_a_record_that_is_not_readable_is_dropped(
    journal: JournalStage, receiver: Receiver, data: bytes, is_old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a record is not stored, or dropped if an older journal has stored it."""
    if is_old:
        monkeypatch.setattr(pod_routes, "is_sendable", lambda _: True)
    ended(journal, text=base64.b64encode(data).decode())
    run_id = ended(journal)
    all_sent(journal)
    assert receiver.taken == [run_id]
    assert journal.metrics()["dynamiq_journal_records_refused_total"] == 1


def test_a_request_has_no_more_than_the_recorder_takes(journal: JournalStage, receiver: Receiver) -> None:
    """Records that compress well would else be refused together, and take all memory of the journal."""
    receiver.status = 503
    for _ in range(8):
        body = request(a_recorded_run(str(uuid.uuid4())))
        body["resourceSpans"][0]["padding"] = "a" * (RUNS_MAX // 4)
        ended(journal, text=base64.b64encode(zlib.compress(json.dumps(body).encode())).decode())
    receiver.status = 200
    all_sent(journal)
    assert len(receiver.taken) == 8
    assert {len(ids) for status, _, _, ids in receiver.posts if status == "200"} == {1, 3}


def test_records_are_unpacked_until_a_request_is_full() -> None:
    largest = zlib.compress(json.dumps({"resourceSpans": [{"padding": "a" * (RUNS_MAX - 50)}]}).encode())
    records = [Record(0, "bomb", zlib.compress(bytes(100 << 20))), *(Record(number, "", largest) for number in range(1, 50))]
    tracemalloc.start()
    fit, wrong, _ = outbox._batch(records)
    assert tracemalloc.get_traced_memory()[1] < 5 * RUNS_MAX
    tracemalloc.stop()
    assert [[each.key for each in chosen] for chosen in (fit, wrong)] == [[1], [0]]


def test_runs_that_no_pod_ends_reach_the_recorder_without_content(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-the-journal")
    (tmp_path / "recorder").mkdir()
    with RecorderStage(tmp_path / "recorder") as stage:
        stage.users["of-the-journal"] = {"username": JOURNAL_USER, "audience": RECORDER_AUDIENCE}
        stage.start(journal=JOURNAL_USER)
        with JournalStage(tmp_path, recorder=Recorder(stage.url, tmp_path / "token")) as journal:
            run_id = journal.accept(user_id="u", session_id="s", trigger="t", tags=["x"])["data"]["id"]
            journal.call("POST", f"runs/{run_id}/cancel")
            all_sent(journal)
        run = stage.get(f"/v1/runs/{run_id}?include=content")
    assert (run["status"], run["reason"], run["source"], run["pins"]) == ("abandoned", "canceled", "runtime", APP.pins)
    assert (run["user_id"], run["session_id"], run["trigger"], run["tags"], run["input"]) == ("u", "s", "t", ["x"], None)


def test_runs_of_a_deleted_app_are_not_tried_for_ever(journal: JournalStage, receiver: Receiver) -> None:
    receiver.status = 403
    ended(journal)
    eventually("it was tried", lambda: receiver.posts)
    del journal.table.apps_by_uid[APP.app_uid]
    all_sent(journal)
    assert receiver.taken == []


def test_the_recorder_has_each_run_once_with_its_pins_version_and_content(tmp_path: Path) -> None:
    """Sends to a real recorder: the same run comes from a journal that forgot that it had sent it, too."""
    (tmp_path / "token").write_text("of-the-journal")
    (tmp_path / "recorder").mkdir()
    with RecorderStage(tmp_path / "recorder") as stage:
        stage.users["of-the-journal"] = {"username": JOURNAL_USER, "audience": RECORDER_AUDIENCE}
        stage.start(journal=JOURNAL_USER)
        with JournalStage(tmp_path, recorder=Recorder(stage.url, tmp_path / "token")) as journal:
            body = a_run(claim=True)
            more: dict[str, Any] = {"dynamiq__workflow__version": "v7", "dynamiq__workflow__hash": "sha256:f7", "dynamiq__pins": "forged"}
            journal.call("POST", "runs", json=body)
            end = {"status": "completed", "reason": "succeeded", "record": record(a_recorded_run(body["id"], content=True), **more)}
            assert journal.save({"id": body["id"], "fence": 1, "number": 1, "end": end})[0]["ok"]
            all_sent(journal)
            run = stage.get(f"/v1/runs/{body['id']}?include=content")
            assert (run["source"], run["pins"], run["workflow_version"], run["input"]) == ("runtime", APP.pins, "v7", {"q": "hi"})
            assert stage.get(f"/v1/apps/{recorder_stage.APP_UID}/recorder")["missing"] == 0
            again = request(a_recorded_run(body["id"], content=True), **more)
            headers = {"X-Dynamiq-App-Id": APP.app_uid, "X-Dynamiq-Pins": APP.pins}
            assert stage.send(again, "of-the-journal", **headers).json() == {"partialSuccess": {}}
            assert stage.get(f"/v1/apps/{APP.app_uid}/metrics")["series"][0]["total"]["runs"] == 1
            assert stage.send(again, "of-the-journal", **{"X-Dynamiq-App-Id": APP.app_uid}).status_code == 403, "pins are missing"
            assert stage.send(again, "of-the-journal", **{**headers, "X-Dynamiq-App-Id": "missing"}).status_code == 403
