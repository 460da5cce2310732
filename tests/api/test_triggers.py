"""Triggers on a real control plane: CronJobs that the API server accepts, Jobs that outlive them, and one run for each moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.model.objects import format_time
from tests.support.api import Manifest
from tests.support.factories import with_triggers
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

NIGHTLY: Manifest = {"name": "nightly", "schedule": "0 3 * * *", "timezone": "Europe/Berlin", "input": '{"question": "$(HOME)?"}'}
CRON = names.trigger(APP, "nightly")


@pytest.fixture
def on(stage: HistoryStage, operator: Operator) -> HistoryStage:
    return stage


def serve(on: HistoryStage, *triggers: Manifest) -> None:
    """Makes the App with these triggers, and deploys v1."""
    on.create(on.manifest(with_triggers(*triggers)))
    on.live(APP, "v1", runtime=on.default_runtime)


def change(on: HistoryStage, *triggers: Manifest) -> None:
    on.change("App", APP, spec={"triggers": list(triggers) or None})


def cron_job(on: HistoryStage, name: str = CRON) -> Manifest | None:
    found = on.find("CronJob", name)
    return found if found is None or "deletionTimestamp" not in found["metadata"] else None


def until_made(on: HistoryStage, before: Manifest | None = None) -> Manifest:
    """Waits for the CronJob, other than `before`, and returns it."""

    def made() -> Manifest | None:
        found = cron_job(on)
        return found if found and (before is None or found["metadata"]["uid"] != before["metadata"]["uid"]) else None

    return eventually("the CronJob is made", made)


def jobs(on: HistoryStage) -> list[Manifest]:
    found: list[Manifest] = on.api.get("Job", "", on.namespace, api_version="batch/v1", labelSelector=names.MANAGED_SELECTOR).body["items"]
    return found


def runs(on: HistoryStage) -> list[Manifest]:
    found: list[Manifest] = on.get("App", APP)["status"].get("triggers", [])
    return found


def until_ran(on: HistoryStage, count: int = 1) -> list[Manifest]:
    """Returns the App's runs once `count` of them have ended."""

    def ended() -> list[Manifest] | None:
        found = runs(on)
        return found if sum("endedAt" in run for run in found) == count else None

    return eventually(f"{count} runs have ended: {runs(on)}", ended)


def fire(on: HistoryStage, job: str) -> None:
    on.kubectl("create", "job", job, f"--from=cronjob/{CRON}", namespace=on.namespace)


def soon(seconds: float) -> str:
    return format_time(datetime.now(UTC) + timedelta(seconds=seconds))


def owners(found: Manifest) -> list[tuple[str, str]]:
    return [(each["kind"], each["name"]) for each in found["metadata"].get("ownerReferences", ())]


def test_a_schedule_is_a_cron_job_that_is_kept_as_it_is(on: HistoryStage) -> None:
    serve(on, NIGHTLY)
    made = until_made(on)
    assert owners(made) == [("App", APP)]
    assert (made["spec"]["schedule"], made["spec"]["timeZone"]) == ("0 3 * * *", "Europe/Berlin")
    on.until_condition(APP, "TriggersReady", "True", reason="Scheduled")
    on.quiet()
    settled = on.get("CronJob", CRON)
    assert settled["metadata"]["generation"] == 1, "what the API server makes of it is no drift"

    edits: list[dict[str, Any]] = [
        {"spec": {"startingDeadlineSeconds": 7}},
        {"spec": {"jobTemplate": {"spec": {"backoffLimit": 6}}}},
        {"metadata": {"labels": {names.APP_LABEL: "other"}}},
    ]
    for edit in edits:
        on.change("CronJob", CRON, **edit)
        eventually(f"{edit} is undone", lambda: _stated(on.get("CronJob", CRON)) == _stated(settled))
    bare = {name: value for name, value in NIGHTLY.items() if name != "input"}
    for trigger, access in ((bare, "public"), (NIGHTLY, "private")):
        on.change("App", APP, spec={"triggers": [trigger], "access": {"type": access}})
        _until_sends(on, (trigger is NIGHTLY, access == "private"))
    assert _stated(on.get("CronJob", CRON)) == _stated(settled)
    assert on.get("CronJob", CRON)["metadata"]["uid"] == settled["metadata"]["uid"]
    on.delete("CronJob", CRON)
    again = until_made(on, settled)
    assert _stated(again) == _stated(settled)
    on.change("CronJob", CRON, spec={"suspend": True})
    until_made(on, again)
    change(on)
    eventually("it goes with its trigger", lambda: on.find("CronJob", CRON) is None)


