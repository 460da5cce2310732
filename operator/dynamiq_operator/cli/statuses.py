"""`status`, `diff` and `verify`: what is so, what changed, and whether the history is whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dynamiq_operator.actions import history as reading
from dynamiq_operator.actions.follow import Pods, pods_of
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import output
from dynamiq_operator.cli.following import title
from dynamiq_operator.cli.output import safe
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.record import Phase, Pinned
from dynamiq_operator.views.history import HistoryRow, config_in_words, history
from dynamiq_operator.views.preview import change, flow_diff
from dynamiq_operator.views.verdict import check

if TYPE_CHECKING:
    from dynamiq_operator.cli.program import Session


def status_command(session: Session) -> int:
    app = session.options.app
    status = reading.find_app(session.api, session.namespace, app).status.as_json()
    rows = history(requests.items(session.api, RECORDS, session.namespace, field=f"spec.app={app},{RECORDS.field_selector}"))
    live = next((row for row in rows if row.status == Phase.LIVE), None)
    under_way = [row for row in rows if row.status in (Phase.PENDING, Phase.PROGRESSING)]
    pods = pods_of(session.api, session.namespace, app, live.name if live else "")
    if session.options.output is not None:
        data = {
            "app": app,
            "namespace": session.namespace,
            "hostname": status.get("hostname"),
            "live": output.row_as_json(live) if live else None,
            "underWay": [output.row_as_json(row) for row in under_way],
            "failed": status.get("failed"),
            "pods": asdict(pods) if pods else None,
            "conditions": status.get("conditions") or [],
        }
        session.out.lines([output.formatted(data, session.options.output)])
        return 0
    session.out.lines([session.out.paint("bold", f"{safe(app)} in {safe(session.namespace)}")])
    session.out.lines(_status_lines(session, status, live, under_way, pods))
    return 0


def diff_command(session: Session) -> int:
    options = session.options
    before, after = (reading.find_row(session.api, session.namespace, options.app, given) for given in (options.before, options.after))
    session.out.preview(_difference(session, before, after))
    return 0


def verify_command(session: Session) -> int:
    app = session.options.app
    rows = requests.items(session.api, RECORDS, session.namespace, field=f"spec.app={app}")
    text, code = check(app, rows, session.options.expect)
    session.out.lines(safe(line) for line in text.splitlines())
    return code


def _status_lines(
    session: Session, status: Mapping[str, Any], live: HistoryRow | None, under_way: Iterable[HistoryRow], pods: Pods | None
) -> Iterable[str]:
    screen = session.out
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


def _difference(session: Session, before: Manifest, after: Manifest) -> list[str]:
    """What changed between two rows, as a preview says it."""
    old, new = HistoryRow.of(before), HistoryRow.of(after)
    from_, to = (_pinned(row) for row in (before, after))
    pairs = [
        ("version", old.version or "", new.version or ""),
        ("runtime", old.runtime or "", new.runtime or ""),
        ("config", config_in_words(old.config), config_in_words(new.config)),
    ]
    said = [f"{old.app}: #{old.sequence} {old.name} → #{new.sequence} {new.name}"]
    said += [change(*pair) for pair in pairs]
    if from_.workflow_hash == to.workflow_hash:
        return [*said, "  the flow is the same"]
    texts = [reading.flow_of(session.api, session.namespace, old.app, pinned) for pinned in (from_, to)]
    if texts[0] is None or texts[1] is None:
        return [*said, "  the flows differ, and one of them is in no ConfigMap and no WorkflowVersion that you may read"]
    return [*said, "", *flow_diff(texts[0], texts[1], f"{old.version} (#{old.sequence})", f"{new.version} (#{new.sequence})")]


def _pinned(row: Manifest) -> Pinned:
    if (pins := row["spec"].get("pinned")) is None:
        raise Refusal(f"row {row['metadata']['name']} was never rolled out, so there is nothing to compare")
    return Pinned.model_validate(pins)
