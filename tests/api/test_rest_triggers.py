"""The management API's triggers: parts of their App's spec that nobody's write loses, with the contract's names, statuses and times."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model.names import APP_LABEL, TRIGGER_LABEL
from dynamiq_operator.model.settings import TRIGGER_IMAGE
from dynamiq_operator.model.triggers import MOST
from dynamiq_operator.rest.triggers import responses
from local.clusters import Cluster
from tests.support import factories, rest_callers
from tests.support.api import Manifest
from tests.support.rest import UNKNOWN, problem
from tests.support.rest_callers import Callers
from tests.support.waiting import eventually

DAILY = {"schedule": "0 9 * * *"}
TO_COME = "2126-11-25T08:00:00Z"
PASSED = "2020-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def place(cluster: Cluster, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callers]:
    with rest_callers.calling(cluster, tmp_path_factory.mktemp("rest"), "triggers") as made:
        yield made


def _app(place: Callers, name: str, *triggers: Manifest) -> str:
    """The path of the triggers of a new App."""
    manifest = factories.app_manifest(factories.in_namespace(place.namespace), factories.with_triggers(*triggers), name=name)
    made = place.api.create(manifest)
    assert made.ok, made.message
    return f"/v1/apps/{made.body['metadata']['uid']}/triggers"


def _stored(place: Callers, app: str) -> list[Manifest]:
    found: list[Manifest] = place.api.get("App", app, place.namespace).body["spec"].get("triggers", [])
    return found


def _body(name: str = "nightly", **config: Any) -> Manifest:
    return {"name": name, "provider": "schedule", "config": config or DAILY}


def test_a_trigger_from_draft_to_deletion(place: Callers) -> None:
    anna, path = place.anna, _app(place, "life")
    assert anna.get(path) == []
    transformer = {"path": "$.a", "selector": {"question": "$.q", "é": "字"}}
    given = {**_body("Every working day", schedule="0 9 * * 1-5", timezone="Europe/Berlin"), "input_transformer": transformer}
    made = anna.post(path, given)
    responses.Trigger.model_validate(made)
    assert made == {
        "id": str(uuid.UUID(made["id"])),
        "app_id": path.split("/")[3],
        "name": "Every working day",
        "provider": "schedule",
        "status": "draft",
        "config": {"timezone": "Europe/Berlin", "schedule": "0 9 * * 1-5", "run_at": None, "expires_at": None},
        "input_transformer": transformer,
    }
    one = f"{path}/{made['id']}"
    assert anna.get(one) == made
    (kept,) = _stored(place, "life")
    assert kept == {
        "name": "every-working-day",
        "uid": made["id"],
        "displayName": "Every working day",
        "schedule": "0 9 * * 1-5",
        "timezone": "Europe/Berlin",
        "suspend": True,
        "draft": True,
        "inputTransformer": transformer,
    }
    assert problem(anna("POST", f"{one}/run"), 409, "this one is draft")["details"] == {"status": "draft"}
    assert anna.post(f"{one}/deactivate", status=200)["status"] == "draft"
    for _ in range(2):
        assert anna.post(f"{one}/activate", status=200)["status"] == "active"
    assert set(_stored(place, "life")[0]) & {"suspend", "draft"} == set()
    problem(anna("POST", f"{one}/run"), 409, "deploy it first")
    for _ in range(2):
        assert anna.post(f"{one}/deactivate", status=200)["status"] == "inactive"
    problem(anna("POST", f"{one}/run"), 409, "this one is inactive")

    renamed = anna("PUT", one, {"name": "Weekly", "provider": "schedule", "config": {"run_at": "2126-01-01T00:00:00+02:00"}}).json()["data"]
    assert (renamed["id"], renamed["name"], renamed["status"], renamed["input_transformer"]) == (
        made["id"],
        "Weekly",
        "inactive",
        transformer,
    )
    assert renamed["config"] == {"timezone": "UTC", "schedule": None, "run_at": "2125-12-31T22:00:00Z", "expires_at": None}
    assert anna("PUT", one, {"input_transformer": None}).json()["data"]["input_transformer"] is None
    assert anna("PUT", one, {"name": "every-working-day"}).json()["data"]["name"] == "every-working-day"
    assert "displayName" not in _stored(place, "life")[0]

    assert anna("DELETE", one).status_code == 204
    assert _stored(place, "life") == []
    assert anna.post(path, given)["id"] != made["id"]
    _check_is_gone(place, one, made["id"])


def _check_is_gone(place: Callers, one: str, trigger_id: str) -> None:
    calls = (("GET", one), ("PUT", one), ("DELETE", one), *(("POST", f"{one}/{verb}") for verb in ("activate", "deactivate", "run")))
    for method, where in calls:
        problem(place.anna(method, where, {} if method == "PUT" else None), 404, trigger_id)
    problem(place.anna("GET", f"{one}/events"), 404)


def test_names_are_kept_as_given_and_told_apart(place: Callers) -> None:
    path = _app(place, "names")
    shown = [
        "Every Monday, 9 o'clock",
        "Every Monday, 9 o'clock sharp",
        "每日",
        "每周",
        "nightly",
        "Nightly",
        "x" * 128,
        "7",
        "a/b \u2028 🦊",
    ]
    made = [place.anna.post(path, _body(name)) for name in shown]
    assert len({each["id"] for each in made}) == len(shown)
    assert [each["name"] for each in place.anna.get(path)] == shown[::-1]
    assert [each["name"] for each in place.anna.get(f"{path}?sort=created_at&page_size=2&page=2")] == shown[2:4]
    assert problem(place.anna("POST", path, _body("每日")), 409)["details"] == {"name": "taken"}
    assert problem(place.anna("PUT", f"{path}/{made[0]['id']}", {"name": "每日"}), 409)["details"] == {"name": "taken"}
    assert place.anna("PUT", f"{path}/{made[0]['id']}", {"name": shown[0]}).status_code == 200


def test_at_most_as_many_as_an_app_keeps(place: Callers) -> None:
    path = _app(place, "many", *({"name": f"t{number}", "schedule": "0 9 * * *"} for number in range(MOST - 1)))
    last = place.anna.post(path, _body())
    problem(place.anna("POST", path, _body("one-more")), 409, "at most 32 triggers")
    assert place.anna("DELETE", f"{path}/{last['id']}").status_code == 204
    place.anna.post(path, _body("one-more"))
    assert place.anna("GET", path).json()["pagination"] == {"page": 1, "page_size": 25, "page_count": 2, "total_count": 32}


def test_writes_at_once_lose_nothing(place: Callers) -> None:
    """Each is added or activated, while the operator or another manager writes the same App."""
    path = _app(place, "busy")
    app = factories.app_manifest(factories.in_namespace(place.namespace), name="busy")
    first = place.anna.post(path, _body("first"))

    def act(number: int) -> int:
        caller = place.anna.at(place.anna.url)
        if number == 0:
            return caller("POST", f"{path}/{first['id']}/activate").status_code
        if number % 3 == 0:
            return place.api.merge(app, {"spec": {"description": str(number)}}).status
        return caller("POST", path, _body(f"No. {number}")).status_code

    with ThreadPoolExecutor(12) as threads:
        assert set(threads.map(act, range(12))) == {200, 201}
    wanted = {"first"} | {f"No. {number}" for number in range(12) if number % 3}
    assert {each["name"]: each["status"] for each in place.anna.get(path)} == {
        name: "active" if name == "first" else "draft" for name in wanted
    }
    assert place.api.get("App", "busy", place.namespace).body["spec"]["description"] in ("3", "6", "9")


def test_what_kubectl_wrote_is_told_and_kept(place: Callers) -> None:
    theirs = {"name": "theirs", "schedule": "0 9 * * *", "input": '{"a": 1}', "suspend": True}
    once = {"name": "once", "runAt": PASSED}
    odd = {"name": "odd", "runAt": "2126-11-25T08:00:00.123456789+05:30", "timezone": "Mars/Base"}
    path = _app(place, "by-hand", theirs, once, odd, {"name": "ended", "schedule": "0 9 * * *", "expiresAt": PASSED, "suspend": True})
    told = {each["name"]: each for each in place.anna.get(path)}
    for each in told.values():
        responses.Trigger.model_validate(each)
    assert {name: each["status"] for name, each in told.items()} == {
        "theirs": "inactive",
        "once": "expired",
        "odd": "active",
        "ended": "expired",
    }
    assert told["odd"]["config"]["run_at"] == "2126-11-25T02:30:00Z"
    problem(place.anna("POST", f"{path}/{told['ended']['id']}/activate"), 409, "has expired")
    problem(place.anna("POST", f"{path}/{told['once']['id']}/run"), 409, "this one is expired")
    assert place.anna.post(f"{path}/{told['theirs']['id']}/activate", status=200)["status"] == "active"
    again = place.anna("PUT", f"{path}/{told['ended']['id']}", {"config": {**DAILY, "expires_at": TO_COME}}).json()["data"]
    assert (again["status"], again["config"]["expires_at"]) == ("inactive", TO_COME)
    del theirs["suspend"]
    assert _stored(place, "by-hand")[:3] == [theirs, once, odd], "of others nothing is changed"


def test_a_trigger_expires(place: Callers) -> None:
    path = _app(place, "expires")
    soon = (datetime.now(UTC) + timedelta(seconds=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = place.anna.post(path, _body(run_at=soon))
    assert made["status"] == "draft"
    eventually("it has expired", lambda: place.anna.get(f"{path}/{made['id']}")["status"] == "expired")


WRONG = [
    ({"provider": "pipedream"}, "provider", "belongs to the product's cloud"),
    ({"provider": "cron"}, "provider", "schedule"),
    ({"provider": None}, "provider", "schedule"),
    ({"name": ""}, "name", ""),
    ({"name": "  "}, "name", ""),
    ({"name": "a\0b"}, "name", ""),
    ({"name": "a\nb"}, "name", ""),
    ({"name": "x" * 129}, "name", ""),
    ({"name": "\ud800"}, "name", ""),
    ({"name": 1}, "name", ""),
    ({"config": None}, "config", ""),
    ({"config": {}}, "config", "exactly one"),
    ({"config": {**DAILY, "run_at": TO_COME}}, "config", "exactly one"),
    ({"config": {"schedule": None, "run_at": None}}, "config", "exactly one"),
    ({"config": {"schedule": "0 9 * *"}}, "config.schedule", "five fields"),
    ({"config": {"schedule": "0 24 * * *"}}, "config.schedule", "hour 24: use 0 to 23"),
    ({"config": {"schedule": "0 0 30 2 *"}}, "config.schedule", "has such a day"),
    ({"config": {"schedule": "@daily"}}, "config.schedule", "five fields"),
    ({"config": {"schedule": "* * * * *" + " " * 200}}, "config.schedule", ""),
    ({"config": {**DAILY, "timezone": "Europe/Atlantis"}}, "config.timezone", "IANA"),
    ({"config": {**DAILY, "timezone": "../../etc/passwd"}}, "config.timezone", "IANA"),
    ({"config": {**DAILY, "timezone": "Europe"}}, "config.timezone", "IANA"),
    ({"config": {**DAILY, "timezone": "a\0"}}, "config.timezone", "IANA"),
    ({"config": {**DAILY, "timezone": ""}}, "config.timezone", "IANA"),
    ({"config": {**DAILY, "timezone": 1}}, "config.timezone", ""),
    ({"config": {"run_at": PASSED}}, "config.run_at", "has passed"),
    ({"config": {"run_at": "tomorrow"}}, "config.run_at", ""),
    ({"config": {"run_at": "2126-11-25T08:00:00"}}, "config.run_at", ""),
    ({"config": {"run_at": "2126-02-30T08:00:00Z"}}, "config.run_at", "no such time"),
    ({"config": {"run_at": "0000-01-01T00:00:00Z"}}, "config.run_at", "no such time"),
    ({"config": {"run_at": "9999-12-31T23:59:59-23:59"}}, "config.run_at", "no such time"),
    ({"config": {"run_at": TO_COME, "expires_at": TO_COME}}, "config.expires_at", "for a schedule"),
    ({"config": {**DAILY, "expires_at": PASSED}}, "config.expires_at", "has passed"),
    ({"input_transformer": {"path": 1}}, "input_transformer.path", ""),
    ({"input_transformer": {"path": "x" * 1025}}, "input_transformer.path", ""),
    ({"input_transformer": {"selector": {"a": 1}}}, "input_transformer.selector.a", ""),
    ({"input_transformer": {"selector": {str(number): "" for number in range(65)}}}, "input_transformer.selector", ""),
    ({"input_transformer": {"selector": {"a": "x" * 4097}}}, "input_transformer.selector.a", ""),
    ({"input_transformer": []}, "input_transformer", ""),
]


@pytest.fixture(scope="module")
def one(place: Callers) -> tuple[str, str]:
    """The paths of an App's triggers and of its one trigger."""
    path = _app(place, "one", {"name": "one", "schedule": "0 9 * * *"})
    return path, f"{path}/{place.anna.get(path)[0]['id']}"


