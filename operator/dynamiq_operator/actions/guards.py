"""What would hold a row that is asked for now, as the App's status says it: the operator's sentences, and nothing of policies is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dynamiq_operator.actions import history, rejections
from dynamiq_operator.actions.refusals import NotNow, Refusal
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.guards import GuardReason, RowKind, RowOf, StandingGuard
from dynamiq_operator.model.objects import App, Manifest, Record, Unreadable, format_time, read
from dynamiq_operator.model.record import Pinned, RecordSpec, Source
from dynamiq_operator.plan.guards import sentences
from dynamiq_operator.plan.guards.kinds import is_automation


@dataclass(frozen=True)
class Standing:
    """What would hold deploys of an App. `holds`: the rollback after which what Git asks for waits; `waiting`: its rows that wait, newest first."""

    app: App
    waiting: Sequence[Manifest]

    @property
    def holds(self) -> RowOf | None:
        return self.app.status.holds

    def of(self, kind: RowKind) -> list[StandingGuard]:
        """What would hold a row of this kind."""
        return holding(self.app, kind)


def standing(api: Api, namespace: str, app: str) -> Standing:
    """Raises Unknown and kube.errors.ApiError."""
    found = history.find_app(api, namespace, app)
    return Standing(found, history.waiting_rows(api, namespace, app, found.meta.uid))


def kind_of(asked: RecordSpec) -> RowKind:
    """What a row is to a policy whose author is no automation."""
    if asked.is_rollback:
        return RowKind.ROLLBACK
    return RowKind.PROMOTION if asked.promoted_from is not None else RowKind.DEPLOY


def holding(app: App, kind: RowKind) -> list[StandingGuard]:
    """What would hold a row of this kind."""
    return [each for each in app.status.guards if kind in each.applies_to]


def of_namespace(api: Api, namespace: str) -> tuple[StandingGuard, ...]:
    """What would hold a row of an App that is yet to be made: what the policies of its namespace say of another App there.

    None where there is no other, or the caller may not read it. Raises kube.errors.ApiError.
    """
    try:
        found = api.request("GET", APPS.path(namespace), query={"limit": 1})["items"]
    except (errors.NotFound, errors.Denied) as error:
        if error.status == 401:
            raise
        return ()
    others = [each for each in (read(App, raw) for raw in found) if not isinstance(each, Unreadable)]
    return tuple(each for other in others for each in other.status.guards if each.reason not in (GuardReason.HELD, GuardReason.SUSPENDED))


def said_of(api: Api, app: App, asked: RecordSpec) -> dict[str, Any]:
    """The fields of a preview that say what the rules for deploys make of the row."""
    found = holding(app, kind_of(asked))
    if asked.bypass is not None:
        found = [each for each in found if each.reason is GuardReason.SUSPENDED]
    holds = asked.is_rollback and (app.spec.rollout.hold_after_rollback if asked.hold is None else asked.hold) is not False
    holds = holds and deploys_from_git(api, app)
    return {"guards": tuple(found), "begins_hold": holds, "bypass_reason": asked.bypass.reason if asked.bypass is not None else None}


def deploys_from_git(api: Api, app: App) -> bool:
    """Tells whether the App asks for deploys, or has a row that Git, or automation of the usual namespaces, asked for; True where rows may not be read."""
    if app.spec.deploy is not None:
        return True
    try:
        rows = history.rows(api, app.meta.namespace, app.meta.name, app.meta.uid)
    except errors.Denied as error:
        if error.status == 401:
            raise
        return True
    specs = [row["spec"] for row in rows]
    return any((spec.get("pinned") or {}).get("source") == Source.APP or is_automation((), spec.get("createdBy") or "") for spec in specs)


def yet_to_soak(found: Sequence[StandingGuard], live_since: datetime, now: datetime) -> tuple[StandingGuard, ...]:
    """What would hold a promotion, of a version that is live at its source since then: soak times that are over hold nothing."""
    ends = {each: live_since + timedelta(seconds=each.seconds) for each in found if each.seconds is not None}
    return tuple(
        each.model_copy(update={"until": format_time(ends[each])}) if each in ends else each for each in found if ends.get(each, now) >= now
    )


def check_not_rejected(api: Api, namespace: str, then: Pinned, live: Record | None, *, bypass: bool) -> tuple[str, ...]:
    """Returns a warning where that is unknown. Raises Rejected where the flow is rejected in the namespace.

    Neither where that is gone past, or the flow and its runtime are live there.
    """
    if bypass or is_live(then, live):
        return ()
    found = rejections.read_standing(api, namespace, then.workflow_hash)
    if found:
        raise rejections.Rejected(found[0], then.workflow_version, namespace)
    return (rejections.unread(namespace, then.workflow_version),) if found is None else ()


def check_source(found: Sequence[StandingGuard], namespace: str, then: Pinned, live: Record | None, *, bypass: bool) -> None:
    """Raises Refusal where what stands before promotions takes no version from the namespace, unless that is gone past, or it is live already."""
    if bypass or is_live(then, live):
        return
    for each in found:
        if each.namespaces is not None and namespace not in each.namespaces:
            raise Refusal(f"policy {each.policy} takes versions from {', '.join(each.namespaces)} alone, and not from {namespace}")


def check_crossing(
    found: Sequence[StandingGuard], cluster: str, namespace: str, live_since: datetime, now: datetime, *, where: str, bypass: bool
) -> None:
    """Of a promotion from another cluster. Raises Refusal where what stands before promotions takes no version from there, unless that is gone past.

    Nobody can tell the operator for how long a version was live in another cluster, so whoever promotes looks at it.
    """
    soaks = [] if bypass else [each for each in found if each.reason is GuardReason.SOAKING]
    for each in soaks:
        if cluster not in (each.clusters or ()):
            raise Refusal(sentences.not_from_cluster(where, each.policy or "", each.clusters or ()))
        if each.namespaces is not None and namespace not in each.namespaces:
            raise Refusal(f"policy {each.policy} takes versions from {', '.join(each.namespaces)} alone, and not from {namespace}")
        until = live_since + timedelta(seconds=each.seconds or 0)
        if now < until:
            raise NotNow(f"it has to be live where it comes from until {format_time(until)} (policy {each.policy}): promote it after that")


def not_of_crossings(found: Sequence[StandingGuard]) -> tuple[StandingGuard, ...]:
    """What would hold a promotion from another cluster: soak times hold no such row."""
    return tuple(each for each in found if each.reason is not GuardReason.SOAKING)


def is_live(then: Pinned, live: Record | None) -> bool:
    """Whether the flow and its runtime are live there."""
    return live is not None and live.pinned is not None and _pair(live.pinned) == _pair(then)


def _pair(pinned: Pinned) -> tuple[Any, ...]:
    return pinned.workflow_hash, pinned.runtime
