"""Decides which requests the new pods get now: once all are ready, until they have answered or are replaced. It sends none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dynamiq_operator.desired.pod_template import DEFAULT_PORT
from dynamiq_operator.model import names
from dynamiq_operator.model.guards import GuardReason
from dynamiq_operator.model.objects import App, Row, parse_time
from dynamiq_operator.model.verification import Verify
from dynamiq_operator.plan.children import selection
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.operator import OperatorState
from dynamiq_operator.plan.observed.pods import ObservedPod
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.workloads.verified import to_verify


@dataclass(frozen=True)
class VerificationRequest:
    """The verification of these pods of the row of this uid. `job`: name of its evaluation Job, and of the Secret of its key, if it has
    one.

    `began`: when it began, according to the row, so that its time limit holds for every operator; None if it has not begun.
    """

    row: str
    verify: Verify
    pods: tuple[ObservedPod, ...]
    port: int
    job: str = ""
    began: datetime | None = None

    @property
    def uids(self) -> frozenset[str]:
        return frozenset(pod.uid for pod in self.pods)


def due(snapshot: Snapshot, app: App) -> VerificationRequest | None:
    """Returns the verification that is due for an App; None for most."""
    # Checked first, so that most Apps cost nothing.
    if not any(row.pinned is not None and row.pinned.verify is not None and row.outcome is None for row in snapshot.rows.observed):
        return None
    return request_of(Context.of(snapshot, app))


def request_of(context: Context) -> VerificationRequest | None:
    """Returns the verification that the new pods get now. Once begun, it continues with the same pods, ready or not."""
    unverified = to_verify(context.history)
    if unverified is None or not context.switches or context.label == context.serving or context.app.meta.deleting:
        return None
    row, verify = unverified
    pods = tuple(pod for pod in context.pods if not pod.deleting and pod.ip)
    uids, progress = frozenset(pod.uid for pod in pods), context.snapshot.verification.progress
    has_begun = progress is not None and progress.is_of(row.meta.uid, uids)
    if not pods or not (has_begun or selection.is_ready(context, context.label)):
        return None
    port = context.target_pins.runtime.port if context.target_pins is not None else None
    job = names.evaluation(context.app.meta.name, row.meta.uid, uids) if verify.job is not None else ""
    return VerificationRequest(row.meta.uid, verify, pods, port or DEFAULT_PORT, job, _began(context.snapshot.operator, row, verify))


def _began(operator: OperatorState, row: Row, verify: Verify) -> datetime | None:
    """Returns when the verification began, according to the row. Times in which no operator could work do not count."""
    waits = row.status.waits
    if waits is None or waits.reason is not GuardReason.VERIFYING or not waits.until:
        return None
    since = parse_time(waits.until) - timedelta(seconds=verify.seconds)
    return max(since, operator.unattended_until or since)
