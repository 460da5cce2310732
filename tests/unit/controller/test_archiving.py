"""Sending rows to the archive: they are sent with their flows, and count as archived only if the answer has their digests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dynamiq_operator.controller.background import archiving
from dynamiq_operator.controller.background.archiving import ACKNOWLEDGED_FOR, AWAY_FOR, PAUSES, KeptArchive
from dynamiq_operator.controller.background.recorder_reader import NO_ACCESS
from dynamiq_operator.desired.base import CONFIG_MAP, SECRET, child
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.kube.resources import APPS, BY_KIND, ROWS, SECRETS, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.observed.archive import ArchiveAnswers
from dynamiq_operator.plan.rows.retention import Handover
from tests.support import factories as given
from tests.support.controller import Process, at, stored
from tests.support.scripted import Script, failure, listed
from tests.unit.support.answering import served

KEY = (given.NAMESPACE, given.NAME)
APP = given.app_manifest(given.with_spec(history={"limit": 10, "archive": True}))
OWNERS = [{"apiVersion": "dynamiq.getdynamiq.ai/v1alpha1", "kind": "App", "name": given.NAME, "uid": given.an_app().meta.uid}]
TOKEN = "of-the-operator"
Body = dict[str, Any]


def history(count: int) -> list[Manifest]:
    """Returns rows as they are stored; the last one is live."""
    made = [
        given.row_manifest(
            f"r{number:02d}",
            (given.live if number == count else given.superseded)(number, f"v{1 + number % 2}"),
            given.with_meta(ownerReferences=OWNERS),
        )
        for number in range(1, count + 1)
    ]
    return [given.stored(row) for row in made]


ALL_ROWS = history(13)
UIDS = [row["metadata"]["uid"] for row in ALL_ROWS]
SINCE = "2020-01-01T12:00:00.000001Z"
STORED = datetime(2020, 1, 1, 12, 0, 0, 1, UTC)


def has(*uids: str, problem: str = "") -> ArchiveAnswers:
    """Returns an archive that stored and acknowledged these rows."""
    return ArchiveAnswers(frozenset(uids), dict.fromkeys(uids, STORED), problem)


def acknowledged(rows: list[Body], **changes: Any) -> list[Body]:
    """Returns a recorder's acknowledgement of rows."""
    return [
        {
            "uid": row["metadata"]["uid"],
            "digest": row["spec"]["pinned"]["digest"],
            "outcome_digest": row["spec"]["outcome"]["digest"],
            "archived_at": SINCE,
            **changes,
        }
        for row in rows
    ]


class Recorder:
    """A server in place of the recorder. `bodies`: of its requests. `keys`: since when it has each row, by uid."""

    def __init__(self) -> None:
        self.bodies: list[Body] = []
        self.keys: dict[str, str] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.answer: Callable[[Body], Any] = lambda body: {"data": {"archived": acknowledged(body["rows"]), "refused": []}}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path, request.headers.get("Authorization", "")))
        if request.method == "GET":
            return web.json_response({"data": [{"uid": uid, "archived_at": since} for uid, since in self.keys.items()]})
        body = await request.json()
        self.bodies.append(body)
        reply = self.answer(body)
        return reply if isinstance(reply, web.StreamResponse) else web.json_response(reply)


@pytest.fixture
def script() -> Script:
    chat = given.an_app()
    made = Script().on("GET", at(SECRETS, names.access_keys(given.NAME)), stored(child(chat, SECRET, names.access_keys(given.NAME)), 40))
    made.on("GET", ROWS.path(given.NAMESPACE), listed(*ALL_ROWS))
    for row in ALL_ROWS:
        made.on("GET", at(ROWS, row["metadata"]["name"]), row)
    for version in ("v1", "v2"):
        for app in (given.NAME, "other"):
            flow = names.flow(app, given.flow_hash(version))
            manifest = child(chat, CONFIG_MAP, flow) | {"data": {"flow": given.flow(version)}, "immutable": True}
            made.on("GET", at(BY_KIND[CONFIG_MAP.kind], flow), stored(manifest, 41))
    return made


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def process(client: Client, script: Script, recorder: Recorder, tmp_path: Path) -> AsyncIterator[Process]:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    async with served(recorder.handle) as port:
        url = f"http://127.0.0.1:{port}"
        made = Process(client, script, settings=Settings(recorder=url), recorder=RecorderAccess(url, tmp_path / "token"))
        async with made.activity, made.archive:
            made.informers.on_watch_event(APPS, "ADDED", given.stored(APP))
            made.informers.on_watch_event(ROWS, "ADDED", ALL_ROWS[-1])
            made.queue.done(await made.queue.get())
            yield made


