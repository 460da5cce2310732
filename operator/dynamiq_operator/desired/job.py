"""Builds the Jobs that run an App's triggers: at one moment, at once, or as a CronJob creates them.

Their pods call the App's Service, so the live row answers. They have no rights in the cluster, and lack the App's label by which its
Service selects. A run is one pod that is never restarted: the caller in it knows when a retry is safe.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from dynamiq_operator.desired.base import JOB, child
from dynamiq_operator.model import names, triggers
from dynamiq_operator.model.app import Trigger
from dynamiq_operator.model.objects import App, Manifest, format_time
from dynamiq_operator.model.settings import Settings

CONTAINER = "caller"
KEYS_FOLDER = "/etc/dynamiq/access-keys"
KEPT_SECONDS = 7 * 24 * 3600
"""Seconds for which a run is kept that no CronJob keeps. Longer than `triggers.GRACE`, within which its name may be needed again."""
CONNECT_SECONDS = 120
ANSWER_SECONDS = 600
DRAIN_SECONDS = 330
"""Seconds for which a pod on a drained node still waits for the answer. The runtime ends a run after 300 s."""
RUN_SECONDS = 300
"""Seconds after which the runtime ends a run."""
END_SECONDS = 1800
"""Seconds that a run may take, whatever its pod waits for."""
PIECE = 30_000
"""Characters in one environment variable: Linux allows 128 KiB, and a character has up to 4 bytes."""


def run(app: App, trigger: Trigger, settings: Settings, name: str, hold: int = 0) -> Manifest:
    """Returns the Job of one run, which begins at its creation. `hold`: seconds for which a call may wait for the App to wake."""
    return child(app, JOB, name, labels=labels(app, trigger), spec=job_spec(app, trigger, settings, hold))


def single_run(app: App, trigger: Trigger, settings: Settings, hold: int = 0) -> Manifest:
    """Returns the Job of a trigger that runs once."""
    return run(app, trigger, settings, single_run_name(app, trigger), hold)


def single_run_name(app: App, trigger: Trigger) -> str:
    """Returns the name of the Job of a trigger that runs once."""
    at = triggers.moment(trigger.run_at)
    return names.single_run(app.meta.uid, app.meta.name, trigger.name, format_time(at) if at else "")


def labels(app: App, trigger: Trigger) -> dict[str, str]:
    """Returns the labels of a trigger's CronJob and Jobs."""
    return names.labels(app.meta.name) | names.run_selector(app.meta.name, trigger.name)


def job_spec(app: App, trigger: Trigger, settings: Settings, hold: int = 0) -> dict[str, Any]:
    """Returns the spec of one pod that calls the App until it gets the answer or times out.

    The timeout leaves the App time to wake and to run.
    """
    answer = max(ANSWER_SECONDS, hold + RUN_SECONDS)
    return {
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",  # a pod that is told to end counts as failed only after it has ended
        "activeDeadlineSeconds": END_SECONDS + answer - ANSWER_SECONDS,
        "ttlSecondsAfterFinished": KEPT_SECONDS,
        "template": {
            "metadata": {"labels": names.caller_labels(app.meta.name, trigger.name)},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": DRAIN_SECONDS,
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [_container(app, trigger, settings, answer)],
                "volumes": _volumes(app),
            },
        },
    }


def _container(app: App, trigger: Trigger, settings: Settings, answer: int) -> dict[str, Any]:
    keys = app.spec.is_private
    return {
        "name": CONTAINER,
        "image": settings.trigger_image,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "trigger",
            f"http://{names.service(app.meta.name)}.{app.meta.namespace}.svc/",
            f"--connect-for={CONNECT_SECONDS}",
            f"--timeout={answer}",
            *([f"--keys={KEYS_FOLDER}"] if keys else []),
            *_not_after(trigger),
        ],
        "env": list(_environment(trigger)),
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "access-keys", "mountPath": KEYS_FOLDER, "readOnly": True}] if keys else [],
    }


def _volumes(app: App) -> list[dict[str, Any]]:
    if not app.spec.is_private:
        return []
    return [{"name": "access-keys", "secret": {"secretName": names.access_keys(app.meta.name)}}]


def _not_after(trigger: Trigger) -> list[str]:
    """Returns the argument with the time after which the caller must not call the App."""
    # The operator deletes CronJobs of expired triggers and creates no late Jobs. This argument holds while the operator does not run.
    ends = triggers.moment(trigger.expires_at)
    if ends is None and (at := triggers.moment(trigger.run_at)) is not None:
        ends = at + triggers.GRACE
    return [f"--not-after={format_time(ends)}"] if ends else []


def _environment(trigger: Trigger) -> Iterator[dict[str, str]]:
    """Yields the variables with the trigger's name and its input, cut into pieces."""
    transformer = json.dumps(trigger.input_transformer.as_json(), sort_keys=True) if trigger.input_transformer else ""
    for name, text in (("INPUT", trigger.input or ""), ("TRANSFORMER", transformer)):
        for number, begin in enumerate(range(0, len(text), PIECE), 1):
            # `$(OTHER)` is expanded by the kubelet, and `$$` stands for a dollar.
            yield {"name": f"DYNAMIQ_TRIGGER_{name}_{number}", "value": text[begin : begin + PIECE].replace("$", "$$")}
    yield {"name": "DYNAMIQ_TRIGGER", "value": trigger.name}
