"""Counting the runs of the row that is deployed or watched, and of the version before it, from what pods say at each observation."""

from __future__ import annotations

from dataclasses import replace

from dynamiq_operator.model.objects import App, parse_time
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.lifecycle import History
from dynamiq_operator.plan.observed.run_counts import RunCounts, updated
from dynamiq_operator.plan.revert.watch import counts_runs, is_near_end
from dynamiq_operator.plan.snapshot import Snapshot


def count(snapshot: Snapshot, app: App, counted: RunCounts) -> RunCounts:
    """What was `counted` before, with what this snapshot tells."""
    if app.spec.rollout.revert is None:
        return RunCounts()
    history = History.of(snapshot.records)
    if not counts_runs(app, history, snapshot.now) or history.target is None or history.target.pinned is None:
        return RunCounts()
    context = Context.of(snapshot, app)
    began = parse_time(history.target.pinned.created_at)
    if counted.row != history.target.name:
        counted = RunCounts(history.target.name)
    there = {pod.uid: pod for pod in context.pods}
    own = frozenset(uid for uid, pod in there.items() if pod.created >= began)
    restarts = {uid: pod.container.restarts for uid, pod in there.items() if uid not in own and pod.container is not None}
    previous = counted.previous
    if history.candidate is not None:
        others = {pod.uid for pod in snapshot.pods if pod.uid not in there and pod.uid not in counted.pods and _serves(context, pod.pins)}
        previous = updated(previous, {uid: said for uid, said in snapshot.activity.items() if uid in others})
    found = RunCounts(
        counted.row,
        updated(counted.pods, {uid: said for uid, said in snapshot.activity.items() if uid in there}),
        counted.own | own,
        {**restarts, **counted.restarts},
        previous,
        counted.last_look,
        counted.begun_by,
    ).noted(snapshot.now)
    # One look alone has most of the 1 %, so it is taken once, and stays.
    if found.last_look is None and is_near_end(app, history, snapshot.now):
        return replace(found, last_look=found.looked_at(snapshot.now))
    return found


def _serves(context: Context, label: str) -> bool:
    """Whether pods of this label are those that callers reach, and not such as are kept warm."""
    return not context.switches or label == context.serving