async def observed(process: Process) -> ArchiveAnswers:
    """Returns the archive's state after a background hand-over has ended."""
    first = await process.observer.observe(KEY)
    assert first.archive.acknowledged == frozenset()
    async with asyncio.timeout(240):
        assert await process.queue.get() == KEY
    process.queue.done(KEY)
    return (await process.observer.observe(KEY)).archive


async def test_the_oldest_rows_beyond_the_limit_are_sent_with_their_flows(process: Process, recorder: Recorder) -> None:
    assert await observed(process) == has(*UIDS[:3])
    path, bearer = f"/v1/apps/{OWNERS[0]['uid']}/archive", f"Bearer {TOKEN}"
    assert recorder.asked == [("GET", f"{path}/keys", bearer), ("POST", path, bearer)]
    (body,) = recorder.bodies
    assert body["rows"] == ALL_ROWS[:3]
    assert body["flows"] == {given.flow_hash(version): given.flow(version) for version in ("v1", "v2")}
    await process.observer.observe(KEY)
    assert len(recorder.bodies) == 1, "what was acknowledged is not sent again"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            lambda body: {"data": {"archived": acknowledged(body["rows"], digest="sha256:other"), "refused": []}},
            "not acknowledged by its digests",
        ),
        (
            lambda body: {"data": {"archived": acknowledged(body["rows"], outcome_digest="x"), "refused": []}},
            "not acknowledged by its digests",
        ),
        (lambda body: {"data": {"archived": acknowledged(body["rows"], uid="another"), "refused": []}}, "not acknowledged by its digests"),
        (lambda _: {"data": {"archived": [], "refused": []}}, "not acknowledged by its digests"),
        (lambda _: {"data": {"archived": []}}, "cannot be read"),
        (lambda _: {}, "cannot be read"),
        (
            lambda body: {"data": {"archived": acknowledged(body["rows"], archived_at="2026-11-24T12:00:00"), "refused": []}},
            "cannot be read",
        ),
        (lambda _: web.Response(text="no"), "cannot be read"),
        (lambda _: web.Response(text="x" * 300_000), "cannot be read"),
        (lambda _: web.Response(status=503), "status 503"),
        (lambda _: web.Response(status=302, headers={"Location": "/elsewhere"}), "status 302"),
    ],
)
async def test_rows_without_an_acknowledged_digest_are_not_archived(
    process: Process, recorder: Recorder, answer: Callable[[Body], Any], why: str
) -> None:
    recorder.answer = answer
    found = await observed(process)
    assert found.acknowledged == frozenset()
    assert why in found.problem


async def test_a_row_that_is_refused_is_named_and_those_beside_it_are_archived(process: Process, recorder: Recorder) -> None:
    def answer(body: Body) -> Any:
        says = "its content does not\nhave its digests"
        return {"data": {"archived": acknowledged(body["rows"][:1] + body["rows"][2:]), "refused": [{"uid": UIDS[1], "says": says}]}}

    recorder.answer = answer
    assert await observed(process) == has(UIDS[0], UIDS[2], problem="row r02 is refused: its content does not have its digests")


async def test_it_is_tried_again_after_a_while_and_not_before(process: Process, recorder: Recorder) -> None:
    good, recorder.answer = recorder.answer, lambda _: web.Response(status=503)
    assert (await observed(process)).problem
    recorder.answer = good
    await process.observer.observe(KEY)
    assert process.states.of(KEY).archive.task is None
    process.clock.later(PAUSES.first + 1)
    assert (await observed(process)).acknowledged == set(UIDS[:3])


async def test_an_acknowledgement_of_long_ago_counts_for_nothing(process: Process, recorder: Recorder) -> None:
    """When the row may be deleted, the recorder's store may be that of an older backup."""
    assert (await observed(process)).acknowledged == set(UIDS[:3])
    process.clock.later(ACKNOWLEDGED_FOR - 1)
    assert (await process.observer.observe(KEY)).archive.acknowledged == set(UIDS[:3])
    assert len(recorder.bodies) == 1

    process.clock.later(2)
    assert (await observed(process)).acknowledged == set(UIDS[:3])
    assert [row["metadata"]["uid"] for row in recorder.bodies[-1]["rows"]] == UIDS[:3]
    assert len(recorder.bodies) == 2


