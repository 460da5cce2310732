"""Triggers of an App over HTTP: a part of its spec, read and written under its version; their runs and events."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamiq_operator.kube.resources import APPS, JOBS, PODS
from dynamiq_operator.model import names, triggers
from dynamiq_operator.model.objects import Manifest, format_time
from dynamiq_operator.rest.triggers.responses import TriggerEvent, TriggerResponse
from tests.support import factories as make
from tests.support.rest_stage import UNKNOWN, RestStage, created
from tests.support.scripted import Answer, Reply, failure, listed

DAILY = {"timezone": "Europe/Berlin", "schedule": "0 9 * * 1-5"}
LATER = format_time(datetime.now(UTC).replace(microsecond=0) + timedelta(days=1))
EARLIER = "2020-01-01T00:00:00Z"
OBJECT = APPS.path("demo", "chat")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes the random pause before a retry after a conflict."""
    monkeypatch.setattr("time.sleep", lambda _: None)


def _app(stage: RestStage, *given: Manifest, **status: Any) -> str:
    """Gives App chat these triggers, and returns their path."""
    live = {"row": "chat-b", "sequence": 2, "workflowVersion": "v2", "runtime": "1.0.0"}
    stage.put(make.app_manifest(make.with_triggers(*given), make.with_status(**{"live": live, **status})))
    return f"/v1/apps/{stage.uid(APPS, 'chat')}/triggers"


def _id(stage: RestStage, name: str) -> str:
    return triggers.id_of(stage.uid(APPS, "chat"), {"name": name})


def _written(stage: RestStage) -> list[Manifest] | None:
    """Returns the triggers of the App as they were last written."""
    found: list[Manifest] | None = stage.script.bodies("PATCH", OBJECT)[-1]["spec"]["triggers"]
    return found


def _daily(name: str, **fields: Any) -> Manifest:
    return {"name": name, **DAILY, **fields}


# Read.


def test_triggers_are_listed_the_one_added_last_first(stage: RestStage) -> None:
    path = _app(
        stage,
        _daily("on", displayName="Every working day"),
        _daily("off", suspend=True),
        _daily("new", suspend=True, draft=True),
        {"name": "gone", "runAt": EARLIER},
    )
    answer = stage.get(path)
    for each in answer:
        TriggerResponse.model_validate(each)
    assert [(each["name"], each["status"]) for each in answer] == [
        ("gone", "expired"),
        ("new", "draft"),
        ("off", "inactive"),
        ("Every working day", "active"),
    ]
    assert answer[-1]["config"] == {**DAILY, "run_at": None, "expires_at": None}
    assert stage.get(f"{path}/{_id(stage, 'on').upper()}") == answer[-1]


def test_triggers_written_by_kubectl_are_returned_and_kept(stage: RestStage) -> None:
    odd = {"name": "odd", "runAt": "2126-11-25T08:00:00.123456789+05:30", "timezone": "Mars/Base"}
    ended = {"name": "ended", "schedule": "0 9 * * *", "expiresAt": EARLIER, "suspend": True}
    path = _app(stage, odd, ended)
    told = {each["name"]: each for each in stage.get(path)}
    assert {name: each["status"] for name, each in told.items()} == {"odd": "active", "ended": "expired"}
    assert told["odd"]["config"]["run_at"] == "2126-11-25T02:30:00Z"
    again = stage.call("PUT", f"{path}/{told['ended']['id']}", {"config": {**DAILY, "expires_at": LATER}}).data
    assert (again["status"], again["config"]["expires_at"]) == ("inactive", LATER)
    assert _written(stage) == [odd, {"name": "ended", **DAILY, "expiresAt": LATER, "suspend": True}], "of others nothing is changed"


