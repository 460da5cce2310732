"""Whom a version may break, in the API's previews: the recorder is asked with the caller's token, and has little time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dynamiq_operator.kube.resources import APPS, VERSIONS, WORKFLOWS
from dynamiq_operator.rest.reads import callers
from tests.support import factories as given
from tests.support.rest_stage import TOKEN, RestStage
from tests.support.scripted import Reply, ScriptedServer
from tests.support.scripted_recorder import ScriptedRecorder, problem
from tests.support.waiting import IN_TIME

ASKS = given.flow("v1").replace("return 'v1'", "return input_data.get('question')")
BREAKS = "v1 reads `question`, which 12 of the last 100 runs (7 days) did not send: key web (12)"
CONDITION = {
    "reason": "AwaitingApproval",
    "message": "someone else would have to approve it (policy production), if it may break callers or that is unknown",
    "appliesTo": ["Deploy"],
    "policy": "production",
    "when": "Breaking",
}


def shapes(sent: int = 88) -> dict[str, Any]:
    caller = {"key": "web", "trigger": None, "runs": 100, "others": 0, "fields": {"question": {"string": sent}}}
    return {"data": {"enabled": True, "days": 7, "recorded": 100, "runs": 100, "callers": [caller]}}


class Previewed:
    """The API with a scripted recorder. v1 of App chat reads a field that its live version does not read."""

    def __init__(self, stage: RestStage, recorder: ScriptedRecorder) -> None:
        self.stage, self.recorder = stage, recorder
        release = stage.object(VERSIONS, "chat-v1")
        stage.put({**release, "spec": {**release["spec"], "flow": ASKS}})
        app = stage.object(APPS, "chat")
        stage.put({**app, "status": {**app["status"], "guards": [CONDITION]}})
        self.app = f"/v1/apps/{stage.uid(APPS, 'chat')}"
        self.answer(shapes())

    def answer(self, answer: dict[str, Any] | Reply) -> None:
        self.recorder.on("GET", f"{self.app}/shapes", answer)

    @property
    def body(self) -> dict[str, Any]:
        return {"workflow_id": self.stage.uid(WORKFLOWS, "chat"), "workflow_version_id": self.stage.uid(VERSIONS, "chat-v1")}

    def preview(self) -> dict[str, Any]:
        shown: dict[str, Any] = self.stage.call("POST", f"{self.app}/deploy/preview", self.body).data
        return shown


@pytest.fixture
def previewed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Previewed]:
    monkeypatch.setattr(callers, "WITHIN", IN_TIME)
    recorder = ScriptedRecorder()
    with ScriptedServer(recorder) as records, RestStage(recorder=records.url) as stage:
        yield Previewed(stage, recorder)


def test_a_preview_names_the_callers_that_a_version_may_break(previewed: Previewed) -> None:
    shown = previewed.preview()
    (change,) = shown["callers"]["changes"]
    assert (shown["callers"]["result"], change["message"], change["runs"], change["of"]) == ("Breaking", BREAKS, 12, 100)
    assert change["callers"] == [{"key": "web", "trigger": None, "runs": 12}]
    assert [each["when"] for each in shown["guards"]] == ["Breaking"]
    (sent,) = [each for each in previewed.recorder.sent if each.path.endswith("/shapes")]
    assert (sent.query, sent.headers["Authorization"]) == ({"days": "7", "field": "question"}, f"Bearer {TOKEN}")


def test_a_version_that_breaks_nobody_would_not_wait_and_is_deployed_as_it_was_confirmed(previewed: Previewed) -> None:
    previewed.answer(shapes(sent=100))
    shown = previewed.preview()
    assert (shown["callers"]["result"], shown["guards"]) == ("Compatible", [])
    for guards in (shown["guards"], previewed_guards(previewed)):
        confirmed = {**shown["to"], "guards": guards}
        assert previewed.stage.call("POST", f"{previewed.app}/deploy", {**previewed.body, "confirmed": confirmed}).status == 201


def previewed_guards(previewed: Previewed) -> list[dict[str, Any]]:
    """Returns the guards of a preview of a version that breaks callers."""
    previewed.answer(shapes())
    guards: list[dict[str, Any]] = previewed.preview()["guards"]
    assert guards
    return guards


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (problem(404, "there is no such App"), "you may not ask the recorder about this App, or it is older"),
        (problem(503, "away"), "the recorder does not answer"),
        (Reply(body={"data": {}}), "the recorder does not answer"),
    ],
)
def test_a_preview_without_the_count_is_whole_and_tells_why(previewed: Previewed, answer: Reply, why: str) -> None:
    previewed.answer(answer)
    shown = previewed.preview()["callers"]
    assert (shown["result"], shown["unknown"]) == ("Unknown", why)
    assert [each["message"] for each in shown["changes"]] == ["v1 reads `question`"]


def test_without_a_recorder_callers_are_unknown() -> None:
    with RestStage() as stage:
        shown = Previewed(stage, ScriptedRecorder()).preview()["callers"]
    assert (shown["result"], shown["unknown"]) == ("Unknown", "no recorder is installed, or you may not reach it")


def test_the_live_flow_breaks_nobody_and_asks_nobody(previewed: Previewed) -> None:
    body = {"workflow_id": previewed.stage.uid(WORKFLOWS, "chat"), "workflow_version_id": previewed.stage.uid(VERSIONS, "chat-v2")}
    shown = previewed.stage.call("POST", f"{previewed.app}/deploy/preview", body).data
    assert (shown["callers"], shown["guards"]) == (None, [])
    assert previewed.recorder.sent == []
