"""Before the operator pins a row it reads what the flows read, and asks the recorder who sends that. Neither holds a row up for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dynamiq_operator.controller.background import shapes as reader
from dynamiq_operator.controller.background.shapes import ShapesReader
from dynamiq_operator.desired.base import CONFIG_MAP, SECRET, child
from dynamiq_operator.desired.flow import FLOW_KEY
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.kube.resources import APPS, BY_KIND, ROWS, RUNTIMES, SECRETS, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.breaking import FORM
from dynamiq_operator.model.contract import Contract
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.model.shapes import Shapes
from dynamiq_operator.plan.observed.contracts import ObservedContracts
from tests.support import factories as given
from tests.support.controller import Process, at, stored
from tests.support.scripted import Script, failure, listed
from tests.unit.support.answering import Answer, never, saying, served

KEY = (given.NAMESPACE, given.NAME)
APP = given.an_app().meta.uid
ASKS = given.flow("v2").replace("return 'v2'", "return input_data.get('question')")
READS = Contract(reads=("question",))
CALLER = {"key": "web", "trigger": None, "runs": 10, "others": 0, "fields": {"question": {"string": 9}}}
SAID: dict[str, Any] = {"data": {"enabled": True, "days": 7, "recorded": 10, "runs": 10, "callers": [CALLER]}}


class Recorder:
    """A server in place of the recorder. `asked`: path and query of each request."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answer: Answer = saying(SAID)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, request.query_string))
        return await self.answer()


@pytest.fixture
def script() -> Script:
    secret = child(given.an_app(), SECRET, names.access_keys(given.NAME))
    asks = given.stored(given.version_manifest("v2", given.with_spec(flow=ASKS)))
    return (
        Script()
        .on("GET", f"/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/{names.AUTHOR_POLICY}", failure(404, "NotFound"))
        .on("GET", ROWS.path(given.NAMESPACE), listed())
        .on("GET", at(SECRETS, names.access_keys(given.NAME)), stored(secret, 40))
        .on("GET", at(VERSIONS, names.workflow_version(given.NAME, "v2")), asks)
        .on("GET", at(VERSIONS, names.workflow_version(given.NAME, "v1")), given.stored(given.version_manifest("v1")))
    )


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def process(client: Client, script: Script, recorder: Recorder, tmp_path: Path) -> AsyncIterator[Process]:
    """Provides an operator that sees App chat with v1 live, and a new row for v2, which reads a new field."""
    token = tmp_path / "token"
    token.write_text("of-the-operator")
    async with served(recorder.handle) as port:
        url = f"http://127.0.0.1:{port}"
        made = Process(client, script, settings=Settings(recorder=url), recorder=RecorderAccess(url, token))
        async with made.activity, made.shapes:
            for resource, seen in (
                (APPS, given.app_manifest()),
                (RUNTIMES, given.runtime_manifest()),
                (VERSIONS, given.version_manifest("v1")),
                (VERSIONS, given.version_manifest("v2", given.with_spec(flow=ASKS))),
                (ROWS, given.row_manifest("a", given.live(1))),
                (ROWS, new_row()),
            ):
                made.informers.on_watch_event(resource, "ADDED", given.stored(seen))
            yield made


@pytest.fixture
async def shapes(recorder: Recorder, tmp_path: Path) -> AsyncIterator[ShapesReader]:
    token = tmp_path / "token"
    token.write_text("of-the-operator")
    async with served(recorder.handle) as port, ShapesReader(lambda _: None, RecorderAccess(f"http://127.0.0.1:{port}", token)) as made:
        yield made


def new_row(**spec: Any) -> Manifest:
    return given.row_manifest("b", given.asking(workflowVersion="v2", **spec))


async def observed(process: Process) -> ObservedContracts:
    return (await process.observer.observe(KEY)).contracts


async def test_the_flows_are_read_and_the_recorder_is_asked_before_a_row_is_pinned(process: Process, recorder: Recorder) -> None:
    found = await observed(process)
    assert found.by_hash[flow_hash(ASKS)] == READS
    assert set(found.by_hash) == {flow_hash(ASKS), given.flow_hash("v1")}
    assert isinstance(found.shapes, Shapes)
    assert (found.shapes.runs, found.problem) == (10, "")
    assert recorder.asked == [(f"/v1/apps/{APP}/shapes", "days=7&field=question")]


async def test_flows_are_read_once(process: Process, script: Script) -> None:
    await observed(process)
    before = [sent.path for sent in script.sent if "workflowversions" in sent.path]
    await observed(process)
    assert [sent.path for sent in script.sent if "workflowversions" in sent.path] == before


