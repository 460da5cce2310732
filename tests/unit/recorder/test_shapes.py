"""Shapes of inputs at the recorder: what is taken from pods, whose callers they are, who may read them, and Apps that turn them off."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import msgspec
import pytest

from dynamiq_operator.model.shapes import Shapes
from dynamiq_recorder.model import RunShape
from tests.support.otlp_runs import a_run
from tests.support.otlp_runs import request as request_of
from tests.support.recorder_stage import ADMIN, APP_UID, OTHER_UID, POD_TOKEN, READER, STRANGER, VIEWER, RecorderStage
from tests.support.waiting import eventually
from tests.unit.recorder.test_otlp import ACCOUNT, POD, the_run
from tests.unit.recorder.test_requests import problem

SHAPES = f"/v1/apps/{APP_UID}/shapes"
COUNTING = msgspec.structs.replace(POD, counts_shapes=True, triggers=frozenset({"nightly"}))
JOURNAL = msgspec.structs.replace(COUNTING, pod_uid=None, is_journal=True)


def sent(shape: Any, **more: Any) -> dict[str, Any]:
    """Returns a run as a pod sends it. `shape`: a text, or a value that is made one."""
    return a_run(dynamiq__run__shape=shape if isinstance(shape, str) else json.dumps(shape), **more)


def shape_of(shape: Any, sender: Any = COUNTING, **more: Any) -> RunShape | None:
    return the_run(request_of(sent(shape, **more)), sender).shape


@pytest.mark.parametrize("sender", [COUNTING, JOURNAL], ids=["pod", "journal"])
def test_the_shape_of_an_own_run_is_taken_with_its_caller(sender: Any) -> None:
    fields = {"question": "string", "a": "number"}
    assert shape_of(fields, sender, dynamiq__key="web", dynamiq__trigger="nightly") == RunShape(
        key="web", trigger="nightly", fields=(("a", "number"), ("question", "string"))
    )
    assert shape_of({}, sender) == RunShape()


def test_a_trigger_that_the_app_does_not_have_is_none() -> None:
    """Any caller can write the header, and would be a thousand callers."""
    shape = shape_of({}, dynamiq__key="web", dynamiq__trigger="forged")
    assert (shape and (shape.key, shape.trigger)) == ("web", "")


def test_only_a_pods_own_runs_have_a_shape_and_only_while_they_are_counted() -> None:
    assert shape_of({}, msgspec.structs.replace(COUNTING, counts_shapes=False)) is None
    assert shape_of({}, msgspec.structs.replace(ACCOUNT, counts_shapes=True)) is None
    assert the_run(request_of(a_run()), COUNTING).shape is None


@pytest.mark.parametrize(
    "shape",
    [
        "",
        "[]",
        "null",
        "1",
        '"x"',
        "{",
        '{"a": 1,}',
        "[" * 30_000,
        '{"a":' * 9_000,
        '{"a": ' + "9" * 5_000 + "}",
        json.dumps({"a" * 70_000: "string"}),
        "\ud800",
    ],
)
def test_what_is_no_shape_is_ignored_and_the_run_is_taken(shape: str) -> None:
    body = request_of(a_run())
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"].append(
        {"key": "dynamiq.run.shape", "value": {"stringValue": shape}}
    )
    assert the_run(json.dumps(body).encode(), COUNTING).shape is None


@pytest.mark.parametrize("value", [True, 7, 1.5, ["string"]])
def test_a_shape_that_is_no_text_is_ignored(value: Any) -> None:
    assert the_run(request_of(a_run(dynamiq__run__shape=value)), COUNTING).shape is None


def test_names_types_and_their_number_are_bounded() -> None:
    given: dict[str, Any] = {
        "a" * 65: "string",
        "nul\0": "null",
        "\ud800": "array",
        "odd": "date",
        "list": ["string"],
        "map": {"a": {}},
        "none": None,
        "…": "",
    }
    shape = shape_of(given)
    assert shape is not None
    assert dict(shape.fields) == {
        "a" * 63 + "…": "string", "nul": "null", "\ufffd": "array", "odd": "unknown", "list": "unknown", "map": "unknown", "none": "unknown",
    }  # fmt: skip
    assert shape.has_more
    many = shape_of({f"n{number:03}": "number" for number in range(65)})
    assert many is not None
    assert (len(many.fields), many.has_more) == (64, True)
    exact = shape_of({f"n{number:03}": "number" for number in range(64)})
    assert exact is not None
    assert (len(exact.fields), exact.has_more) == (64, False)


def test_who_sends_which_field_is_answered(recorder: RecorderStage) -> None:
    recorder.record(
        sent({"question": "string", "secret": "null"}, dynamiq__key="web"),
        sent({"question": "null"}, seq=2, dynamiq__key="web"),
        sent({"…": ""}, seq=3, dynamiq__trigger="forged"),
        a_run(seq=4),
        sent({"question": "array"}, seq=5, began=time.time_ns() - 8 * 86_400 * 10**9, dynamiq__key="web"),
    )
    found = recorder.get(f"{SHAPES}?field=question&field=missing")
    assert len(Shapes.of(found).callers) == len(found["callers"]), "readers take it"
    assert found == {
        "enabled": True,
        "days": 7,
        "recorded": 4,
        "runs": 3,
        "callers": [
            {"key": "web", "trigger": None, "runs": 2, "others": 0, "fields": {"question": {"string": 1, "null": 1}}},
            {"key": None, "trigger": None, "runs": 1, "others": 1, "fields": {}},
        ],
    }
    assert [recorder.get(f"{SHAPES}?days={days}")["runs"] for days in (1, 9, 90)][1:] == [4, 4]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("days=0", "days"),
        ("days=91", "days"),
        ("days=x", "days"),
        ("colour=red", "colour"),
        (f"field={'x' * 65}", "field"),
        ("&".join(f"field={number}" for number in range(513)), "field"),
    ],
)
def test_a_query_that_is_not_understood_is_refused(recorder: RecorderStage, query: str, says: str) -> None:
    problem(recorder.call("GET", f"{SHAPES}?{query}"), 422, says)


def test_as_many_fields_may_be_requested_as_two_flows_have(recorder: RecorderStage) -> None:
    recorder.record(sent({"x" * 64: "string"}))
    query = "&".join(["field=" + "x" * 64, *(f"field={number}" for number in range(127))])
    assert recorder.get(f"{SHAPES}?{query}")["callers"][0]["fields"] == {"x" * 64: {"string": 1}}


def test_whoever_reads_runs_or_may_deploy_reads_shapes_and_nobody_else(recorder: RecorderStage) -> None:
    recorder.record(sent({"question": "string"}))
    assert recorder.get(SHAPES, VIEWER)["runs"] == 1
    may = recorder.rights
    for token in (READER, STRANGER, POD_TOKEN):
        problem(recorder.call("GET", SHAPES, token), 404)
    none = recorder.call("GET", SHAPES.replace(APP_UID, "none"), STRANGER).text
    assert recorder.call("GET", SHAPES, STRANGER).text.replace(APP_UID, "none") == none

    def deploys(spec: dict[str, Any]) -> bool:
        of = spec["resourceAttributes"]
        asked = (of["verb"], of["group"], of["resource"], of.get("subresource"), of["namespace"], of.get("name"))
        return may(spec) or (spec["user"] == "deployer" and asked == ("create", "dynamiq.getdynamiq.ai", "deployments", None, "team", None))

    recorder.rights = deploys
    recorder.users["deployer"] = {"username": "deployer"}
    assert recorder.get(SHAPES, "deployer")["runs"] == 1
    for path in (SHAPES.replace(APP_UID, OTHER_UID), SHAPES.replace("shapes", "runs"), SHAPES.replace("shapes", "metrics")):
        problem(recorder.call("GET", path, "deployer"), 404)


def test_an_app_that_turns_shapes_off_is_obeyed_at_once_and_on_again(recorder: RecorderStage) -> None:
    recorder.record(sent({"question": "string"}))
    app = copy.deepcopy(recorder.apps[0])
    for off, seq, enabled in ((False, 2, False), (None, 3, True)):
        app["spec"]["runs"]["shapes"] = off
        recorder.put("apps", app)
        eventually("the recorder knows it", lambda enabled=enabled: recorder.get(SHAPES)["enabled"] is enabled)  # type: ignore[misc]
        recorder.record(sent({"question": "string"}, seq=seq))
        if not enabled:
            assert recorder.get(f"{SHAPES}?field=question") == {"enabled": False, "days": 7, "recorded": 2, "runs": 0, "callers": []}
    found = recorder.get(SHAPES)
    assert (found["recorded"], found["runs"]) == (3, 2)


def test_a_trigger_of_the_app_is_a_caller_from_when_it_is_known(recorder: RecorderStage) -> None:
    app = copy.deepcopy(recorder.apps[0])
    app["spec"]["triggers"] = [{"name": "nightly"}, {"name": 7}, "odd"]
    recorder.put("apps", app)
    counted = iter(range(1, 10_000))

    def is_known() -> bool:
        recorder.record(sent({}, seq=next(counted), dynamiq__trigger="nightly"))
        return any(each["trigger"] == "nightly" for each in recorder.get(SHAPES)["callers"])

    eventually("the trigger is a caller", is_known)


def test_deleted_runs_stay_counted(recorder: RecorderStage) -> None:
    recorder.record(sent({"question": "string"}, user__id="ann"))
    assert recorder.call("DELETE", f"/v1/apps/{APP_UID}/runs?user_id=ann", ADMIN).status_code == 200
    assert [recorder.get(SHAPES)[name] for name in ("recorded", "runs")] == [1, 1]
