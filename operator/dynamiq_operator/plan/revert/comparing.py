"""Decides from the recorder's comparison whether the watched row is slower or more expensive than the one before. It sends no request.

It decides once: when enough runs count for every figure that has a limit, or else at the end of the watch. A run counts once nearly every run of
the version before would have ended: the first runs that end are the short ones.

A figure reverts the row if it regressed, not by chance, and by more than the App allows. Unknown figures revert nothing: without an answer
from the recorder, the App shows that nothing was compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from dynamiq_operator.model.objects import App, Row, format_time, parse_time
from dynamiq_operator.model.rollout import RevertPolicy
from dynamiq_operator.model.runs import FEWEST_FOR_P95, FEWEST_RUNS
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.model.trial import Compared, ComparisonResult, Trial
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.lifecycle import RowHistory, is_watched
from dynamiq_operator.plan.observed.comparison import Figure, RecordedComparison
from dynamiq_operator.plan.observed.trial import ObservedTrial
from dynamiq_operator.plan.revert.watch import trial
from dynamiq_operator.plan.snapshot import Snapshot

P95, COST = "p95_ms", "cost_usd"
_SUBJECTS = {P95: "p95", COST: "the cost per run"}


@dataclass(frozen=True)
class Question:
    """The question for the recorder. `row`: its uid. `unended`: runs in flight that began long enough ago to count; None if unknown."""

    row: str
    unended: int | None = None


def to_compare(snapshot: Snapshot, app: App) -> Question | None:
    """Returns the question for the recorder; None while no decision needs its answer."""
    policy, watched = app.spec.rollout.revert, app.status.trial
    if policy is None or not policy.compares or snapshot.settings.recorder is None or watched is None or watched.compared is not None:
        return None
    live = RowHistory.of(snapshot.rows.observed).live
    if live is None or not is_watched(watched, live, snapshot.now):
        return None
    return Question(live.meta.uid, _unended(snapshot, app, live))


def _unended(snapshot: Snapshot, app: App, live: Row) -> int | None:
    """Returns how many runs in flight began long enough ago to count; None if a pod was not read."""
    # The recorder learns of runs when they end: only pods know a run that hangs. Older runtimes do not report them.
    comparison = snapshot.trial.comparison
    if comparison is None or comparison.row != live.meta.uid or comparison.matures_seconds is None or live.pinned is None:
        return None
    since, unended = parse_time(live.pinned.created_at), 0
    for pod in Context.of(snapshot, app).pods:
        activity = snapshot.pods.activity.get(pod.uid)
        if activity is None and pod.ready:
            return None
        if activity is None or not activity.in_flight or activity.running_seconds is None:
            continue
        longest = (activity.at - since).total_seconds()
        unended += sum(comparison.matures_seconds <= seconds <= longest for seconds in activity.running_seconds)
    return unended


def too_short(observed: ObservedTrial, live: Row | None, policy: RevertPolicy) -> str:
    """Returns why p95 and cost cannot be compared within the watch; empty if they can, or if that is unknown."""
    comparison = observed.comparison
    if live is None or comparison is None or comparison.row != live.meta.uid or comparison.matures_seconds is None:
        return ""
    if not policy.compares or comparison.matures_seconds < policy.seconds:
        return ""
    return (
        f"its {compared_figures(policy)} cannot be compared: set revert.seconds to more than {comparison.matures_seconds:.0f} s. A run counts only that long after it began, three times p99 "
        f"of #{comparison.baseline}"
    )


def noted_trial(context: Context) -> Trial | None:
    """Returns the live row's `status.trial`, with the result of the comparison once that is known or the watch is over."""
    policy, live, watched = context.app.spec.rollout.revert, context.history.live, trial(context)
    if policy is None or not policy.compares or live is None or watched is None or watched.compared is not None:
        return watched
    # Compared once: after many looks, chance alone would revert some version.
    comparison = context.snapshot.trial.comparison
    if comparison is not None and comparison.row != live.meta.uid:
        comparison = None
    is_over = not is_watched(watched, live, context.snapshot.now)
    if comparison is not None and (_is_decisive(comparison, policy) or (is_over and _is_known_bad(comparison, policy))):
        return watched.model_copy(update={"compared": _decided(context.snapshot.now, policy, comparison)})
    return watched.model_copy(update={"compared": _not_compared(context, policy, comparison)}) if is_over else watched


def _is_decisive(comparison: RecordedComparison, policy: RevertPolicy) -> bool:
    # Until runs in flight count, a row whose runs hang looks no worse than the one before.
    counts_unended = comparison.matures_seconds is None or comparison.unended is not None
    return is_enough(comparison, policy) and (counts_unended or bool(faults(comparison, policy)))


def runs_needed(policy: RevertPolicy) -> int:
    """Returns how many recorded runs a row needs before it is compared."""
    return max(policy.min_runs, FEWEST_RUNS if policy.max_p95_ratio is None else FEWEST_FOR_P95)


def limits(policy: RevertPolicy) -> Iterator[str]:
    """Yields the limits of p95 and cost as phrases."""
    for figure, _, limit in _limited(policy):
        yield f"{_SUBJECTS[figure]} of its first {runs_needed(policy)} runs is more than {limit:.2f} times that of the version before"