async def test_archived_rows_are_sent_again_after_their_rest(process: Process, recorder: Recorder) -> None:
    """A new leader asks for each App once, and reads no row for it."""
    recorder.keys = dict.fromkeys(UIDS[:3], f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}Z")
    found = await observed(process)
    assert (found.acknowledged, set(found.stored), recorder.bodies) == (frozenset(), set(UIDS[:3]), [])
    await process.observer.observe(KEY)
    assert process.states.of(KEY).archive.task is None

    process.states.of(KEY).archive = KeptArchive()
    recorder.keys = dict.fromkeys(UIDS[:2], SINCE)
    assert (await observed(process)).acknowledged == {UIDS[2]}
    async with asyncio.timeout(240):
        assert await process.queue.get() == KEY
    assert [[row["metadata"]["uid"] for row in body["rows"]] for body in recorder.bodies] == [UIDS[2:3], UIDS[:2]]
    assert (await process.observer.observe(KEY)).archive == has(*UIDS[:3])


async def test_an_older_recorder_without_times_of_archiving_is_understood(process: Process, recorder: Recorder) -> None:
    recorder.answer = lambda body: {
        "data": {
            "archived": [{name: each[name] for name in each if name != "archived_at"} for each in acknowledged(body["rows"])],
            "refused": [],
        }
    }
    assert (await observed(process)).stored == dict.fromkeys(UIDS[:3])


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_while_the_recorder_is_away_the_rows_of_other_apps_are_not_read_for_it(
    process: Process, script: Script, recorder: Recorder, status: int
) -> None:
    """Thousands of Apps may wait for the recorder, and each would read a hundred objects in vain."""
    good, recorder.answer = recorder.answer, lambda _: web.Response(status=status)
    assert f"status {status}" in (await observed(process)).problem
    ledger, other = (await process.observer.observe(KEY)).ledger, KeptArchive()
    script.sent.clear()
    recorder.answer = good

    async def send() -> None:
        process.archive.schedule((given.NAMESPACE, "other"), "uid-of-other", other, Handover(ledger.in_order[:1], ledger.in_order[:1]))
        async with asyncio.timeout(240):
            process.queue.done(await process.queue.get())

    await send()
    assert (script.sent, len(recorder.bodies)) == ([], 1)
    assert f"status {status}" in other.answers.problem
    process.clock.later(max(AWAY_FOR, PAUSES.first) + 1)
    await send()
    assert other.answers == has(*UIDS[:1])


async def test_an_app_that_the_recorder_does_not_know_yet_keeps_no_other_from_it(process: Process, recorder: Recorder) -> None:
    good, recorder.answer = recorder.answer, lambda _: web.Response(status=404)
    assert "status 404" in (await observed(process)).problem
    ledger, other = (await process.observer.observe(KEY)).ledger, KeptArchive()
    recorder.answer = good
    process.archive.schedule((given.NAMESPACE, "other"), "uid-of-other", other, Handover(ledger.in_order[:1], ledger.in_order[:1]))
    async with asyncio.timeout(240):
        await process.queue.get()
    assert other.answers == has(*UIDS[:1])


async def test_a_flow_is_taken_from_its_version_where_no_config_map_has_it(process: Process, script: Script, recorder: Recorder) -> None:
    lost = names.flow(given.NAME, given.flow_hash("v2"))
    script.on("GET", at(BY_KIND[CONFIG_MAP.kind], lost), failure(404, "NotFound"))
    script.on("GET", at(VERSIONS, f"{given.NAME}-v2"), stored(given.version_manifest("v2"), 42))
    assert (await observed(process)).problem == ""
    assert recorder.bodies[0]["flows"][given.flow_hash("v2")] == given.flow("v2")


async def test_a_missing_flow_is_sent_as_absent_and_an_unreadable_one_keeps_its_row(
    process: Process, script: Script, recorder: Recorder
) -> None:
    lost, version = at(BY_KIND[CONFIG_MAP.kind], names.flow(given.NAME, given.flow_hash("v2"))), at(VERSIONS, f"{given.NAME}-v2")
    script.on("GET", lost, failure(404, "NotFound"))
    script.on("GET", version, failure(403, "Forbidden"))
    found = await observed(process)
    assert (found.acknowledged, recorder.bodies) == (frozenset(), [])
    assert "cannot be read" in found.problem

    script.on("GET", version, failure(404, "NotFound"))
    process.clock.later(PAUSES.first + 1)
    assert (await observed(process)).problem == ""
    assert recorder.bodies[0]["flows"][given.flow_hash("v2")] is None