@pytest.mark.parametrize(("change", "field", "why"), WRONG)
def test_a_wrong_body_is_refused_with_its_field(place: Callers, one: tuple[str, str], change: Manifest, field: str, why: str) -> None:
    path, existing = one
    data = json.dumps({**_body("fine"), **change})
    answers = [place.anna("POST", path, data=data, headers={"Content-Type": "application/json"})]
    if change != {"config": None}:  # which leaves it as it is
        answers.append(place.anna("PUT", existing, data=json.dumps(change), headers={"Content-Type": "application/json"}))
    for answer in answers:
        details = problem(answer, 422)["details"]
        assert field in details
        assert why in details[field]
    assert _stored(place, "one") == [{"name": "one", "schedule": "0 9 * * *"}]


def test_what_etcd_does_not_take_is_refused(place: Callers) -> None:
    path = _app(place, "large")
    large = {"selector": {str(number): "\0" * 4096 for number in range(64)}}
    problem(place.anna("POST", path, {**_body("first"), "input_transformer": large}), 422, "more than the cluster stores")
    assert _stored(place, "large") == []


def test_events_are_the_jobs_that_ran_it(place: Callers, one: tuple[str, str]) -> None:
    _, existing = one
    assert place.anna("GET", f"{existing}/events").json() == {
        "data": [],
        "pagination": {"page": 1, "page_size": 25, "page_count": 0, "total_count": 0},
    }
    for name, app, trigger in (("mine", "one", "one"), ("other-app", "two", "one"), ("other-trigger", "one", "two")):
        pod = {"spec": {"restartPolicy": "Never", "containers": [{"name": "run", "image": factories.IMAGE}]}}
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": place.namespace, "labels": {APP_LABEL: app, TRIGGER_LABEL: trigger}},
            "spec": {"suspend": True, "template": pod},
        }
        assert place.api.create(job).ok
    (event,) = place.anna.get(f"{existing}/events")
    responses.TriggerEvent.model_validate(event)
    assert (event["name"], event["status"], event["trigger_id"]) == ("mine", "running", existing.rpartition("/")[2])