async def test_without_a_new_row_nothing_is_read(process: Process, script: Script, recorder: Recorder) -> None:
    process.informers.on_watch_event(ROWS, "DELETED", given.stored(new_row()))
    assert await observed(process) == ObservedContracts()
    assert (recorder.asked, [sent for sent in script.sent if "workflowversions" in sent.path]) == ([], [])


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (saying({"data": {}}), "what the recorder says cannot be read"),
        (saying({}, status=503), "the recorder answers with status 503"),
        (saying({}, status=404), "the recorder answers with status 404"),
    ],
)
async def test_without_an_answer_callers_are_unknown(process: Process, recorder: Recorder, answer: Answer, why: str) -> None:
    recorder.answer = answer
    found = await observed(process)
    assert (found.shapes, found.problem, len(found.by_hash)) == (None, why, 2)


async def test_a_recorder_that_is_away_is_not_waited_for_again(
    process: Process, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "WITHIN", 0.05)
    recorder.answer = never
    assert (await observed(process)).problem == "the recorder takes longer than 0.05 s"
    recorder.answer = saying(SAID)
    assert (await observed(process)).problem == "the recorder takes longer than 0.05 s"
    assert len(recorder.asked) == 1
    process.clock.later(reader.AWAY_FOR)
    assert (await observed(process)).problem == ""


async def test_an_app_whose_shapes_take_long_holds_up_no_other_namespace(
    shapes: ShapesReader, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that wait for its answers give up with it, and ask nothing."""
    monkeypatch.setattr(reader, "WITHIN", 0.05)
    recorder.answer = never
    told = await asyncio.gather(*(shapes.read(("slow", f"app{number}"), "uid", []) for number in range(reader.OF_NAMESPACE + 2)))
    assert told == ["the recorder takes longer than 0.05 s"] * (reader.OF_NAMESPACE + 2)
    assert len(recorder.asked) <= reader.OF_NAMESPACE

    monkeypatch.setattr(reader, "WITHIN", 30)
    recorder.answer = saying(SAID)
    assert isinstance(await shapes.read(("quick", "app"), "uid", []), Shapes)
    assert await shapes.read(("slow", "app0"), "uid", []) == "the recorder takes longer than 0.05 s"


async def test_a_recorder_that_refuses_the_operator_is_asked_for_no_namespace(shapes: ShapesReader, recorder: Recorder) -> None:
    recorder.answer = saying({}, status=403)
    for namespace in ("one", "two"):
        assert await shapes.read((namespace, "app"), "uid", []) == "the recorder answers with status 403"
    assert len(recorder.asked) == 1


async def test_a_rollback_asks_no_recorder(process: Process, recorder: Recorder) -> None:
    process.informers.on_watch_event(ROWS, "DELETED", given.stored(new_row()))
    back = given.row_manifest("back", given.asking(restores="a"))
    process.informers.on_watch_event(ROWS, "ADDED", given.stored(back))
    assert set((await observed(process)).by_hash) == {given.flow_hash("v1")}
    assert recorder.asked == []


@pytest.mark.parametrize(("form", "reads"), [(FORM, ("message",)), (FORM - 1, ())], ids=["this analysis", "another analysis"])
async def test_a_contract_that_a_row_pinned_is_not_read_again(process: Process, form: int, reads: tuple[str, ...]) -> None:
    contract = {"reads": ["message"], "needs": [], "defaults": [], "declares": [], "untold": [], "form": form, "breaks": []}
    process.informers.on_watch_event(ROWS, "MODIFIED", stored(given.row_manifest("a", given.live(1, contract=contract)), 41))
    assert (await observed(process)).by_hash[given.flow_hash("v1")].reads == reads


async def test_a_flow_in_a_config_map_alone_is_read_there(process: Process, script: Script) -> None:
    process.informers.on_watch_event(VERSIONS, "DELETED", given.stored(given.version_manifest("v1")))
    kept = child(given.an_app(), CONFIG_MAP, names.flow(given.NAME, given.flow_hash("v1")))
    kept |= {"data": {FLOW_KEY: given.flow("v1")}, "immutable": True}
    process.informers.on_watch_event(BY_KIND[CONFIG_MAP.kind], "ADDED", stored(kept, 41))
    script.on("GET", at(BY_KIND[CONFIG_MAP.kind], kept["metadata"]["name"]), stored(kept, 41))
    assert given.flow_hash("v1") in (await observed(process)).by_hash


async def test_a_flow_that_may_not_be_read_is_unknown(process: Process, script: Script) -> None:
    script.on("GET", at(VERSIONS, names.workflow_version(given.NAME, "v2")), failure(403, "Forbidden"))
    assert set((await observed(process)).by_hash) == {given.flow_hash("v1")}
