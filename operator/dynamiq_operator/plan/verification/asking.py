"""What is to be asked now: of the new pods, once all of them are ready, and until they have answered or are others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dynamiq_operator.desired.pod_template import DEFAULT_PORT
from dynamiq_operator.model import names
from dynamiq_operator.model.guards import GuardReason
from dynamiq_operator.model.objects import App, Record, parse_time
from dynamiq_operator.model.verification import Verify
from dynamiq_operator.plan.children import selection
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.pods import Pod
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.workloads.verified import to_verify


@dataclass(frozen=True)
class Asked:
    """What these pods of the row of this uid are asked. `job`: name of the Job that evaluates them, and of the Secret of its key, where there is to be one.

    `began`: when it did by what is written of the row, so that its time is over whichever operator asks; None where nothing is.
    """

    row: str
    verify: Verify
    pods: tuple[Pod, ...]
    port: int
    job: str = ""
    began: datetime | None = None

    @property
    def uids(self) -> frozenset[str]:
        return frozenset(pod.uid for pod in self.pods)


def due(snapshot: Snapshot, app: App) -> Asked | None:
    """Of an App; nothing for most, at no cost."""
    if not any(row.pinned is not None and row.pinned.verify is not None and row.outcome is None for row in snapshot.records):
        return None
    return asked(Context.of(snapshot, app))


def asked(context: Context) -> Asked | None:
    """What the new pods are asked now. Once it has begun it goes on with the same pods, Ready or not: what they answer then decides."""
    found = to_verify(context)
    if found is None or not context.switches or context.label == context.serving or context.app.meta.deleting:
        return None
    row, verify = found
    pods = tuple(pod for pod in context.pods if not pod.deleting and pod.ip)
    uids, said = frozenset(pod.uid for pod in pods), context.snapshot.verification
    has_begun = said is not None and said.row == row.meta.uid and said.pods == uids
    if not pods or not (has_begun or selection.is_ready(context, context.label)):
        return None
    port = context.target_pins.runtime.port if context.target_pins is not None else None
    job = names.evaluation(context.app.meta.name, row.meta.uid, uids) if verify.job is not None else ""
    return Asked(row.meta.uid, verify, pods, port or DEFAULT_PORT, job, _began(context, row, verify))


def _began(context: Context, row: Record, verify: Verify) -> datetime | None:
    """A time in which no operator could work is not counted."""
    waits = row.status.waits
    if waits is None or waits.reason is not GuardReason.VERIFYING or not waits.until:
        return None
    since = parse_time(waits.until) - timedelta(seconds=verify.seconds)
    return max(since, context.snapshot.unattended_until or since)