def test_a_run_that_is_asked_for_is_a_job_that_begins_now(place: Callers) -> None:
    nightly = {"name": "nightly", "schedule": "0 3 * * *", "input": '{"a": 1}'}
    path = _app(place, "now", nightly, {"name": "broken", "schedule": "0 3 * * *", "input": "{"})
    found = {each["name"]: f"{path}/{each['id']}" for each in place.anna.get(path)}
    one = found["nightly"]
    problem(place.anna("POST", f"{one}/run"), 409, "deploy it first")
    app = factories.app_manifest(factories.in_namespace(place.namespace), name="now")
    live = {"row": "now-1", "sequence": 1, "workflowVersion": "v1", "runtime": "1.0.0"}
    assert place.api.merge(app, {"status": {"live": live}}, subresource="/status").ok
    problem(place.anna("POST", f"{found['broken']}/run"), 409, "input is not JSON")
    problem(place.viewer("POST", f"{one}/run"), 403)

    event = place.anna.post(f"{one}/run", status=202)
    responses.TriggerEvent.model_validate(event)
    assert (event["status"], event["trigger_id"]) == ("running", one.rpartition("/")[2])
    job = place.api.get("Job", event["name"], place.namespace, api_version="batch/v1").body
    assert [(each["kind"], each["name"]) for each in job["metadata"]["ownerReferences"]] == [("App", "now")]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == TRIGGER_IMAGE
    inputs, trigger = container["env"]
    assert inputs == {"name": "DYNAMIQ_TRIGGER_INPUT_1", "value": '{"a": 1}'}
    assert trigger == {"name": "DYNAMIQ_TRIGGER", "value": "nightly"}, "the run's record names what started it"
    assert APP_LABEL not in job["spec"]["template"]["metadata"]["labels"]

    twice = [place.anna("POST", f"{one}/run", headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in twice] == [202, 202]
    first, second = (answer.json()["data"] for answer in twice)
    assert first["id"] == second["id"] != event["id"]
    assert twice[1].headers["Idempotency-Replayed"] == "true"
    eventually("both have ended", lambda: [each["status"] for each in place.anna.get(f"{one}/events")] == ["succeeded", "succeeded"])


def test_a_failed_run_tells_what_the_app_says_of_it(place: Callers) -> None:
    path = _app(place, "told", {"name": "nightly", "schedule": "0 3 * * *"})
    one = f"{path}/{place.anna.get(path)[0]['id']}"
    pod = {"spec": {"restartPolicy": "Never", "containers": [{"name": "run", "image": factories.IMAGE}]}}
    labels = {APP_LABEL: "told", TRIGGER_LABEL: "nightly"}
    meta = {"name": "told-1", "namespace": place.namespace, "labels": labels}
    spec = {"activeDeadlineSeconds": 1, "template": {**pod, "spec": {**pod["spec"], "nodeSelector": {"none": "such"}}}}
    assert place.api.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec}).ok
    app = factories.app_manifest(factories.in_namespace(place.namespace), name="told")
    run = {"trigger": "nightly", "job": "told-1", "startedAt": PASSED, "endedAt": PASSED, "outcome": "Failed", "message": "not sent: …"}
    assert place.api.merge(app, {"status": {"triggers": [run]}}, subresource="/status").ok
    event = eventually(
        "it has failed", lambda: next((each for each in place.anna.get(f"{one}/events") if each["status"] == "failed"), None)
    )
    assert event["message"] == "not sent: …"


