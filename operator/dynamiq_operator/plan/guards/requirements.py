"""Lists the guards that policies, the App and the hold put on a row now, and finds versions that must never be deployed.

It does not subtract approvals: `evaluation` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dynamiq_operator.model import freezes
from dynamiq_operator.model.breaking import Compatibility
from dynamiq_operator.model.endings import WAS_REJECTED_BY
from dynamiq_operator.model.guard_objects import DeployPolicy, Rejection
from dynamiq_operator.model.guards import AfterFreeze, ApprovalWhen, Guard, GuardReason, RowKind
from dynamiq_operator.model.manifests import ROW_KIND
from dynamiq_operator.model.objects import Row, format_time, parse_time
from dynamiq_operator.model.policy import EXPIRES_SECONDS
from dynamiq_operator.model.row import Phase, Pinned, PromotedFrom, Result, Source
from dynamiq_operator.plan.guards import sentences
from dynamiq_operator.plan.guards.hold import hold, runs_alike
from dynamiq_operator.plan.observed.sources import PinSources

if TYPE_CHECKING:
    from dynamiq_operator.plan.context import Context
    from dynamiq_operator.plan.observed.guards import ObservedGuards


def required_guards(context: Context, row: Row, pinned: Pinned, kind: RowKind) -> Iterator[Guard]:
    """Yields the guards of a row of this kind, in the order in which messages name them.

    A bypass and an automatic revert skip all of them but suspension.
    """
    if context.app.spec.suspend:
        yield Guard(reason=GuardReason.SUSPENDED)
    if passes_rules(row, pinned):
        return
    if kind is not RowKind.ROLLBACK and context.snapshot.guards.unknown:
        yield Guard(reason=GuardReason.UNKNOWN)
    for policy in context.snapshot.guards.policies:
        if applies(policy, kind):
            yield from _of_policy(context.snapshot.sources, context.snapshot.now, row, pinned, policy)
    if kind is RowKind.GIT and (held_by := hold(context)) is not None:
        yield Guard(reason=GuardReason.HELD, held_by=held_by)


def passes_rules(row: Row, pinned: Pinned) -> bool:
    """Returns True for a row that skips every guard but suspension: a bypass, or a revert by the operator."""
    return row.spec.bypass is not None or pinned.source is Source.REVERT


def applies(policy: DeployPolicy, kind: RowKind) -> bool:
    """Returns True if a policy guards rows of this kind."""
    return kind is not RowKind.ROLLBACK or not policy.spec.exempts_rollbacks


def _of_policy(sources: PinSources, now: datetime, row: Row, pinned: Pinned, policy: DeployPolicy) -> Iterator[Guard]:
    name, spec = policy.meta.name, policy.spec
    if (frozen := freezes.frozen(spec.freezes, now)) is not None:
        after = spec.after_freeze or AfterFreeze.HOLD
        until = format_time(frozen.until)
        yield Guard(reason=GuardReason.FROZEN, policy=name, window=frozen.name, until=until, after_freeze=after)
    if spec.promotion is not None and row.spec.promoted_from is not None:
        source = sources.promotions.get(row.name)
        if source is not None and source.outcome is not None:
            until = format_time(parse_time(source.outcome.at) + timedelta(seconds=spec.promotion.min_live_seconds))
            if now < parse_time(until):
                yield Guard(reason=GuardReason.SOAKING, policy=name, until=until)
    if spec.approvals is not None and (spec.approvals.when is not ApprovalWhen.BREAKING or may_break(pinned)):
        yield Guard(
            reason=GuardReason.AWAITING_APPROVAL,
            policy=name,
            approvals=spec.approvals.count,
            expires_seconds=spec.approvals.expires_seconds or EXPIRES_SECONDS,
            service_accounts=spec.approvals.service_accounts or None,
        )


def may_break(pinned: Pinned) -> bool:
    """Returns True if a version may break callers, or if that is unknown, as it was judged when the row was pinned."""
    contract = pinned.contract
    return contract is None or contract.result not in (None, Compatibility.COMPATIBLE)


def why_never(context: Context, row: Row, pinned: Pinned, kind: RowKind) -> str:
    """Returns why the rules in force never allow a row; empty if they may allow it.

    A bypass is always allowed, and so is a row with the flow and runtime of the live row, such as one that only scales.
    """
    runs = context.history.live.pinned if context.history.live is not None else None
    if row.spec.bypass is not None or (runs is not None and runs_alike(runs, pinned)):
        return ""
    if (rejection := _rejection(context.snapshot.guards, row, pinned)) is not None:
        return rejection_sentence(pinned.workflow_version, rejection)
    needs_soak = any(applies(policy, kind) and policy.spec.promotion is not None for policy in context.snapshot.guards.policies)
    return _why_not_soaked(context, row, pinned) if needs_soak and row.spec.promoted_from is not None else ""


def rejection_sentence(version: str, rejection: Rejection) -> str:
    """Returns the sentence that rows, previews and pages of History show for a rejected version."""
    return f"{version}{WAS_REJECTED_BY}{rejection.spec.by or 'somebody'}: {rejection.spec.reason}"


def _rejection(guards: ObservedGuards, row: Row, pinned: Pinned) -> Rejection | None:
    rejection = guards.rejections.get(pinned.workflow_hash)
    is_promoted = pinned.promoted_from is not None and pinned.promoted_from.verified
    return rejection or (guards.at_source.get(row.name) if is_promoted else None)


def _why_not_soaked(context: Context, row: Row, pinned: Pinned) -> str:
    """Returns why a promotion must not be deployed under a policy with a soak time; empty if it may.

    Its source row has to be verified, and the version has to stay live at the source until it has soaked. Once it has soaked, another
    version may follow there.
    """
    claimed, source = row.spec.promoted_from, context.snapshot.sources.promotions.get(row.name)
    if claimed is None:
        return ""
    where = f"App {claimed.app} in {claimed.namespace}"
    if claimed.cluster is not None:
        return _why_not_from(context.snapshot.guards, claimed, f"{where} of cluster {claimed.cluster}")
    if pinned.promoted_from is None or not pinned.promoted_from.verified:
        return f"its promotion from {where} cannot be verified: a policy requires that the version was live there long enough"
    if why := _why_not_namespace(context.snapshot.guards, claimed, where):
        return why
    if source is None:
        is_gone = (ROW_KIND, row.name) not in context.snapshot.sources.unknown and _soaks(context.snapshot.now, pinned)
        return f"its source row in {where} was deleted: a policy requires it to stay live there until it has soaked" if is_gone else ""
    if source.outcome is None or source.outcome.result is not Result.SUCCEEDED:
        return f"its version is not live in {where}, as a policy requires"
    if source.phase in (Phase.LIVE, None) or (row.pinned is not None and not _soaks(context.snapshot.now, pinned)):
        return ""
    return f"its version is no longer live in {where}: a policy requires it to stay live there until it has soaked"


def _why_not_from(guards: ObservedGuards, claimed: PromotedFrom, where: str) -> str:
    """Returns why a promotion from another cluster is refused; empty if every policy with a soak time names that cluster."""
    # This cluster cannot know whether the version soaked in the other one: naming a cluster leaves that to the person who promotes from it.
    for policy in guards.policies:
        if policy.spec.promotion is not None and claimed.cluster not in policy.spec.promotion.clusters:
            return sentences.not_from_cluster(where, policy.meta.name, policy.spec.promotion.clusters)
    return _why_not_namespace(guards, claimed, where)


def _why_not_namespace(guards: ObservedGuards, claimed: PromotedFrom, where: str) -> str:
    if (allowed := _sources(guards)) and claimed.namespace not in allowed:
        return f"it was promoted from {where}, but a policy accepts versions only from {', '.join(sorted(allowed))}"
    return ""


def _sources(guards: ObservedGuards) -> frozenset[str]:
    """Returns the namespaces from which every policy takes promotions; empty if any namespace is allowed.

    An empty intersection is returned as {""}, which no namespace matches.
    """
    allowed = [policy.spec.promotion.namespaces for policy in guards.policies if policy.spec.promotion is not None]
    sets = [frozenset(each) for each in allowed if each]
    return frozenset.intersection(*sets) or frozenset({""}) if sets else frozenset()


def _soaks(now: datetime, pinned: Pinned) -> bool:
    """Returns True if a row that was pinned during its version's soak time still waits for the end of it."""
    ends = (guard.until for guard in pinned.guards or () if guard.reason is GuardReason.SOAKING)
    return any(until is not None and now < parse_time(until) for until in ends)
