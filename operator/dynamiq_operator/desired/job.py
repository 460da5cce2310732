"""The Jobs that run an App's triggers: at one moment, at once, or as a CronJob makes them.

Their pods call the App's Service, so whatever is live answers. They have neither the App's label, by which its Service selects, nor
a right in the cluster. A run is one pod that is never started again: the caller in it knows when it may retry.
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
"""How long a run is kept that no CronJob keeps: longer than `triggers.GRACE`, within which its name may be wanted again."""
CONNECT_SECONDS = 120
ANSWER_SECONDS = 600
DRAIN_SECONDS = 330
"""How long a pod whose node is drained goes on waiting for the answer: the runtime ends a run after 300 s."""
RUN_SECONDS = 300
"""After which the runtime ends a run."""
END_SECONDS = 1800
"""How long a run may take, whatever its pod waits for."""
PIECE = 30_000
"""Characters of one environment variable: Linux takes 128 KiB, and a character has up to 4 bytes."""


def run(app: App, trigger: Trigger, settings: Settings, name: str, hold: int = 0) -> Manifest:
    """The Job of one run, which begins when it is created. `hold`: seconds for which a call may wait for the App to wake."""
    made = child(app, JOB, name, spec=job_spec(app, trigger, settings, hold))
    made["metadata"]["labels"] = labels(app, trigger)
    return made


def single_run(app: App, trigger: Trigger, settings: Settings, hold: int = 0) -> Manifest:
    """The Job of a trigger that runs once."""
    return run(app, trigger, settings, single_run_name(app, trigger), hold)


def single_run_name(app: App, trigger: Trigger) -> str:
    """The Job's name of a trigger that runs once."""
    at = triggers.moment(trigger.run_at)
    return names.single_run(app.meta.uid, app.meta.name, trigger.name, format_time(at) if at else "")


def labels(app: App, trigger: Trigger) -> dict[str, str]:
    """Labels of a trigger's CronJob and Jobs."""
    return names.labels(app.meta.name) | names.run_selector(app.meta.name, trigger.name)


def job_spec(app: App, trigger: Trigger, settings: Settings, hold: int = 0) -> dict[str, Any]:
    """One pod, which calls the App until it has its answer or runs out of time: not before the App had time to wake, and to run."""
    answer = max(ANSWER_SECONDS, hold + RUN_SECONDS)
    return {
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",  # a pod that is told to end has failed when it has ended so, and not before
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
    """The argument that tells the caller until when it may call the App.

    The operator deletes the CronJob of an expired trigger, and makes no Job after its time; this holds while it does not run.
    """
    ends = triggers.moment(trigger.expires_at)
    if ends is None and (at := triggers.moment(trigger.run_at)) is not None:
        ends = at + triggers.GRACE
    return [f"--not-after={format_time(ends)}"] if ends else []


def _environment(trigger: Trigger) -> Iterator[dict[str, str]]:
    """Its input, in pieces, and by which name the run is recorded."""
    transformer = json.dumps(trigger.input_transformer.as_json(), sort_keys=True) if trigger.input_transformer else ""
    for name, text in (("INPUT", trigger.input or ""), ("TRANSFORMER", transformer)):
        for number, begin in enumerate(range(0, len(text), PIECE), 1):
            # `$(OTHER)` is expanded by the kubelet, and `$$` stands for a dollar.
            yield {"name": f"DYNAMIQ_TRIGGER_{name}_{number}", "value": text[begin : begin + PIECE].replace("$", "$$")}
    yield {"name": "DYNAMIQ_TRIGGER", "value": trigger.name}