def compared_figures(policy: RevertPolicy) -> str:
    """Returns the names of the compared figures."""
    return " and ".join(name for _, name, _ in _limited(policy))


def _limited(policy: RevertPolicy) -> Iterator[tuple[str, str, float]]:
    """Yields each figure that has a limit, with its name in messages and the limit."""
    if policy.max_p95_ratio is not None:
        yield P95, "p95", policy.max_p95_ratio
    if policy.max_cost_ratio is not None:
        yield COST, "cost", policy.max_cost_ratio


def _that_count(comparison: RecordedComparison) -> str:
    return f" that began {comparison.matures_seconds:.0f} s before or earlier" if comparison.matures_seconds is not None else ""


def is_enough(comparison: RecordedComparison, policy: RevertPolicy) -> bool:
    """Returns True if each figure that has a limit has enough runs for a result."""
    return comparison.runs >= runs_needed(policy) and not comparison.too_few and not any(_too_few(comparison, policy))


def _too_few(comparison: RecordedComparison, policy: RevertPolicy) -> Iterator[str]:
    """Yields which runs are missing, for each figure that has a limit and too few runs."""
    if policy.max_p95_ratio is not None and comparison.p95.too_few:
        yield f"comparing p95 needs {FEWEST_FOR_P95} runs of each version that were neither refused nor abandoned"
    if policy.max_cost_ratio is not None and comparison.cost.too_few:
        yield f"comparing cost needs {FEWEST_RUNS} runs of each version whose price is known"


def _is_known_bad(comparison: RecordedComparison, policy: RevertPolicy) -> bool:
    """Returns True if one figure exceeds its limit, even if another one has too few runs."""
    return comparison.runs >= policy.min_runs and not comparison.too_few and any(faults(comparison, policy))


def faults(comparison: RecordedComparison, policy: RevertPolicy) -> list[str]:
    """Returns a sentence for each figure that exceeds its limit."""
    return [fault for figure, _, limit in _limited(policy) if (fault := _fault(comparison, figure, limit))]


def _decided(now: datetime, policy: RevertPolicy, comparison: RecordedComparison) -> Compared:
    faulty = faults(comparison, policy)
    return Compared(
        at=format_time(now),
        result=ComparisonResult.REGRESSED if faulty else ComparisonResult.KEPT,
        runs=comparison.runs,
        p95_ratio=_rounded(comparison.p95),
        cost_ratio=_rounded(comparison.cost),
        message="; ".join(faulty or _kept(comparison, policy))[:512],
    )


def _fault(comparison: RecordedComparison, figure: str, limit: float) -> str:
    """Returns why a figure exceeds its limit; empty if it does not."""
    measured = _figure(comparison, figure)
    if measured.ratio is None or measured.ratio <= limit or not measured.regressed:
        return ""
    return f"{_described(comparison, figure, _above(measured.ratio, limit))} (at most {limit:.2f}){_node(comparison, figure)}"


def _kept(comparison: RecordedComparison, policy: RevertPolicy) -> Iterator[str]:
    for figure, name, limit in _limited(policy):
        ratio = _figure(comparison, figure).ratio
        if comparison.baseline is None:
            yield f"its {name} has no earlier version to compare with"
        elif ratio is None:
            yield f"its {name} is unknown"
        else:
            yield _described(comparison, figure, f"{ratio:.2f}") + (", which chance may explain" if ratio > limit else "")


def _described(comparison: RecordedComparison, figure: str, ratio: str) -> str:
    return f"{_SUBJECTS[figure]} of its first {comparison.runs} runs is {ratio} times that of #{comparison.baseline}"


def _node(comparison: RecordedComparison, figure: str) -> str:
    of, name, share = comparison.node or ("", "", 0.0)
    return f", {100 * share:.0f} % of the change by node {name[:64]}" if of == figure else ""


def _figure(comparison: RecordedComparison, figure: str) -> Figure:
    return comparison.p95 if figure == P95 else comparison.cost


def _above(ratio: float, limit: float) -> str:
    """Formats a ratio above its limit so that its digits are above the limit, too."""
    text = f"{ratio:.2f}"
    return text if float(text) > limit else f"{ratio:.4f}"


def _rounded(figure: Figure) -> float | None:
    return round(figure.ratio, 4) if figure.ratio is not None else None


def _not_compared(context: Context, policy: RevertPolicy, comparison: RecordedComparison | None) -> Compared:
    return Compared(
        at=format_time(context.snapshot.now),
        result=ComparisonResult.NOT_COMPARED,
        runs=comparison.runs if comparison is not None else None,
        message=_why_not(context.snapshot.trial, context.snapshot.settings, policy, comparison)[:512],
    )


def _why_not(observed: ObservedTrial, settings: Settings, policy: RevertPolicy, comparison: RecordedComparison | None) -> str:
    if settings.recorder is None:
        return "the operator has no recorder, set --recorder"
    if comparison is None:
        return observed.unanswered or "the recorder did not answer"
    if comparison.runs < runs_needed(policy):
        return f"the recorder had {comparison.runs} of its runs{_that_count(comparison)}, and comparing needs {runs_needed(policy)}"
    if comparison.too_few:
        return f"the recorder had fewer than {FEWEST_RUNS} runs of the version before"
    return "; ".join(_too_few(comparison, policy)) or "not every pod of it reported how many of its runs have not ended"