@pytest.mark.parametrize(
    ("method", "more", "body"),
    [
        ("GET", "", None),
        ("PUT", "", {"name": "x"}),
        ("DELETE", "", None),
        ("POST", "/activate", None),
        ("POST", "/deactivate", None),
        ("POST", "/run", None),
        ("GET", "/events", None),
        ("GET", f"/events/{UNKNOWN}", None),
    ],
)
def test_a_trigger_that_there_is_not(stage: RestStage, method: str, more: str, body: Any) -> None:
    path = _app(stage, _daily("on"))
    assert "no trigger has the id" in stage.call(method, f"{path}/{UNKNOWN}{more}", body).error(404)["message"]
    stage.script.on("GET", OBJECT, failure(403, "Forbidden"))
    assert "no App has the id" in stage.call(method, f"{path}/{_id(stage, 'on')}{more}", body).error(404)["message"]
    assert stage.script.bodies("PATCH", OBJECT) == []


# Write.


def test_a_new_trigger_is_a_draft(stage: RestStage) -> None:
    path = _app(stage, _daily("on"))
    body = {"name": "Every day!", "provider": "schedule", "config": DAILY, "input_transformer": {"selector": {"question": "What is new?"}}}
    answered = stage.call("POST", path, body)
    assert answered.status == 201
    TriggerResponse.model_validate(answered.data)
    assert (answered.data["name"], answered.data["status"]) == ("Every day!", "draft")
    assert answered.data["input_transformer"] == {"path": None, "selector": {"question": "What is new?"}}
    assert _written(stage) == [
        _daily("on"),
        {
            **_daily("every-day"),
            "uid": answered.data["id"],
            "displayName": "Every day!",
            "suspend": True,
            "draft": True,
            "inputTransformer": {"selector": {"question": "What is new?"}},
        },
    ]
    assert stage.script.bodies("PATCH", OBJECT)[-1]["metadata"] == {"uid": stage.uid(APPS, "chat"), "resourceVersion": "1"}