def test_who_may_only_read_is_told_so_and_who_may_not_is_told_nothing(place: Callers) -> None:
    path = _app(place, "guarded", {"name": "one", "schedule": "0 9 * * *"})
    app_id = path.split("/")[3]
    existing = f"{path}/{place.viewer.get(path)[0]['id']}"
    assert place.viewer.get(existing)["status"] == "active"
    assert place.viewer.get(f"{existing}/events") == []
    writes: list[tuple[str, str, Any]] = [
        ("POST", path, _body("two")),
        ("PUT", existing, {"name": "two"}),
        ("PUT", existing, {}),
        ("DELETE", existing, None),
        ("POST", f"{existing}/activate", None),
        ("POST", f"{existing}/deactivate", None),
    ]
    for method, where, body in writes:
        problem(place.viewer(method, where, body), 403)
    reads = [("GET", path, None), ("GET", existing, None), ("GET", f"{existing}/events", None), ("POST", f"{existing}/run", None)]
    for method, where, body in (*reads, *writes):
        hidden = problem(place.stranger(method, where, body), 404)
        unknown = problem(place.stranger(method, where.replace(app_id, UNKNOWN), body), 404)
        assert json.dumps(hidden).replace(app_id, UNKNOWN) == json.dumps(unknown)
    for odd in ("none", "%00", "%F0%9F%A6%8A", UNKNOWN, "7" * 300):
        problem(place.anna("GET", f"{path}/{odd}"), 404)
        problem(place.anna("DELETE", f"{path}/{odd}"), 404)
    assert _stored(place, "guarded") == [{"name": "one", "schedule": "0 9 * * *"}]
