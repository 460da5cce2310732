"""Builds the CronJobs of an App's triggers: one for each schedule that is to run.

A CronJob exists only while its trigger is to run, and is replaced when its times change. Otherwise Kubernetes would at once run what
it seems to have missed while the CronJob was suspended, or before it was changed.
"""

from __future__ import annotations

from dynamiq_operator.desired.base import CRON_JOB, child
from dynamiq_operator.desired.inputs import Inputs, hold_of
from dynamiq_operator.desired.job import job_spec, labels
from dynamiq_operator.model import triggers
from dynamiq_operator.model.app import Trigger
from dynamiq_operator.model.objects import Manifest

UTC = "Etc/UTC"
TIMES = frozenset({"schedule", "timeZone", "suspend"})
"""Fields that decide when it runs."""
HISTORY = 5
"""Runs of each outcome that a CronJob keeps."""


def schedule(trigger: Trigger) -> str:
    """Returns the cron expression for a CronJob."""
    return " ".join((trigger.schedule or "").split())


def cron_jobs(inputs: Inputs) -> list[Manifest]:
    """Returns one CronJob for each trigger that is to run on its schedule."""
    return [_cron_job(inputs, name, trigger) for name, trigger in inputs.schedules.items()]


def _cron_job(inputs: Inputs, name: str, trigger: Trigger) -> Manifest:
    app = inputs.app
    spec = {
        "schedule": schedule(trigger),
        "timeZone": trigger.timezone or UTC,
        "suspend": False,
        "concurrencyPolicy": "Allow",
        "startingDeadlineSeconds": int(triggers.GRACE.total_seconds()),
        "successfulJobsHistoryLimit": HISTORY,
        "failedJobsHistoryLimit": HISTORY,
        "jobTemplate": {
            "metadata": {"labels": labels(app, trigger)},
            "spec": job_spec(app, trigger, inputs.settings, hold_of(inputs.pinned)),
        },
    }
    return child(app, CRON_JOB, name, labels=labels(app, trigger), spec=spec)