def test_a_trigger_that_runs_once(stage: RestStage) -> None:
    answer = stage.call("POST", _app(stage), {"name": "once", "config": {"run_at": LATER}}).data
    assert answer["config"] == {"timezone": "UTC", "schedule": None, "run_at": LATER, "expires_at": None}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"provider": "pipedream"}, "provider"),
        ({"provider": "other"}, "provider"),
        ({"provider": None}, "provider"),
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": 1}, "name"),
        ({"config": {}}, "config"),
        ({"config": {**DAILY, "run_at": LATER}}, "config"),
        ({"config": {"run_at": EARLIER}}, "config.run_at"),
        ({"config": {"run_at": "2099-02-30T00:00:00Z"}}, "config.run_at"),
        ({"config": {"run_at": "tomorrow"}}, "config.run_at"),
        ({"config": {"run_at": "2126-11-25T08:00:00"}}, "config.run_at"),
        ({"config": {"run_at": "0000-01-01T00:00:00Z"}}, "config.run_at"),
        ({"config": {"run_at": "9999-12-31T23:59:59-23:59"}}, "config.run_at"),
        ({"config": {"schedule": None, "run_at": None}}, "config"),
        ({"config": {"run_at": LATER, "expires_at": LATER}}, "config.expires_at"),
        ({"config": {**DAILY, "expires_at": EARLIER}}, "config.expires_at"),
        ({"config": {**DAILY, "timezone": "Mars/Base"}}, "config.timezone"),
        ({"config": {**DAILY, "timezone": "../../etc/passwd"}}, "config.timezone"),
        ({"config": {**DAILY, "timezone": "Europe"}}, "config.timezone"),
        ({"config": {**DAILY, "timezone": "a\0"}}, "config.timezone"),
        ({"config": {**DAILY, "timezone": ""}}, "config.timezone"),
        ({"config": {**DAILY, "timezone": 1}}, "config.timezone"),
        ({"config": {"schedule": "61 * * * *"}}, "config.schedule"),
        ({"config": {"schedule": "@daily"}}, "config.schedule"),
        ({"config": {"schedule": "* * * * *" + " " * 200}}, "config.schedule"),
        ({"input_transformer": {"path": 7}}, "input_transformer.path"),
        ({"input_transformer": {"path": "x" * 1025}}, "input_transformer.path"),
        ({"input_transformer": {"selector": {"a": 1}}}, "input_transformer.selector.a"),
        ({"input_transformer": {"selector": {"a": "x" * 4097}}}, "input_transformer.selector.a"),
        ({"input_transformer": {"selector": {str(number): "" for number in range(65)}}}, "input_transformer.selector"),
        ({"input_transformer": []}, "input_transformer"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_trigger_that_cannot_be(stage: RestStage, method: str, fields: dict[str, Any], field: str) -> None:
    path = _app(stage, _daily("on"))
    body = {"name": "new", "config": DAILY, **fields}
    answered = stage.call(method, path if method == "POST" else f"{path}/{_id(stage, 'on')}", body)
    assert field in answered.error(422)["details"]
    assert stage.script.bodies("PATCH", OBJECT) == []


def test_a_name_that_another_trigger_has(stage: RestStage) -> None:
    path = _app(stage, _daily("on", displayName="Daily"), _daily("off"))
    assert stage.call("POST", path, {"name": "Daily", "config": DAILY}).error(409)["details"] == {"name": "taken"}
    assert stage.call("PUT", f"{path}/{_id(stage, 'off')}", {"name": "Daily"}).error(409)["details"] == {"name": "taken"}


def test_an_app_has_at_most_so_many_triggers(stage: RestStage) -> None:
    path = _app(stage, *(_daily(f"n{number}") for number in range(triggers.MOST)))
    assert str(triggers.MOST) in stage.call("POST", path, {"name": "more", "config": DAILY}).error(409)["message"]


def test_a_trigger_is_changed_in_what_the_body_names(stage: RestStage) -> None:
    path = _app(stage, _daily("on", inputTransformer={"path": "$.a"}), _daily("off"))
    answer = stage.call("PUT", f"{path}/{_id(stage, 'on')}", {"name": "Renamed"}).data
    assert (answer["id"], answer["name"], answer["config"]["schedule"]) == (_id(stage, "on"), "Renamed", DAILY["schedule"])
    assert _written(stage) == [_daily("on", displayName="Renamed", inputTransformer={"path": "$.a"}), _daily("off")]
    body = {"config": {"schedule": "0 1 * * *", "expires_at": LATER}, "input_transformer": None}
    stage.call("PUT", f"{path}/{_id(stage, 'on')}", body).data  # noqa: B018 - it asserts
    assert _written(stage) == [{"name": "on", "schedule": "0 1 * * *", "expiresAt": LATER}, _daily("off")]
    stage.call("PUT", f"{path}/{_id(stage, 'on')}", {"input_transformer": {"path": "$.b"}}).data  # noqa: B018
    assert (_written(stage) or [])[0]["inputTransformer"] == {"path": "$.b"}


def test_a_trigger_is_deleted(stage: RestStage) -> None:
    path = _app(stage, _daily("on"), _daily("off"))
    answered = stage.call("DELETE", f"{path}/{_id(stage, 'on')}")
    assert (answered.status, answered.content) == (204, b"")
    assert _written(stage) == [_daily("off")]


def test_activate_and_deactivate(stage: RestStage) -> None:
    path = _app(stage, _daily("new", suspend=True, draft=True))
    uid = _id(stage, "new")
    assert stage.call("POST", f"{path}/{uid}/deactivate").data["status"] == "draft"
    assert stage.call("POST", f"{path}/{uid}/activate").data["status"] == "active"
    assert _written(stage) == [_daily("new")]
    path = _app(stage, _daily("new"))
    assert stage.call("POST", f"{path}/{uid}/deactivate").data["status"] == "inactive"
    assert _written(stage) == [_daily("new", suspend=True)]


def test_a_write_that_never_fits_in_ends_in_a_conflict(stage: RestStage) -> None:
    path = _app(stage)
    stage.script.on("PATCH", OBJECT, failure(409, "Conflict"))
    assert "try again" in stage.call("POST", path, {"name": "new", "config": DAILY}).error(409)["message"]


@pytest.mark.parametrize(("reply", "status"), [(failure(404, "NotFound"), 404), (failure(403, "Forbidden", "no"), 403)])
def test_a_write_that_is_refused(stage: RestStage, reply: Reply, status: int) -> None:
    path = _app(stage)
    stage.script.on("PATCH", OBJECT, reply)
    stage.call("POST", path, {"name": "new", "config": DAILY}).error(status)


# Runs.


def _job(name: str, *, at: str = "2026-11-25T08:00:00Z", **status: Any) -> Manifest:
    uid = str(uuid.uuid5(uuid.UUID(UNKNOWN), name))
    return {"metadata": {"name": name, "uid": uid, "creationTimestamp": at}, "status": {"startTime": at, **status}}


def test_an_active_trigger_runs_now(stage: RestStage) -> None:
    path = _app(stage, _daily("on"))
    stage.script.on("POST", JOBS.path("demo"), created)
    answered = stage.call("POST", f"{path}/{_id(stage, 'on')}/run")
    assert answered.status == 202
    TriggerEvent.model_validate(answered.data)
    assert (answered.data["status"], answered.data["trigger_id"]) == ("running", _id(stage, "on"))
    (job,) = stage.created(JOBS)
    assert job["metadata"]["name"] == answered.data["name"]
    assert names.run_selector("chat", "on").items() <= job["metadata"]["labels"].items()


def test_a_key_makes_one_run(stage: RestStage) -> None:
    path = _app(stage, _daily("on"))
    stage.script.on("POST", JOBS.path("demo"), created)
    first = stage.call("POST", f"{path}/{_id(stage, 'on')}/run", key="a key")
    job = stage.created(JOBS)[0]
    stage.script.on("POST", JOBS.path("demo"), failure(409, "AlreadyExists"))
    stage.script.on("GET", JOBS.path("demo", job["metadata"]["name"]), make.stored(job))
    again = stage.call("POST", f"{path}/{_id(stage, 'on')}/run", key="a key")
    assert (again.status, again.headers["idempotency-replayed"]) == (202, "true")
    assert again.data["id"] == first.data["id"]
    other = stage.call("POST", f"{path}/{_id(stage, 'on')}/run")
    assert other.status == 404, "a run without a key has a name of its own, and there is none"


def test_a_trigger_that_was_made_again_under_its_name_runs_though_the_key_was_used(stage: RestStage) -> None:
    stage.script.on("POST", JOBS.path("demo"), created)
    for uid in (UNKNOWN, UNKNOWN.replace("4000", "4001")):
        path = _app(stage, _daily("on", uid=uid))
        assert stage.call("POST", f"{path}/{uid}/run", key="a key").status == 202
    assert len({job["metadata"]["name"] for job in stage.created(JOBS)}) == 2


@pytest.mark.parametrize("fields", [{"suspend": True}, {"suspend": True, "draft": True}, {"expiresAt": EARLIER}])
def test_only_an_active_trigger_runs(stage: RestStage, fields: dict[str, Any]) -> None:
    path = _app(stage, _daily("on", **fields))
    assert "status" in stage.call("POST", f"{path}/{_id(stage, 'on')}/run").error(409)["details"]
    assert stage.created(JOBS) == []


def test_a_caller_who_may_not_create_jobs_is_forbidden_to_run(stage: RestStage) -> None:
    path = _app(stage, _daily("on"))
    stage.script.on("POST", JOBS.path("demo"), failure(403, "Forbidden", "anna may not create jobs"))
    assert "may not create" in stage.call("POST", f"{path}/{_id(stage, 'on')}/run").error(403)["message"]


def test_events_are_the_runs_newest_first_with_how_they_ended(stage: RestStage) -> None:
    path = _app(stage, _daily("on"), triggers=[{"name": "on", "job": "c", "message": "the App answered 500"}])
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "lastTransitionTime": "2026-11-25T10:00:05Z"}
    jobs = [
        _job("a", at="2026-11-25T08:00:00Z", conditions=[{"type": "Complete", "status": "True"}], completionTime="2026-11-25T08:00:03Z"),
        _job("b", at="2026-11-25T09:00:00Z", conditions=[failed]),
        _job("c", at="2026-11-25T10:00:00Z", conditions=[failed]),
        _job("d", at="2026-11-25T11:00:00Z"),
    ]
    stage.script.on("GET", JOBS.path("demo"), listed(*jobs)).on("GET", PODS.path("demo"), listed())
    events = stage.get(f"{path}/{_id(stage, 'on')}/events")
    for each in events:
        TriggerEvent.model_validate(each)
    assert [(each["name"], each["status"], each["message"]) for each in events] == [
        ("d", "running", None),
        ("c", "failed", "the App answered 500"),
        ("b", "failed", "BackoffLimitExceeded"),
        ("a", "succeeded", None),
    ]
    assert (events[1]["ended_at"], events[3]["ended_at"]) == ("2026-11-25T10:00:05Z", "2026-11-25T08:00:03Z")
    request = next(sent for sent in stage.script.sent if sent.path == JOBS.path("demo"))
    assert request.query["labelSelector"] == ",".join(f"{key}={value}" for key, value in names.run_selector("chat", "on").items())


