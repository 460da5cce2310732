"""Plans for triggers: when each runs, and that it runs once."""

from __future__ import annotations

import json

import pytest

from dynamiq_operator.desired.base import CRON_JOB, JOB
from dynamiq_operator.desired.job import single_run_name
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings import TRIGGER_IMAGE
from dynamiq_operator.plan.operations import RunOnce
from dynamiq_operator.plan.planner import make_plan
from tests.support import factories as given
from tests.support.world import a_world, serving
from tests.unit.support.plan_lines import shown
from tests.unit.support.triggers import CRON, HOUR, NIGHTLY, at, change, container, cron_jobs, jobs, said, told, triggering

# Schedules.


def test_a_schedule_is_a_cron_job_from_the_first_deploy_on() -> None:
    world = a_world(given.with_triggers({**NIGHTLY, "timezone": "Europe/Berlin"}))
    world.settle()
    assert cron_jobs(world) == []
    assert world.condition("TriggersReady") == ("False", "NotDeployed")
    world.deploy("a", "v1")
    world.run()
    spec = world.child(CRON_JOB.kind, CRON)["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("0 3 * * *", "Europe/Berlin", "Allow")
    assert world.condition("TriggersReady") == ("True", "Scheduled")
    assert world.plan().operations == ()


def test_its_pods_are_none_of_the_apps_and_may_do_nothing_but_call_it() -> None:
    world = triggering({**NIGHTLY, "input": '{"a": "$(HOME) $$"}', "expiresAt": at(9 * HOUR)})
    job = world.child(CRON_JOB.kind, CRON)["spec"]["jobTemplate"]["spec"]
    template = job["template"]
    assert not names.pod_selector(given.NAME).items() <= template["metadata"]["labels"].items()
    assert template["metadata"]["labels"][names.TRIGGER_OF_LABEL] == given.NAME
    assert template["spec"]["automountServiceAccountToken"] is False
    assert template["spec"]["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert (template["spec"]["restartPolicy"], job["backoffLimit"]) == ("Never", 0)
    found = container(world)
    assert found["securityContext"]["readOnlyRootFilesystem"] is True
    assert found["image"] == TRIGGER_IMAGE
    assert found["args"][:2] == ["trigger", "http://chat.demo.svc/"]
    assert f"--not-after={at(9 * HOUR)}" in found["args"]
    assert found["env"] == [
        {"name": "DYNAMIQ_TRIGGER_INPUT_1", "value": '{"a": "$$(HOME) $$$$"}'},
        {"name": "DYNAMIQ_TRIGGER", "value": "nightly"},
    ]
    assert template["spec"]["volumes"] == [{"name": "access-keys", "secret": {"secretName": "chat-access-keys"}}]


def test_a_public_app_is_called_without_a_key() -> None:
    world = serving("v1", given.with_triggers(NIGHTLY), given.public())
    assert world.child(CRON_JOB.kind, CRON)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"] == []
    assert not [each for each in container(world)["args"] if each.startswith("--keys")]


@pytest.mark.parametrize(("hold", "answer", "end"), [(120, 600, 1800), (3600, 3900, 5100)])
def test_a_caller_waits_for_an_app_that_wakes_as_long_as_the_gate_does_and_then_for_the_run(hold: int, answer: int, end: int) -> None:
    world = a_world(given.with_triggers(NIGHTLY, {"name": "once", "runAt": at(HOUR)}))
    world.install_gate("gate-a")
    world.deploy("a", "v1", config={"type": "serverless", "holdSeconds": hold})
    world.run()
    world.later(HOUR)
    (once,) = world.plan().of(RunOnce)
    for job in (world.child(CRON_JOB.kind, CRON)["spec"]["jobTemplate"]["spec"], once.manifest["spec"]):
        assert f"--timeout={answer}" in job["template"]["spec"]["containers"][0]["args"]
        assert job["activeDeadlineSeconds"] == end


def test_the_largest_input_is_passed_in_pieces() -> None:
    text = json.dumps({"a": "字" * 65000}, ensure_ascii=False)
    world = triggering({**NIGHTLY, "input": text, "inputTransformer": {"selector": {"q": "$.a"}}})
    env = {each["name"]: each["value"] for each in container(world)["env"]}
    assert all(len(value.encode()) < 128 * 1024 - 100 for value in env.values())
    assert "".join(env[f"DYNAMIQ_TRIGGER_INPUT_{number}"] for number in (1, 2, 3)) == text
    assert json.loads(env["DYNAMIQ_TRIGGER_TRANSFORMER_1"].replace("$$", "$")) == {"selector": {"q": "$.a"}}


@pytest.mark.parametrize(
    "change_of",
    [{"suspend": True}, {"suspend": True, "draft": True}, {"expiresAt": at(-1)}, {"schedule": None, "runAt": at(HOUR)}],
    ids=["suspended", "a draft", "expired", "at one moment"],
)
def test_an_inactive_trigger_has_no_cron_job(change_of: Manifest) -> None:
    world = triggering(NIGHTLY)
    assert cron_jobs(world) == [CRON]
    change(world, {key: value for key, value in (NIGHTLY | change_of).items() if value is not None})
    assert shown(world.plan())[0] == "delete CronJob"
    world.run()
    assert cron_jobs(world) == []
    assert world.condition("TriggersReady") == ("True", "Scheduled")
    change(world, NIGHTLY)
    world.run()
    assert cron_jobs(world) == [CRON]


def test_a_deleted_trigger_deletes_its_cron_job_and_keeps_its_runs() -> None:
    world = triggering(NIGHTLY)
    job = world.fire(CRON)
    change(world)
    world.run()
    assert (cron_jobs(world), jobs(world)) == ([], [job])
    assert world.child(JOB.kind, job)["metadata"]["ownerReferences"][0]["kind"] == "App"
    assert [run.trigger for run in world.app.status.triggers] == ["nightly"]


@pytest.mark.parametrize("change_of", [{"schedule": "0 4 * * *"}, {"timezone": "Asia/Tokyo"}], ids=["the schedule", "the time zone"])
def test_other_times_make_it_anew_so_that_nothing_seems_missed(change_of: Manifest) -> None:
    world = triggering(NIGHTLY)
    before = world.child(CRON_JOB.kind, CRON)["metadata"]["uid"]
    job = world.fire(CRON)
    change(world, NIGHTLY | change_of)
    world.run()
    assert world.child(CRON_JOB.kind, CRON)["metadata"]["uid"] != before
    assert jobs(world) == [job], "a run under way ends as it would have"


@pytest.mark.parametrize("edit", [{"concurrencyPolicy": "Replace"}, {"startingDeadlineSeconds": 1}, {"jobTemplate": {}}])
def test_a_cron_job_that_was_edited_is_as_it_was(edit: Manifest) -> None:
    world = triggering(NIGHTLY)
    child = world.child(CRON_JOB.kind, CRON)
    before = json.dumps(child["spec"], sort_keys=True)
    child["spec"] |= edit
    world.edited(child)
    assert shown(world.plan())[0].startswith("apply CronJob for .spec.")
    world.run()
    assert json.dumps(world.child(CRON_JOB.kind, CRON)["spec"], sort_keys=True) == before


def test_a_change_of_what_is_sent_is_applied_without_a_new_cron_job() -> None:
    world = triggering({**NIGHTLY, "input": "{}"})
    before = world.child(CRON_JOB.kind, CRON)["metadata"]["uid"]
    change(world, NIGHTLY)
    world.run()
    assert (world.child(CRON_JOB.kind, CRON)["metadata"]["uid"], len(container(world)["env"])) == (before, 1)


def test_a_stranger_of_its_name_is_a_condition_and_callers_are_served() -> None:
    world = a_world(given.with_triggers(NIGHTLY))
    world.add({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": CRON, "namespace": given.NAMESPACE}, "spec": {"mine": 1}})
    world.deploy("a", "v1")
    world.run()
    assert world.child(CRON_JOB.kind, CRON)["spec"] == {"mine": 1}
    assert world.condition("TriggersReady") == ("False", "NameTaken")
    assert (world.condition("Ready"), world.condition("ChildrenApplied")) == (("True", "Serving"), ("True", "Applied"))
    assert world.plan().requeue_after == 15


WRONG: list[tuple[Manifest, str]] = [
    ({"schedule": "0 24 * * *"}, "hour 24: use 0 to 23"),
    ({"schedule": "0 0 30 2 *"}, "no month 2 has such a day"),
    ({"timezone": "Mars/Base"}, "there is no time zone Mars/Base"),
    ({"expiresAt": "0000-01-01T00:00:00Z"}, "is not a time"),
    ({"input": "{"}, "input is not JSON"),
    ({"input": "[" * 60000}, "input is not JSON"),
    ({"input": "[1]"}, "input is not an object"),
]


@pytest.mark.parametrize(("change_of", "why"), WRONG)
def test_a_trigger_that_can_never_run_is_reported_and_the_others_run(change_of: Manifest, why: str) -> None:
    world = triggering({**NIGHTLY, **change_of}, {"name": "hourly", "schedule": "0  *  * * *"})
    assert cron_jobs(world) == ["chat-hourly"]
    assert world.child(CRON_JOB.kind, "chat-hourly")["spec"]["schedule"] == "0 * * * *"
    assert world.condition("TriggersReady") == ("False", "Invalid")
    message = next(each.message for each in world.app.status.conditions if each.type == "TriggersReady")
    assert message.startswith("trigger nightly: ")
    assert why in message
    assert world.condition("Ready") == ("True", "Serving")


def test_it_is_requeued_for_the_moment_it_expires() -> None:
    world = triggering({**NIGHTLY, "expiresAt": at(HOUR)})
    assert world.plan().requeue_after == HOUR
    world.later(HOUR)
    world.run()
    assert cron_jobs(world) == []


def test_while_a_restore_is_under_way_nothing_is_made() -> None:
    world = a_world(given.with_triggers(NIGHTLY, {"name": "once", "runAt": at(0)}), given.annotated(**{names.RESTORING_ANNOTATION: "true"}))
    world.deploy("a", "v1")
    assert world.plan().operations == ()


def test_nothing_runs_for_an_app_whose_first_deploy_failed() -> None:
    world = a_world(given.with_triggers(NIGHTLY, {"name": "once", "runAt": at(HOUR)}))
    world.refused[("Deployment", given.NAME)] = "a bad volume"
    world.deploy("a", "v1")
    world.run()
    world.later(HOUR)
    world.run()
    assert (cron_jobs(world), jobs(world)) == ([], [])


# One moment.

ONCE: Manifest = {"name": "once", "runAt": at(HOUR)}


def test_a_moment_is_one_job_when_it_has_come() -> None:
    world = triggering(ONCE)
    plan = world.plan()
    assert (plan.operations, plan.requeue_after) == ((), HOUR)
    world.later(HOUR)
    assert shown(world.plan())[0] == "run once"
    world.run()
    (job,) = jobs(world)
    assert job == single_run_name(world.app, world.app.spec.triggers[0])
    made = world.child(JOB.kind, job)
    assert made["metadata"]["ownerReferences"][0]["kind"] == "App"
    assert made["spec"]["ttlSecondsAfterFinished"] > HOUR, "its name is taken for longer than it may be made"
    world.end_job(job)
    world.run()
    world.remove_job(job)
    world.later(60)
    world.run()
    assert jobs(world) == [], "the status tells that it has run"
    assert [run[:2] for run in told(world)] == [("once", "Succeeded")]


def test_a_repeat_by_another_replica_meets_the_same_job() -> None:
    world = triggering(ONCE)
    world.later(HOUR)
    before = world.snapshot()
    world.run()
    again = make_plan(before).of(RunOnce)
    assert again
    world.perform(again)
    assert len(jobs(world)) == 1


@pytest.mark.parametrize(("late", "runs"), [(HOUR, True), (HOUR + 1, False)])
def test_a_moment_that_passed_without_a_leader_runs_for_an_hour(late: float, runs: bool) -> None:
    world = triggering(ONCE)
    world.later(HOUR + late)
    world.run()
    assert bool(jobs(world)) is runs
    if not runs:
        assert told(world) == [("once", "Missed", f"it was due at {at(HOUR)}, and did not run within 60 min", None)]
        assert [reason for reason, _ in said(world)] == ["TriggerMissed"]
        world.later(24 * HOUR)
        world.run()
        assert len(told(world)) == len(said(world)) == 1


def test_a_moment_before_the_app_was_made_is_not_run_as_after_a_restore() -> None:
    world = triggering({"name": "once", "runAt": at(-60)})
    assert jobs(world) == []
    world.later(2 * HOUR)
    world.run()
    assert (jobs(world), told(world)) == ([], [])


def test_a_suspended_moment_does_not_run() -> None:
    world = triggering({**ONCE, "suspend": True})
    world.later(HOUR)
    world.run()
    assert jobs(world) == []


def test_a_moment_that_cannot_be_made_is_a_condition_and_tried_again() -> None:
    world = triggering(ONCE)
    job = single_run_name(world.app, world.app.spec.triggers[0])
    world.denied.add((JOB.kind, job))
    world.later(HOUR)
    world.run()
    assert world.condition("TriggersReady") == ("False", "Denied")
    world.denied.clear()
    world.problems.clear()  # what the operator does after a while
    world.run()
    assert jobs(world) == [job]
    assert world.condition("TriggersReady") == ("True", "Scheduled")


# Results of runs.