async def test_no_request_is_longer_than_a_recorder_takes(process: Process, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "BYTES_MOST", len(json.dumps(ALL_ROWS[0])))
    assert await observed(process) == has(*UIDS[:3])
    assert [len(body["rows"]) for body in recorder.bodies] == [1, 1, 1]
    assert all(row["spec"]["pinned"]["workflowHash"] in body["flows"] for body in recorder.bodies for row in body["rows"])


@pytest.mark.parametrize("is_there", [True, False])
async def test_each_request_has_the_flows_of_its_own_rows(
    process: Process, script: Script, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    """It is so even if earlier rows named the same flow, and if it is missing: the archive is searched for missing flows."""
    monkeypatch.setattr(archiving, "BYTES_MOST", len(json.dumps(ALL_ROWS[0])))
    same = given.row_manifest("r02", given.superseded(2, "v2"), given.with_meta(ownerReferences=OWNERS))
    script.on("GET", at(ROWS, "r02"), given.stored(same))
    if not is_there:
        script.on("GET", at(BY_KIND[CONFIG_MAP.kind], names.flow(given.NAME, given.flow_hash("v2"))), failure(404, "NotFound"))
        script.on("GET", at(VERSIONS, f"{given.NAME}-v2"), failure(404, "NotFound"))
    assert (await observed(process)).problem == ""
    expected = {given.flow_hash("v2"): given.flow("v2") if is_there else None}
    assert [body["flows"] for body in recorder.bodies] == [expected] * 3


async def test_a_request_is_measured_as_it_is_sent(
    process: Process, script: Script, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON writes a control character as six letters."""
    most = 200_000
    monkeypatch.setattr(archiving, "BYTES_MOST", most)
    for number, row in enumerate(ALL_ROWS[:3], 1):
        text = f"{number}" + "\x01" * 20_000
        spec = {**row["spec"], "pinned": {**row["spec"]["pinned"], "workflowHash": flow_hash(text)}}
        script.on("GET", at(ROWS, row["metadata"]["name"]), {**row, "spec": spec})
        name = names.flow(given.NAME, flow_hash(text))
        made = child(given.an_app(), CONFIG_MAP, name) | {"data": {"flow": text}, "immutable": True}
        script.on("GET", at(BY_KIND[CONFIG_MAP.kind], name), stored(made, 41))
    assert (await observed(process)).problem == ""
    assert [len(body["rows"]) for body in recorder.bodies] == [1, 1, 1]
    assert all(len(json.dumps(body)) < most for body in recorder.bodies)


async def test_without_a_token_nothing_is_sent_and_the_app_reports_the_cause(client: Client, script: Script, recorder: Recorder) -> None:
    process = Process(client, script, settings=Settings(recorder="http://recorder.test"))
    process.informers.on_watch_event(APPS, "ADDED", given.stored(APP))
    process.informers.on_watch_event(ROWS, "ADDED", ALL_ROWS[-1])
    await process.observer.observe(KEY)
    assert (await process.observer.observe(KEY)).archive == ArchiveAnswers(problem=NO_ACCESS)
    assert recorder.bodies == []


async def test_an_app_without_an_archive_sends_nothing(process: Process, script: Script, recorder: Recorder) -> None:
    plain = given.stored(given.app_manifest(given.with_spec(history={"limit": 10})))
    process.informers.on_watch_event(APPS, "MODIFIED", plain)
    await process.observer.observe(KEY)
    await process.observer.observe(KEY)
    assert recorder.bodies == []


# Restored rows.

GONE = given.stored(given.row_manifest("gone", given.superseded(1, "v9"), given.with_meta(ownerReferences=OWNERS)))
BACK = given.stored(given.row_manifest("back", given.asking(restores="gone")))


@pytest.fixture
def reads(recorder: Recorder, script: Script, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Returns the recorder's answers to GET requests, by the end of their path; others get 404. The cluster has nothing of row `gone`."""
    answers: dict[str, Any] = {"rows/gone": GONE, f"flows/{given.flow_hash('v9')}": {"flow": given.flow("v9")}}
    post = recorder.handle

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.method != "GET":
            return await post(request)
        if request.path.endswith("/keys"):
            return await post(request)
        recorder.asked.append((request.method, request.path, request.headers.get("Authorization", "")))
        found = answers.get(request.path.partition("/archive/")[2], web.Response(status=404))
        return found if isinstance(found, web.StreamResponse) else web.json_response({"data": found})

    monkeypatch.setattr(recorder, "handle", handle)
    script.on("GET", at(ROWS, "gone"), failure(404, "NotFound"))
    script.on("GET", f"/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/{names.AUTHOR_POLICY}", failure(404, "NotFound"))
    return answers


def read(recorder: Recorder) -> list[str]:
    """Returns the paths of rows and flows that were requested."""
    return [path for method, path, _ in recorder.asked if method == "GET" and not path.endswith("/keys")]


async def test_the_row_that_a_rollback_restores_is_read_from_the_archive_with_its_flow(
    reads: dict[str, Any], process: Process, recorder: Recorder
) -> None:
    process.informers.on_watch_event(ROWS, "ADDED", BACK)
    found = await process.observer.observe(KEY)
    assert found.archive.rows["gone"].raw_spec == GONE["spec"]
    assert found.archive.flows == {given.flow_hash("v9"): given.flow("v9")}
    assert {row.name for row in found.rows.observed} == {"back", "r13"}, "it is no row of the cluster"
    paths = read(recorder)
    await process.observer.observe(KEY)
    assert read(recorder) == paths, "it is read once"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (web.Response(status=503), "status 503"),
        ({**GONE, "spec": {**GONE["spec"], "message": "another"}}, "does not have its digests"),
        ({**GONE, "metadata": {**GONE["metadata"], "name": "another"}}, "does not have its digests"),
        ({"spec": 7}, "cannot be read"),
        ({}, "cannot be read"),
    ],
    ids=["away", "changed", "another", "no spec", "nothing"],
)
async def test_a_row_waits_while_what_it_restores_cannot_be_read(reads: dict[str, Any], process: Process, answer: Any, why: str) -> None:
    reads["rows/gone"] = answer
    process.informers.on_watch_event(ROWS, "ADDED", BACK)
    found = await process.observer.observe(KEY)
    assert found.archive.rows == {}
    assert why in found.sources.unknown[ROWS.kind, "back"]


