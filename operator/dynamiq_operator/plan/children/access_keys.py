"""Plans the Secret of Access Keys: created once, then the user's, and effective in pods soon after each change. It does not read the
Secret.

A kubelet refreshes mounts every 60 to 90 s, but at once when the pod object changes. Running pods therefore get an annotation with the
Secret's version. The annotation is not in the template, so it replaces no pod. The workload notes since when this version is known, which
survives a restart of the operator. Pods created later mount this version.

Secrets are not watched. The operator reads this one after a hint: the App changed, announces new keys, or has a pod that cannot start. A
missing Secret shows as such a pod.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from dynamiq_operator.desired.base import SECRET
from dynamiq_operator.desired.pod_template import checks_keys
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, format_time, parse_time
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.endpoints import Slice
from dynamiq_operator.plan.observed.pods import ObservedPod
from dynamiq_operator.plan.observed.secrets import KeysPresence
from dynamiq_operator.plan.operations import AnnotatePod, CreateAccessKeys
from dynamiq_operator.plan.workloads import environment

CLOCKS = timedelta(seconds=60)
"""The most by which the operator's clock may be behind the API server's, which dates pods. It causes superfluous annotations, never missing
ones.
"""


FIRST_ATTEMPT = 15.0
"""Seconds for which a pod waits for its mounts before the Secret is read again. Each later wait is twice as long."""


def pointers(app: App, pods: Iterable[ObservedPod], slices: Iterable[Slice], now: datetime) -> frozenset[tuple[str, str]]:
    """Returns the hints to read the Secret: an earlier reading is valid until a hint appears that did not exist then.

    The gate sometimes notes a refused key in its own endpoint: it may be a new key.
    """
    announced = app.meta.annotations.get(names.KEYS_CHANGED_ANNOTATION, "")
    waiting = ((pod.uid, str(_attempts(pod, now))) for pod in pods if pod.awaits_mounts)
    refused = (("refused", endpoint.note) for each in slices if each.is_gates for endpoint in each.endpoints if endpoint.note)
    return frozenset({("generation", str(app.meta.generation)), ("announced", announced), *waiting, *refused})


def are_read(app: App, workloads: Iterable[Manifest]) -> bool:
    """Returns True if the Secret has to be read: its pods check keys, or will."""
    return app.spec.is_private or any(checks_keys(each["spec"]["template"]) for each in workloads)


def key_times(context: Context) -> Iterator[float]:
    """Yields the seconds until each pod that cannot start is the next hint."""
    if not environment.needs_keys(context):
        return
    for pod in context.snapshot.pods.observed:
        if pod.awaits_mounts:
            yield FIRST_ATTEMPT * 2 ** _attempts(pod, context.snapshot.now) - _age(pod, context.snapshot.now)


def key_creation(context: Context) -> Iterator[CreateAccessKeys]:
    """Yields the creation of the Secret if it is missing."""
    is_held_back = context.snapshot.children.holds_back(SECRET.key(context.app.meta.name), "")
    if not is_held_back and are_awaited(context):
        yield CreateAccessKeys(context.app)


def are_foreign(context: Context) -> bool:
    """Returns True if the Secret of the App's keys has another owner."""
    # No pod may mount it: with a matching name, an App would make it readable.
    return environment.needs_keys(context) and context.snapshot.secrets.access_keys.presence is KeysPresence.FOREIGN


def are_awaited(context: Context) -> bool:
    """Returns True if the keys are created first, and the workload in the next plan: it then notes their version in one write."""
    absent = context.snapshot.secrets.access_keys.presence is KeysPresence.ABSENT
    return environment.needs_keys(context) and absent


def key_note(context: Context, workload: Manifest | None) -> str | None:
    """Returns the workload's note of the keys: their version, and since when, if that changed under running pods."""
    if not environment.needs_keys(context):
        return None
    keys, noted = context.snapshot.secrets.access_keys, _noted(workload)
    if not keys.version or keys.presence is not KeysPresence.PRESENT or (noted and noted.split(" ")[0] == keys.version):
        return noted
    return f"{keys.version} {format_time(keys.since)}" if noted and keys.since else keys.version


def annotate_pods(context: Context) -> Iterator[AnnotatePod]:
    """Yields the annotations of pods that were created before the last change of the keys and do not have it."""
    for label, workload in context.workloads.by_label.items():
        version, since = _parsed(key_note(context, workload))
        if since is None:
            continue
        for pod in context.snapshot.pods.observed:
            if pod.pins == label and pod.keys != version and not pod.deleting and pod.created <= since + CLOCKS:
                yield AnnotatePod(context.app, pod.name, pod.uid, pod.version, names.KEYS_ANNOTATION, version)


def _attempts(pod: ObservedPod, now: datetime) -> int:
    """Returns how often a pod's wait has doubled."""
    return int(_age(pod, now) // FIRST_ATTEMPT).bit_length()


def _age(pod: ObservedPod, now: datetime) -> float:
    return max((now - pod.created).total_seconds(), 0.0)


def _noted(observed: Manifest | None) -> str | None:
    value: str | None = ((observed or {}).get("metadata", {}).get("annotations") or {}).get(names.KEYS_ANNOTATION)
    return value


def _parsed(noted: str | None) -> tuple[str, datetime | None]:
    version, _, since = (noted or "").partition(" ")
    try:
        return version, parse_time(since) if since else None
    except ValueError:
        return version, None  # edited by another manager
