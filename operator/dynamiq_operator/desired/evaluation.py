"""Builds the Job that evaluates a version's new pods before callers reach them. Its program is the App owner's; its rights are minimal.

Its pod has none of the App's labels, so no Service selects it, and no token of the API server. The Job owns the Secret with its key.
Only the new pods accept that key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dynamiq_operator.desired.base import JOB, SECRET, child
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.verification import VerifyJob

CONTAINER = "evaluation"
KEY = "key"
KEPT_SECONDS = 3600
"""Seconds that an ended Job is kept for its logs."""
URLS_MAX = 20
TMP_SIZE = "64Mi"
RESOURCES = {
    "requests": {"cpu": "10m", "memory": "32Mi", "ephemeral-storage": "0"},
    "limits": {"memory": "512Mi", "ephemeral-storage": "1Gi"},
}


def evaluation_job(app: App, name: str, row: str, verify: VerifyJob, seconds: int, addresses: Iterable[str], port: int) -> Manifest:
    """Returns the Job that evaluates the pods at `addresses`, which run the row with the uid `row`.

    It is suspended until the pods know its key. Then it has `seconds`.
    """
    urls = [url(address, port) for address in addresses][:URLS_MAX]
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": verify.image,
        "imagePullPolicy": "IfNotPresent",
        **({"command": [_literal(each) for each in verify.command]} if verify.command else {}),
        **({"args": [_literal(each) for each in verify.args]} if verify.args else {}),
        "env": [
            {"name": "DYNAMIQ_URL", "value": urls[0]},
            {"name": "DYNAMIQ_URLS", "value": ",".join(urls)},
            {"name": "DYNAMIQ_KEY", "valueFrom": {"secretKeyRef": {"name": name, "key": KEY}}},
            {"name": "DYNAMIQ_APP", "value": app.meta.name},
        ],
        "resources": RESOURCES,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a volume of the pod's own
    }
    spec = {
        "suspend": True,
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "activeDeadlineSeconds": seconds,
        "ttlSecondsAfterFinished": KEPT_SECONDS,
        "template": {
            "metadata": {"labels": names.evaluation_labels(app.meta.name)},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 5,
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [container],
                "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": TMP_SIZE}}],
            },
        },
    }
    return child(app, JOB, name, labels={names.VERIFICATION_LABEL: row}, spec=spec)


def evaluation_key(app: App, job: str, job_uid: str, key: str) -> Manifest:
    """Returns the Secret of the Job's key, which is deleted with the Job."""
    made = child(app, SECRET, job, type="Opaque", stringData={KEY: key})
    made["metadata"]["ownerReferences"] = [{"apiVersion": JOB.api_version, "kind": JOB.kind, "name": job, "uid": job_uid}]
    return made


def url(address: str, port: int) -> str:
    """Returns the URL of a pod."""
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


def _literal(text: str) -> str:
    """Doubles each dollar: the kubelet expands `$(OTHER)`, and takes two dollars for one."""
    return text.replace("$", "$$")