async def test_a_row_waits_while_the_flow_of_what_it_restores_cannot_be_read(reads: dict[str, Any], process: Process) -> None:
    """Otherwise the flow would count as missing, and the row would fail."""
    reads[f"flows/{given.flow_hash('v9')}"] = web.Response(status=503)
    process.informers.on_watch_event(ROWS, "ADDED", BACK)
    found = await process.observer.observe(KEY)
    assert (list(found.archive.rows), found.archive.flows) == (["gone"], {})
    assert "status 503" in found.sources.unknown[ROWS.kind, "back"]


async def test_while_the_recorder_is_away_no_row_that_waits_asks_it_again_and_what_was_read_stays(
    reads: dict[str, Any], process: Process, script: Script, recorder: Recorder
) -> None:
    """A reconcile waits for each answer, up to 5 s: one tenant's rows would keep the workers from others."""
    process.informers.on_watch_event(ROWS, "ADDED", BACK)
    assert "gone" in (await process.observer.observe(KEY)).archive.rows
    reads["rows/another"] = web.Response(status=503)
    script.on("GET", at(ROWS, "another"), failure(404, "NotFound"))
    more = given.stored(given.row_manifest("more", given.asking(restores="another")))
    process.informers.on_watch_event(ROWS, "ADDED", more)
    before = len(read(recorder))
    for _ in range(3):
        found = await process.observer.observe(KEY)
        assert "status 503" in found.sources.unknown[ROWS.kind, "more"]
        assert (ROWS.kind, "back") not in found.sources.unknown, "what it restores has been read"
        assert ("gone" in found.archive.rows, given.flow_hash("v9") in found.archive.flows) == (True, True)
    assert len(read(recorder)) == before + 1
    reads["rows/another"] = {**GONE, "metadata": {**GONE["metadata"], "name": "another"}}
    process.clock.later(AWAY_FOR + 1)
    assert "another" in (await process.observer.observe(KEY)).archive.rows


async def test_a_flow_of_another_hash_is_none(reads: dict[str, Any], process: Process) -> None:
    reads[f"flows/{given.flow_hash('v9')}"] = {"flow": given.flow("v8")}
    process.informers.on_watch_event(ROWS, "ADDED", BACK)
    assert (await process.observer.observe(KEY)).archive.flows == {}
