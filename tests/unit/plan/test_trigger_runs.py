"""Runs of a trigger in the App's status and in Events, each run once."""

from __future__ import annotations

import json

import pytest

from dynamiq_operator.desired.base import JOB
from dynamiq_operator.model.settings import TRIGGER_IMAGE
from dynamiq_operator.plan.operations import SetAppStatus
from tests.support import factories as given
from tests.unit.support.triggers import CRON, NIGHTLY, at, said, told, triggering


def word(message: str, version: str = "v1") -> str:
    return json.dumps({"message": message, "workflowHash": given.flow_hash(version)})


def test_the_status_has_a_run_while_it_runs_and_after_it() -> None:
    world = triggering(NIGHTLY)
    job = world.fire(CRON)
    world.run()
    assert told(world) == [("nightly", "Running", None, None)]
    assert said(world) == []
    world.later(3)
    world.end_job(job, word("the App answered 200 after 0.2 s"))
    world.run()
    assert told(world) == [("nightly", "Succeeded", "the App answered 200 after 0.2 s", "v1")]
    (run,) = world.app.status.triggers
    assert (run.job, run.started_at, run.ended_at) == (job, at(0), at(3))
    assert said(world) == [("TriggerSucceeded", f"trigger nightly ({job}, v1): the App answered 200 after 0.2 s")]
    assert world.plan().operations == ()


def test_the_version_is_the_one_that_answered() -> None:
    world = triggering(NIGHTLY)
    job = world.fire(CRON)
    world.deploy("b", "v2")
    world.run()
    world.end_job(job, word("the App answered 200 after 0.2 s", "v1"))
    world.run()
    assert told(world)[0][3] == "v1"


@pytest.mark.parametrize(
    ("text", "reason", "code", "message"),
    [
        (
            word("the App answered 500 (node_failed) after 0.2 s"),
            "BackoffLimitExceeded",
            1,
            "the App answered 500 (node_failed) after 0.2 s",
        ),
        ("", "BackoffLimitExceeded", 137, "its pod ended with exit code 137, Error"),
        ("Traceback: the secret", "BackoffLimitExceeded", 1, "its pod ended with exit code 1, Error"),
        (json.dumps({"message": "a\x1b[31m\nb"}), "BackoffLimitExceeded", 1, "a\\x1b[31m\\nb"),
        (json.dumps({"message": "x" * 4000}), "BackoffLimitExceeded", 1, "x" * 200),
        ("[]", "BackoffLimitExceeded", 1, "its pod ended with exit code 1, Error"),
        (None, "DeadlineExceeded", 0, "its Job failed: DeadlineExceeded"),
    ],
)
def test_the_cause_of_a_failed_run_is_one_line(text: str | None, reason: str, code: int, message: str) -> None:
    world = triggering(NIGHTLY)
    job = world.fire(CRON)
    world.end_job(job, text, reason=reason, code=code)
    world.run()
    assert [run[:3] for run in told(world)] == [("nightly", "Failed", message)]
    assert [reason for reason, _ in said(world)] == ["TriggerFailed"]


def test_a_job_that_ends_before_its_pod_waits_for_the_message_of_the_pod() -> None:
    world = triggering(NIGHTLY)
    job = world.fire(CRON)
    world.call(job, phase="Running")
    world.end_job(job)
    world.run()
    assert told(world)[0][1] == "Running"
    assert world.plan().requeue_after == 10
    world.end_job(job, word("the App answered 200 after 0.2 s"))
    world.run()
    assert told(world) == [("nightly", "Succeeded", "the App answered 200 after 0.2 s", "v1")]


def test_an_image_that_cannot_be_pulled_is_reported_while_the_run_waits_and_at_its_end() -> None:
    world = triggering(NIGHTLY)
    job = world.fire(CRON)
    for reason in ("ContainerCreating", "ErrImagePull", "ImagePullBackOff"):
        world.call(job, phase="Pending", containerStatuses=[{"state": {"waiting": {"reason": reason}}}])
        world.run()
    message = f"its image {TRIGGER_IMAGE} cannot be pulled: see the operator's --trigger-image"
    assert told(world) == [("nightly", "Running", message, None)]
    del world.callers[job]
    world.end_job(job, reason="DeadlineExceeded")
    world.run()
    assert told(world) == [("nightly", "Failed", message, None)]


def test_the_last_ten_are_kept_whatever_becomes_of_their_jobs() -> None:
    world = triggering(NIGHTLY, {"name": "hourly", "schedule": "0 * * * *"})
    for number in range(1, 13):
        world.later(60)
        world.end_job(job := world.fire(CRON if number % 2 else "chat-hourly", number), word(f"No. {number}"))
        world.run()
        world.remove_job(job)
    assert [run[2] for run in told(world)] == [f"No. {number}" for number in range(12, 2, -1)]
    assert len(said(world)) == 12
    assert world.plan().operations == ()


def test_a_run_whose_job_was_deleted_has_failed() -> None:
    world = triggering(NIGHTLY)
    job = world.fire(CRON)
    world.run()
    world.remove_job(job)
    assert told(world)[0][1] == "Running"
    assert world.plan().requeue_after == 60, "a moment after it began it may only not have been seen yet"
    world.later(60)
    world.run()
    assert told(world) == [("nightly", "Failed", "its Job was deleted before it had ended", None)]


def test_runs_of_an_app_that_had_this_name_before_are_not_this_ones() -> None:
    world = triggering(NIGHTLY)
    job = world.fire(CRON)
    world.child(JOB.kind, job)["metadata"]["creationTimestamp"] = at(-1)
    assert world.plan().operations == ()


def test_the_status_is_written_twice_for_a_run() -> None:
    world = triggering(NIGHTLY)
    world.written.clear()
    job = world.fire(CRON)
    world.run()
    for status in ({"active": 1}, {"active": 1, "ready": 1}, {"ready": 0}):
        world.child(JOB.kind, job)["status"] = status
        world.edited(world.child(JOB.kind, job))
        world.run()
    world.end_job(job, word("the App answered 200 after 0.2 s"))
    world.run()
    assert sum(isinstance(action, SetAppStatus) for action in world.written) == 2
