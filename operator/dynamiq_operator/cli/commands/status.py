"""`status`: prints what an App serves, which rows are being deployed, and the state of its pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dynamiq_operator.cli import output, parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import Screen, safe
from dynamiq_operator.model.manifests import REVERT_FAILED_PERCENT, REVERT_SECONDS, SWITCH, Phase, RowKind
from dynamiq_operator.views.background_runs import finishing_in_words
from dynamiq_operator.views.columns import as_data
from dynamiq_operator.views.history import HistoryRow, compute_in_words, config_in_words, title
from dynamiq_operator.views.sleep import is_asleep

# Imports that load pydantic's models stay inside functions: they would double the time to the first line.
if TYPE_CHECKING:
    from dynamiq_operator.actions.workloads import IdleWorkload, Pods
    from dynamiq_operator.model.manifests import Manifest


@dataclass(frozen=True)
class _State:
    """The state of an App. `app`: as the API server sends it. `pods`: those that serve."""

    app: Manifest
    live: HistoryRow | None
    under_way: tuple[HistoryRow, ...]
    pods: Pods | None
    beside: tuple[IdleWorkload, ...]


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "-o wide adds the message of the live row, what it restores, who approved it, and its digests.",
        ("support", "support -o wide", "support -o json"),
    )
    parsing.app(command)
    parsing.output(command, "wide", "name")


def run(context: CommandContext) -> int:
    name = context.options.app
    state = _read(context, name)
    if context.options.output not in (None, "wide"):
        context.print_data(_data(context.namespace, state), [output.named("App", name)])
    else:
        context.out.lines([context.out.paint("bold", f"{safe(name)} in {safe(context.namespace)}")])
        context.out.lines(_lines(context.out, state, is_wide=context.options.output == "wide"))
    return 0


def _read(context: CommandContext, name: str) -> _State:
    from dynamiq_operator.actions import running

    api, namespace = context.api, context.namespace
    reads = (
        lambda ahead: running.undecided(ahead, namespace, name, None),
        lambda ahead: running.workloads_of(ahead, namespace, name, None),
    )
    with api.reading_ahead(*reads):
        app = running.app_manifest(api, namespace, name)
        uid = app["metadata"]["uid"]
        rows = [(raw, HistoryRow.of(raw)) for raw in running.undecided(api, namespace, name, uid)]
        workloads = running.workloads_of(api, namespace, name, uid)
    live = next((each for each in rows if each[1].status == Phase.LIVE), None)
    under_way = [each for each in rows if each[1].status in (Phase.PENDING, Phase.PROGRESSING)]
    return _State(
        app,
        live[1] if live is not None else None,
        tuple(row for _, row in under_way),
        workloads.pods_of(live[0] if live is not None else None) if workloads is not None else None,
        tuple(workloads.beside(raw for raw, _ in under_way)) if workloads is not None else (),
    )


def _data(namespace: str, state: _State) -> dict[str, Any]:
    from dynamiq_operator.actions.reads import typed  # imports the models
    from dynamiq_operator.model.objects import App

    app = typed(App, state.app)
    status = app.status.as_json()
    return {
        "app": app.meta.name,
        "namespace": namespace,
        "hostname": status.get("hostname"),
        "url": status.get("url"),
        "live": as_data(state.live) if state.live else None,
        "underWay": [as_data(row) for row in state.under_way],
        "failed": status.get("failed"),
        "strategy": app.spec.rollout.strategy.value,
        "suspended": bool(app.spec.suspend),
        "holds": status.get("holds"),
        "guards": status.get("guards") or [],
        "asleep": is_asleep(status),
        "finishing": status.get("finishing") or [],
        "pods": asdict(state.pods) if state.pods else None,
        "beside": [asdict(each) for each in state.beside],
        "conditions": status.get("conditions") or [],
    }


def _lines(screen: Screen, state: _State, *, is_wide: bool) -> Iterator[str]:
    status, rollout = state.app.get("status") or {}, state.app["spec"].get("rollout") or {}
    if (live := state.live) is not None:
        more = [
            f"runtime {live.runtime}",
            config_in_words(live.config),
            f"by {live.created_by}" if live.created_by else "",
            live.date or "",
        ]
        yield f"  {screen.status(Phase.LIVE, 11)} {safe(', '.join([title(live), *filter(None, more)]))}"
        if live.more.get("source") == "Revert":
            yield f"  reverted    {safe(live.message or live.provenance or '')}"
        if is_wide:
            yield from _facts(live)
    else:
        yield "  nothing is live"
    for row in state.under_way:
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
    yield from _rollout(rollout, status.get("trial"))
    yield from _rules(status)
    for each in status.get("finishing") or ():
        yield f"  finishing   {safe(finishing_in_words(each))}"
    if is_asleep(status):
        yield "  asleep      the next call wakes it"
    if state.pods is not None:
        yield f"  pods        {state.pods.ready} of {state.pods.wanted} ready, {state.pods.new} new, {state.pods.old} old"
    for workload in state.beside:
        version = f"{workload.version}, " if workload.version else ""
        yield f"  {workload.role:<11} {safe(version + workload.name)}: {workload.ready} of {workload.wanted} pods ready"
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


def _rollout(rollout: Mapping[str, Any], trial: Mapping[str, Any] | None) -> Iterator[str]:
    """Yields the rollout policy where it is not the default."""
    if rollout.get("strategy") == SWITCH:
        yield "  strategy    Switch"
    if (revert := rollout.get("revert")) is not None:
        watched = f"; {safe(trial['row'])} is watched until {safe(trial['until'])}" if trial else ""
        percent, seconds = revert.get("maxFailedPercent", REVERT_FAILED_PERCENT), revert.get("seconds", REVERT_SECONDS)
        yield f"  revert      above {percent} % failed runs within {seconds} s{watched}"


def _rules(status: Mapping[str, Any]) -> Iterator[str]:
    """Yields what would block a deploy now, in the operator's sentences."""
    for guard in status.get("guards") or ():
        kinds = "" if len(guard["appliesTo"]) == len(RowKind) else f"{', '.join(guard['appliesTo'])}: "
        yield f"  guard       {safe(kinds + guard['message'])}"


def _condition(condition: Mapping[str, Any]) -> str:
    message = f": {condition['message']}" if condition.get("message") else ""
    return f"{condition['type']} is {condition['status']} ({condition.get('reason', '')}){message}"
