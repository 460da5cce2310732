"""`status`: what an App serves, which rows are being deployed, and the state of its pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dynamiq_operator.actions import history as reading
from dynamiq_operator.actions.follow import Pods, pods_of
from dynamiq_operator.cli import output
from dynamiq_operator.cli.output import safe
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model.record import Phase
from dynamiq_operator.views.columns import as_data
from dynamiq_operator.views.history import HistoryRow, config_in_words, history, title

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def run(context: CommandContext) -> int:
    app = context.options.app
    status = reading.find_app(context.api, context.namespace, app).status.as_json()
    rows = history(requests.items(context.api, RECORDS, context.namespace, field=f"spec.app={app},{RECORDS.field_selector}"))
    live = next((row for row in rows if row.status == Phase.LIVE), None)
    under_way = [row for row in rows if row.status in (Phase.PENDING, Phase.PROGRESSING)]
    pods = pods_of(context.api, context.namespace, app, live.name if live else "")
    if context.options.output == "name":
        context.out.lines([output.named("App", app)])
        return 0
    if context.options.output is not None:
        data = {
            "app": app,
            "namespace": context.namespace,
            "hostname": status.get("hostname"),
            "live": as_data(live) if live else None,
            "underWay": [as_data(row) for row in under_way],
            "failed": status.get("failed"),
            "pods": asdict(pods) if pods else None,
            "conditions": status.get("conditions") or [],
        }
        context.out.lines([output.formatted(data, context.options.output)])
        return 0
    context.out.lines([context.out.paint("bold", f"{safe(app)} in {safe(context.namespace)}")])
    context.out.lines(_status_lines(context, status, live, under_way, pods))
    return 0


def _status_lines(
    context: CommandContext, status: Mapping[str, Any], live: HistoryRow | None, under_way: Iterable[HistoryRow], pods: Pods | None
) -> Iterable[str]:
    screen = context.out
    if live is not None:
        more = [
            f"runtime {live.runtime}",
            config_in_words(live.config),
            f"by {live.created_by}" if live.created_by else "",
            live.date or "",
        ]
        yield f"  {screen.status(Phase.LIVE, 11)} {safe(', '.join([title(live), *filter(None, more)]))}"
    else:
        yield "  nothing is live"
    for row in under_way:
        by = f", by {row.created_by}" if row.created_by else ""
        yield f"  {screen.status(row.status, 11)} {safe(title(row) + by)}"
    if failed := status.get("failed"):
        why = f"(#{failed['sequence']}, {failed['row']}): {failed['reason']}"
        yield f"  {screen.status(Phase.FAILED, 11)} {safe(why)}"
    if hostname := status.get("hostname"):
        yield f"  hostname    {safe(hostname)}"
    if pods is not None:
        yield f"  pods        {pods.ready} of {pods.wanted} ready, {pods.new} new, {pods.old} old"
    for condition in status.get("conditions") or ():
        yield f"  {safe(_condition(condition))}"


def _condition(condition: Mapping[str, Any]) -> str:
    message = f": {condition['message']}" if condition.get("message") else ""
    return f"{condition['type']} is {condition['status']} ({condition.get('reason', '')}){message}"
