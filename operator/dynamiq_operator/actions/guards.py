"""Lists the guards that would block a new row, from the App's status, in the operator's own sentences. It reads no policies.

It also adds to a preview the held changes that take effect once those guards admit the row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from dynamiq_operator.actions import reads, rejections
from dynamiq_operator.actions.refusals import NotNow, Refusal
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resource import APPS
from dynamiq_operator.model.guards import GuardReason, RowKind, RowOf, StandingGuard
from dynamiq_operator.model.objects import App, Manifest, Row, Unreadable, format_time, read
from dynamiq_operator.model.row import Pinned, RowSpec
from dynamiq_operator.plan.guards import sentences
from dynamiq_operator.plan.history.lifecycle import applies_once_admitted
from dynamiq_operator.views.preview import Preview

TAKES_EFFECT = "changed variables, access or runs of the App take effect with this row: the condition VariablesHeld names them"


@dataclass(frozen=True)
class AppGuards:
    """An App with its guards and its waiting rows, newest first. `holds`: the rollback after which changes from Git are on hold."""

    app: App
    waiting: Sequence[Manifest]

    @property
    def holds(self) -> RowOf | None:
        return self.app.status.holds

    def of(self, kind: RowKind) -> list[StandingGuard]:
        """Lists the guards that would block a row of this kind."""
        return holding(self.app, kind)


def read_guards(api: Api, namespace: str, app: str) -> AppGuards:
    """Reads the App with its guards and waiting rows.

    Raises Unknown and kube.errors.ApiError.
    """
    app_object = reads.find_app(api, namespace, app)
    return AppGuards(app_object, reads.waiting_rows(api, namespace, app, app_object.meta.uid))


def kind_of(spec: RowSpec) -> RowKind:
    """Returns the kind of a row as policies match it, if its author is no automation."""
    if spec.is_rollback:
        return RowKind.ROLLBACK
    return RowKind.PROMOTION if spec.promoted_from is not None else RowKind.DEPLOY


def holding(app: App, kind: RowKind) -> list[StandingGuard]:
    """Lists the guards that would block a row of this kind."""
    return [each for each in app.status.guards if kind in each.applies_to]


def of_namespace(api: Api, namespace: str) -> tuple[StandingGuard, ...]:
    """Lists the guards that would block a row of a new App: those of another App in the namespace.

    Empty if there is no other App, or the caller may not read it. Raises kube.errors.ApiError.
    """
    # Policies select namespaces, so they apply to all Apps there.
    try:
        apps = api.request("GET", APPS.path(namespace), query={"limit": 1})["items"]
    except (errors.NotFound, errors.Forbidden):
        return ()
    others = [each for each in (read(App, raw) for raw in apps) if not isinstance(each, Unreadable)]
    # A hold and a suspension belong to the other App alone.
    return tuple(each for other in others for each in other.status.guards if each.reason not in (GuardReason.HELD, GuardReason.SUSPENDED))


def with_guards(preview: Preview, app: App, spec: RowSpec) -> Preview:
    """Returns the preview with the guards and the bypass of its row."""
    guards = holding(app, kind_of(spec))
    if spec.bypass is not None:
        guards = [each for each in guards if each.reason is GuardReason.SUSPENDED]
    return replace(preview, bypass_reason=spec.bypass.reason if spec.bypass is not None else None).with_guards(guards)


def with_held_changes(preview: Preview, app: App, row: Row, waits_for: Collection[GuardReason]) -> Preview:
    """Adds the held changes that take effect with the row: variables, access and runs. `waits_for`: the guards that block it, or would."""
    if not app.status.is_holding_variables or not applies_once_admitted(row, waits_for):
        return preview
    # Under either strategy the same pins have one workload, so its pods are replaced in place.
    switches = preview.switches and preview.restarts
    restarts = preview.now is not None
    return replace(preview, no_op=False, restarts=restarts, switches=switches, warnings=(TAKES_EFFECT, *preview.warnings))


def may_hold(app: App, spec: RowSpec) -> bool:
    """Returns True if the row begins a hold, provided that Git deploys the App, too."""
    return spec.is_rollback and (app.spec.rollout.hold_after_rollback if spec.hold is None else spec.hold) is not False


def yet_to_soak(guards: Sequence[StandingGuard], live_since: datetime, now: datetime) -> tuple[StandingGuard, ...]:
    """Lists the guards that would block a promotion, without soak times that are over. `live_since`: when the source row went live."""
    ends = {each: live_since + timedelta(seconds=each.seconds) for each in guards if each.seconds is not None}
    return tuple(
        each.model_copy(update={"until": format_time(ends[each])}) if each in ends else each
        for each in guards
        if ends.get(each, now) >= now
    )


def check_not_rejected(rejected: Sequence[Manifest] | None, namespace: str, then: Pinned) -> tuple[str, ...]:
    """Returns a warning if the caller may not read Rejections there. `rejected`: those of the flow, None if they may not be read.

    Raises Rejected if there is any.
    """
    if rejected:
        raise rejections.Rejected(rejected[0], then.workflow_version, namespace)
    return (rejections.unread(namespace, then.workflow_version),) if rejected is None else ()


def check_source(guards: Sequence[StandingGuard], namespace: str, then: Pinned, live: Row | None, *, bypass: bool) -> None:
    """Raises Refusal if a guard accepts no version from the namespace, unless `bypass` is set, or flow and runtime are live."""
    if bypass or is_live(then, live):
        return
    for guard in guards:
        if guard.namespaces is not None and namespace not in guard.namespaces:
            raise Refusal(f"policy {guard.policy} accepts versions only from {', '.join(guard.namespaces)}, not from {namespace}")


def check_crossing(
    guards: Sequence[StandingGuard], cluster: str, namespace: str, live_since: datetime, now: datetime, *, where: str, bypass: bool
) -> None:
    """Checks a promotion from another cluster. `where`: the source, in the message. Checks nothing with `bypass`.

    Raises Refusal if a guard accepts no version from this cluster or namespace, and NotNow if the soak time is not over.
    """
    # The operator cannot read when a version went live in another cluster, so the soak is checked here, by the one who promotes.
    soaks = [] if bypass else [guard for guard in guards if guard.reason is GuardReason.SOAKING]
    for guard in soaks:
        if cluster not in (guard.clusters or ()):
            raise Refusal(sentences.not_from_cluster(where, guard.policy or "", guard.clusters or ()))
        if guard.namespaces is not None and namespace not in guard.namespaces:
            raise Refusal(f"policy {guard.policy} accepts versions only from {', '.join(guard.namespaces)}, not from {namespace}")
        until = live_since + timedelta(seconds=guard.seconds or 0)
        if now < until:
            raise NotNow(f"promote it after {format_time(until)}: until then it has to be live at its source (policy {guard.policy})")


def not_of_crossings(guards: Sequence[StandingGuard]) -> tuple[StandingGuard, ...]:
    """Lists the guards that would block a promotion from another cluster: all but soak times, which `check_crossing` checks."""
    return tuple(each for each in guards if each.reason is not GuardReason.SOAKING)


def is_live(then: Pinned, live: Row | None) -> bool:
    """Returns True if the live row has the same flow and runtime."""
    return live is not None and live.pinned is not None and _pair(live.pinned) == _pair(then)


def _pair(pinned: Pinned) -> tuple[Any, ...]:
    return pinned.workflow_hash, pinned.runtime