def _until_sends(on: HistoryStage, wanted: tuple[bool, bool]) -> None:
    eventually(f"it sends input and key: {wanted}", lambda: _sends(on) == wanted)


def _sends(on: HistoryStage) -> tuple[bool, bool]:
    """Returns whether a run sends an input, and whether it sends a key."""
    spec = on.get("CronJob", CRON)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return any("_INPUT_" in each["name"] for each in spec["containers"][0]["env"]), bool(spec.get("volumes"))


def _stated(found: Manifest) -> tuple[Any, ...]:
    return found["spec"], found["metadata"]["labels"], owners(found)


def test_runs_outlive_their_cron_job_and_go_with_the_app(on: HistoryStage) -> None:
    serve(on, NIGHTLY)
    first = until_made(on)
    fire(on, "by-hand")
    (run,) = until_ran(on)
    assert (run["trigger"], run["job"], run["outcome"]) == ("nightly", "by-hand", "Succeeded")
    assert "TriggerSucceeded" in on.events(APP)
    change(on, {**NIGHTLY, "schedule": "0 4 * * *"})
    second = until_made(on, first)
    assert second["spec"]["schedule"] == "0 4 * * *"
    eventually("the App owns the run", lambda: [owners(job) for job in jobs(on)] == [[("App", APP)]])
    change(on, {**NIGHTLY, "suspend": True})
    eventually("no CronJob", lambda: on.find("CronJob", CRON) is None)
    assert [job["metadata"]["name"] for job in jobs(on)] == ["by-hand"]
    on.delete("App", APP)
    eventually("the run is gone", lambda: jobs(on) == [])


def test_a_cron_job_of_somebody_else_is_left_alone(on: HistoryStage) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "theirs", "image": "registry.test/theirs:1"}]}
    spec = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}
    stranger = on.create({**on.named("CronJob", CRON), "spec": spec})
    serve(on, NIGHTLY)
    assert CRON in on.until_condition(APP, "TriggersReady", "False", reason="NameTaken")["message"]
    assert on.get("CronJob", CRON)["spec"] == stranger["spec"]


def test_a_job_of_somebody_else_under_the_name_of_a_run_is_left_alone(on: HistoryStage) -> None:
    serve(on)
    moment = soon(2)
    name = names.single_run(on.get("App", APP)["metadata"]["uid"], APP, "once", moment)
    pod = {"restartPolicy": "Never", "containers": [{"name": "theirs", "image": "registry.test/theirs:1"}]}
    stranger = on.create({**on.named("Job", name), "spec": {"suspend": True, "template": {"spec": pod}}})
    change(on, {"name": "once", "runAt": moment})
    assert name in on.until_condition(APP, "TriggersReady", "False", reason="NameTaken")["message"]
    assert on.get("Job", name)["metadata"]["uid"] == stranger["metadata"]["uid"]


def test_a_moment_is_run_once_whenever_the_operator_is_started_anew(on: HistoryStage, operator: Operator) -> None:
    serve(on)
    on.until_condition(APP, "Ready", "True")
    operator.stop()
    moment = soon(2)
    change(on, {"name": "once", "runAt": moment})
    eventually("the moment has come", lambda: soon(0) > moment)
    operator.start()
    (run,) = until_ran(on)
    assert (run["trigger"], run["outcome"]) == ("once", "Succeeded")
    (job,) = jobs(on)
    assert owners(job) == [("App", APP)]
    operator.restart()
    on.change("App", APP, spec={"description": "looked at by the operator that was started anew"})
    on.quiet()
    assert [(each["metadata"]["name"], each["metadata"]["uid"]) for each in jobs(on)] == [(job["metadata"]["name"], job["metadata"]["uid"])]
    on.delete("Job", job["metadata"]["name"])
    eventually("the Job is gone", lambda: jobs(on) == [])
    operator.restart()
    on.change("App", APP, spec={"description": "and once more"})
    on.quiet()
    assert jobs(on) == [], "the App's status tells that it was run"
    assert len(runs(on)) == 1
