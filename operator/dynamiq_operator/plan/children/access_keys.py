"""Access Keys: made once, the user's from then on, and in force in the pods soon after each change.

A kubelet refreshes what its pods mount every 60 to 90 s, but at once when a pod's own object changes: so running pods get an
annotation with the Secret's version. They are not replaced by it, since it is no part of their template. Since when that
version is known is noted on the workload, so that it survives a restart of the operator; pods created later mount that version.

Secrets are not watched. The operator looks at this one when something points at it: the App changed, or says that its keys did, or a
pod cannot begin, which is what a Secret that is gone looks like.
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
from dynamiq_operator.plan.observed.pods import Pod
from dynamiq_operator.plan.operations import AnnotatePod, CreateAccessKeys
from dynamiq_operator.plan.snapshot import KeysPresence
from dynamiq_operator.plan.workloads import environment

CLOCKS = timedelta(seconds=60)
"""How far the operator's clock may be behind that of the API server, which dates pods: a pod is annotated once too often, never too little."""


FIRST_LOOK = 15.0
"""Seconds for which a pod waits for what it mounts before the Secret is looked at again; then after twice as long, and so on."""


def pointers(app: App, pods: Iterable[Pod], slices: Iterable[Slice], now: datetime) -> frozenset[tuple[str, str]]:
    """What points at the Secret: a reading of it holds until there is something here that was not there then.

    A gate notes in its own endpoint, now and then, that it has refused a key: it may be a new one.
    """
    announced = app.meta.annotations.get(names.KEYS_CHANGED_ANNOTATION, "")
    waiting = ((pod.uid, str(_looks(pod, now))) for pod in pods if pod.awaits_mounts)
    refused = (("refused", endpoint.note) for each in slices if each.is_gates for endpoint in each.endpoints if endpoint.note)
    return frozenset({("generation", str(app.meta.generation)), ("announced", announced), *waiting, *refused})


def are_read(app: App, workloads: Iterable[Manifest]) -> bool:
    """Whether the Secret is looked at: its pods check keys, or are to."""
    return app.spec.is_private or any(checks_keys(each["spec"]["template"]) for each in workloads)


def seconds_to_look(context: Context) -> Iterator[float]:
    """Seconds until each pod that cannot begin points at the Secret once more."""
    if not environment.needs_keys(context):
        return
    for pod in context.snapshot.pods:
        if pod.awaits_mounts:
            yield FIRST_LOOK * 2 ** _looks(pod, context.now) - _age(pod, context.now)


def key_creation(context: Context) -> Iterator[CreateAccessKeys]:
    """The Secret, where there is none."""
    problem = context.snapshot.problems.get(SECRET.key(context.app.meta.name))
    if problem is not None and problem.holds_back(""):
        return
    if environment.needs_keys(context) and context.snapshot.access_keys.presence is KeysPresence.ABSENT:
        yield CreateAccessKeys(context.app)


def are_foreign(context: Context) -> bool:
    """Whether the Secret of the App's keys belongs to another owner. No pod may mount it: naming an App so would make it readable."""
    return environment.needs_keys(context) and context.snapshot.access_keys.presence is KeysPresence.FOREIGN


def are_awaited(context: Context) -> bool:
    """Whether a workload is made once the keys are, in the next plan: it notes their version, and is written once so."""
    absent = context.snapshot.access_keys.presence is KeysPresence.ABSENT
    return environment.needs_keys(context) and absent


def key_note(context: Context, workload: Manifest | None) -> str | None:
    """What a workload notes of the keys: their version, and, where it changed under running pods, since when."""
    if not environment.needs_keys(context):
        return None
    seen, noted = context.snapshot.access_keys, _noted(workload)
    if not seen.version or seen.presence is not KeysPresence.PRESENT or (noted and noted.split(" ")[0] == seen.version):
        return noted
    return f"{seen.version} {format_time(seen.since)}" if noted and seen.since else seen.version


def annotate_pods(context: Context) -> Iterator[AnnotatePod]:
    """The pods that were created before the keys were last changed, and that are not annotated with that change."""
    for label, workload in context.workloads.by_label.items():
        version, since = _parsed(key_note(context, workload))
        if since is None:
            continue
        for pod in context.snapshot.pods:
            if pod.pins == label and pod.keys != version and not pod.deleting and pod.created <= since + CLOCKS:
                yield AnnotatePod(context.app, pod.name, pod.uid, pod.version, names.KEYS_ANNOTATION, version)


def _looks(pod: Pod, now: datetime) -> int:
    """How often a pod has waited for twice as long as before."""
    return int(_age(pod, now) // FIRST_LOOK).bit_length()


def _age(pod: Pod, now: datetime) -> float:
    return max((now - pod.created).total_seconds(), 0.0)


def _noted(observed: Manifest | None) -> str | None:
    found: str | None = ((observed or {}).get("metadata", {}).get("annotations") or {}).get(names.KEYS_ANNOTATION)
    return found


def _parsed(noted: str | None) -> tuple[str, datetime | None]:
    version, _, since = (noted or "").partition(" ")
    try:
        return version, parse_time(since) if since else None
    except ValueError:
        return version, None  # edited by another manager
