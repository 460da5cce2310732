"""`status`: what an App serves, which rows are being deployed, and the state of its pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dynamiq_operator.actions import history as reading
from dynamiq_operator.actions.workloads import Beside, Pods, workloads_of
from dynamiq_operator.cli import output
from dynamiq_operator.cli.output import Screen, safe
from dynamiq_operator.model.guards import RowKind
from dynamiq_operator.model.objects import App
from dynamiq_operator.model.record import Phase, Source
from dynamiq_operator.model.rollout import Rollout
from dynamiq_operator.views.columns import as_data
from dynamiq_operator.views.history import HistoryRow, compute_in_words, config_in_words, newest_first, title
from dynamiq_operator.views.sleep import is_asleep

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


@dataclass(frozen=True)
class _Seen:
    """What there is of an App. `pods`: of what serves."""

    app: App
    status: Mapping[str, Any]
    live: HistoryRow | None
    under_way: tuple[HistoryRow, ...]
    pods: Pods | None
    beside: tuple[Beside, ...]


def run(context: CommandContext) -> int:
    how, name = context.options.output, context.options.app
    seen = _look(context, name)
    if how == "name":
        context.out.lines([output.named("App", name)])
    elif how not in (None, "wide"):
        context.out.lines([output.formatted(_data(context.namespace, seen), how)])
    else:
        context.out.lines([context.out.paint("bold", f"{safe(name)} in {safe(context.namespace)}")])
        context.out.lines(_lines(context.out, seen, is_wide=how == "wide"))
    return 0


def _look(context: CommandContext, name: str) -> _Seen:
    app = reading.find_app(context.api, context.namespace, name)
    found = newest_first(reading.undecided(context.api, context.namespace, name, app.meta.uid))
    rows = [(raw, HistoryRow.of(raw)) for raw in found]
    live = next((each for each in rows if each[1].status == Phase.LIVE), None)
    under_way = [each for each in rows if each[1].status in (Phase.PENDING, Phase.PROGRESSING)]
    there = workloads_of(context.api, context.namespace, name, app.meta.uid)
    return _Seen(
        app,
        app.status.as_json(),
        live[1] if live is not None else None,
        tuple(row for _, row in under_way),
        there.pods_of(live[0] if live is not None else None) if there is not None else None,
        tuple(there.beside(raw for raw, _ in under_way)) if there is not None else (),
    )


def _data(namespace: str, seen: _Seen) -> dict[str, Any]:
    return {
        "app": seen.app.meta.name,
        "namespace": namespace,
        "hostname": seen.status.get("hostname"),
        "url": seen.status.get("url"),
        "live": as_data(seen.live) if seen.live else None,
        "underWay": [as_data(row) for row in seen.under_way],
        "failed": seen.status.get("failed"),
        "strategy": seen.app.spec.rollout.strategy.value,
        "suspended": bool(seen.app.spec.suspend),
        "holds": seen.status.get("holds"),
        "guards": seen.status.get("guards") or [],
        "asleep": is_asleep(seen.status),
        "pods": asdict(seen.pods) if seen.pods else None,
        "beside": [asdict(each) for each in seen.beside],
        "conditions": seen.status.get("conditions") or [],
    }


def _lines(screen: Screen, seen: _Seen, *, is_wide: bool) -> Iterator[str]:
    status = seen.status
    if (live := seen.live) is not None:
        more = [
            f"runtime {live.runtime}",
            config_in_words(live.config),
            f"by {live.created_by}" if live.created_by else "",
            live.date or "",
        ]
        yield f"  {screen.status(Phase.LIVE, 11)} {safe(', '.join([title(live), *filter(None, more)]))}"
        if live.more.get("source") == Source.REVERT:
            yield f"  reverted    {safe(live.message or live.provenance or '')}"
        if is_wide:
            yield from _facts(live)
    else:
        yield "  nothing is live"
    for row in seen.under_way:
        by = f", by {row.created_by}" if row.created_by else ""
        yield f"  {screen.status(row.status, 11)} {safe(title(row) + by)}"
        if row.waits is not None:
            yield f"  waits       {safe(row.waits)}"
    if failed := status.get("failed"):
        why = f"(#{failed['sequence']}, {failed['row']}): {failed['reason']}"
        yield f"  {screen.status(Phase.FAILED, 11)} {safe(why)}"
    if hostname := status.get("hostname"):
        yield f"  hostname    {safe(hostname)}"
    if url := status.get("url"):
        yield f"  url         {safe(url)}"
    yield from _rollout(seen.app.spec.rollout, status.get("trial"))
    yield from _rules(seen.app)
    if is_asleep(status):
        yield "  asleep      the next call wakes it"
    if seen.pods is not None:
        yield f"  pods        {seen.pods.ready} of {seen.pods.wanted} ready, {seen.pods.new} new, {seen.pods.old} old"
    for each in seen.beside:
        version = f"{each.version}, " if each.version else ""
        yield f"  {each.role:<11} {safe(version + each.name)}: {each.ready} of {each.wanted} pods ready"
    for condition in status.get("conditions") or ():
        yield f"  {safe(_condition(condition))}"


def _facts(live: HistoryRow) -> Iterator[str]:
    facts = {
        "message": live.message,
        "from": live.provenance,
        "approved by": live.approved_by,
        "compute": compute_in_words(live.config),
        "digest": live.digest,
        "row": live.name,
    }
    yield from (f"  {name:<11} {safe(value)}" for name, value in facts.items() if value)


def _rollout(rollout: Rollout, trial: Mapping[str, Any] | None) -> Iterator[str]:
    """The policy of the App, where it is not the default."""
    if rollout.switches:
        yield "  strategy    Switch"
    if (revert := rollout.revert) is not None:
        watched = f"; {safe(trial['row'])} is watched until {safe(trial['until'])}" if trial else ""
        yield f"  revert      above {revert.max_failed_percent} % failed runs within {revert.seconds} s{watched}"


def _rules(app: App) -> Iterator[str]:
    """What would hold a deploy now, in the operator's sentences."""
    for each in app.status.guards:
        kinds = "" if len(each.applies_to) == len(RowKind) else f"{', '.join(each.applies_to)}: "
        yield f"  guard       {safe(kinds + each.message)}"


def _condition(condition: Mapping[str, Any]) -> str:
    message = f": {condition['message']}" if condition.get("message") else ""
    return f"{condition['type']} is {condition['status']} ({condition.get('reason', '')}){message}"