def _pod(job: Manifest, message: str) -> Manifest:
    """Returns the pod of a Job that ended with a termination message."""
    caller = {"name": "caller", "state": {"terminated": {"exitCode": 0, "message": message}}}
    owner = {"kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"], "controller": True}
    return {"metadata": {"name": f"{job['metadata']['name']}-x", "ownerReferences": [owner]}, "status": {"containerStatuses": [caller]}}


def test_an_event_names_the_run_that_its_pod_names(stage: RestStage) -> None:
    path = f"{_app(stage, _daily('on'))}/{_id(stage, 'on')}/events"
    run = "11111111-0000-4000-8000-000000000001"
    messages = {
        "new": f'{{"message": "the App answered 200 after 1.0 s", "runId": "{run.upper()}"}}',
        "old": '{"message": "the App answered 200 after 1.0 s"}',
        "odd": '{"message": "x", "runId": "../7"}',
        "cut": '{"mess',
        "none": "",
    }
    jobs = {name: _job(name, at="2026-11-25T08:00:00Z") for name in (*messages, "without-a-pod")}
    stage.script.on("GET", JOBS.path("demo"), listed(*jobs.values()))
    stage.script.on("GET", PODS.path("demo"), listed(*(_pod(jobs[name], message) for name, message in messages.items())))
    events = {each["name"]: each for each in stage.get(path)}
    assert {name: event["run_id"] for name, event in events.items()} == {**dict.fromkeys(jobs), "new": run}
    assert (events["new"]["received_at"], events["new"]["payload"]) == ("2026-11-25T08:00:00Z", None)
    request = next(sent for sent in stage.script.sent if sent.path == PODS.path("demo"))
    assert request.query["labelSelector"] == ",".join(f"{key}={value}" for key, value in names.caller_labels("chat", "on").items())
    assert stage.get(f"{path}/{events['new']['id'].upper()}") == events["new"]
    assert "no event has the id" in stage.call("GET", f"{path}/{UNKNOWN}").error(404)["message"]
    stage.script.on("GET", PODS.path("demo"), failure(403, "Forbidden"))
    assert [each["run_id"] for each in stage.get(path)] == [None] * len(jobs)


def test_events_for_who_may_not_list_jobs(stage: RestStage) -> None:
    path = _app(stage, _daily("on"))
    reply: Answer = failure(403, "Forbidden", "anna may not list jobs")
    stage.script.on("GET", JOBS.path("demo"), reply)
    stage.call("GET", f"{path}/{_id(stage, 'on')}/events").error(403)


def test_a_trigger_that_is_made_again_is_another_one(stage: RestStage) -> None:
    path = _app(stage)
    body = {"name": "Every day", "config": DAILY}
    first, second = (stage.call("POST", path, body).data["id"] for _ in range(2))
    assert first != second
    made = _written(stage)
    assert made is not None
    _app(stage, *made)
    assert stage.get(f"{path}/{second}")["name"] == "Every day"
    stage.call("GET", f"{path}/{first}").error(404)
