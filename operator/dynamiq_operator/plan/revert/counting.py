"""Counts the runs of the row that is deployed or watched, and of the version before it, from what pods report at each observation."""

from __future__ import annotations

from dataclasses import replace

from dynamiq_operator.model.objects import App, parse_time
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.lifecycle import RowHistory
from dynamiq_operator.plan.observed.run_counts import RunCounts, updated
from dynamiq_operator.plan.revert.watch import counts_runs, is_near_end
from dynamiq_operator.plan.snapshot import Snapshot


def count(snapshot: Snapshot, app: App, counted: RunCounts) -> RunCounts:
    """Returns the counts of before, updated with this snapshot; empty if nothing is watched."""
    if app.spec.rollout.revert is None:
        return RunCounts()
    history = RowHistory.of(snapshot.rows.observed)
    if not counts_runs(app, history, snapshot.now) or history.target is None or history.target.pinned is None:
        return RunCounts()
    context = Context.of(snapshot, app)
    began = parse_time(history.target.pinned.created_at)
    if counted.row != history.target.name:
        counted = RunCounts(history.target.name)
    pods = {pod.uid: pod for pod in context.pods}
    own = frozenset(uid for uid, pod in pods.items() if pod.created >= began)
    restarts = {uid: pod.container.restarts for uid, pod in pods.items() if uid not in own and pod.container is not None}
    previous = counted.previous
    # An earlier report is of no look of this watch: runs since then are not those since the row began.
    reports = {uid: activity for uid, activity in snapshot.pods.activity.items() if activity.at >= began}
    if history.candidate is not None:
        others = {
            pod.uid for pod in snapshot.pods.observed if pod.uid not in pods and pod.uid not in counted.pods and _serves(context, pod.pins)
        }
        previous = updated(previous, {uid: activity for uid, activity in reports.items() if uid in others})
    counts = RunCounts(
        counted.row,
        updated(counted.pods, {uid: activity for uid, activity in reports.items() if uid in pods}),
        counted.own | own,
        {**restarts, **counted.restarts},
        previous,
        counted.last_look,
        counted.begun_by,
    ).noted(snapshot.now)
    # The last look has most of the 1 %, so it is taken once.
    if counts.last_look is None and is_near_end(app, history, snapshot.now):
        return replace(counts, last_look=counts.looked_at(snapshot.now))
    return counts


def _serves(context: Context, label: str) -> bool:
    """Returns True if callers reach pods of this label, so that standby pods do not count."""
    return not context.switches or label == context.serving
