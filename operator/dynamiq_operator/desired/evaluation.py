"""The Job that evaluates a version's new pods before a caller reaches them: a program of the App's owner, with the fewest rights there are.

Its pod has none of the App's labels, so that no Service selects it, and no token of the API server. The key is in a Secret that the Job
owns, and that only the new pods accept.
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
"""How long one that has ended stays, for its logs."""
URLS_MAX = 20
TMP_SIZE = "64Mi"
RESOURCES = {
    "requests": {"cpu": "10m", "memory": "32Mi", "ephemeral-storage": "0"},
    "limits": {"memory": "512Mi", "ephemeral-storage": "1Gi"},
}


def evaluation_job(app: App, name: str, row: str, asked: VerifyJob, seconds: int, addresses: Iterable[str], port: int) -> Manifest:
    """Of the pods at these addresses, of the row of this uid. It is suspended until the pods know its key, and then has so many seconds."""
    urls = [url(address, port) for address in addresses][:URLS_MAX]
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": asked.image,
        "imagePullPolicy": "IfNotPresent",
        **({"command": [_literal(each) for each in asked.command]} if asked.command else {}),
        **({"args": [_literal(each) for each in asked.args]} if asked.args else {}),
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
    """The Secret of its key, which goes with the Job."""
    made = child(app, SECRET, job, type="Opaque", stringData={KEY: key})
    made["metadata"]["ownerReferences"] = [{"apiVersion": JOB.api_version, "kind": JOB.kind, "name": job, "uid": job_uid}]
    return made


def url(address: str, port: int) -> str:
    """Of a pod."""
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


def _literal(text: str) -> str:
    """The kubelet expands `$(OTHER)`, and takes two dollars for one."""
    return text.replace("$", "$$")
