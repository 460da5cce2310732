"""Previews a waiting row as its author saw it, but against the row that is live now."""

from __future__ import annotations

from dataclasses import replace

from dynamiq_operator.actions import guards, reads
from dynamiq_operator.actions.deploy import preview_in, surroundings_of
from dynamiq_operator.actions.refusals import NotNow
from dynamiq_operator.kube.api import Api
from dynamiq_operator.model.objects import Manifest, Row
from dynamiq_operator.views.preview import Preview, Side


def preview_of(api: Api, row: Manifest) -> Preview:
    """Previews a row that has not started.

    Raises Unknown, NotNow if it has ended or is not pinned yet, and kube.errors.ApiError.
    """
    record = reads.typed(Row, row)
    namespace, app = record.meta.namespace, record.spec.app
    if record.outcome is not None:
        raise NotNow(f"row {record.name} has ended: {record.outcome.reason}")
    if (pinned := record.pinned) is None:
        raise NotNow(f"row {record.name} is not pinned yet, so its effect is unknown: try again in a moment")
    app_object, rows = reads.find_app_and_rows(api, namespace, app)
    text = reads.flow_of(api, namespace, app, pinned)
    holds = pinned.holds is not None and pinned.holds.row == record.name
    met = surroundings_of(api, app_object, rows, pinned, text, may_hold=holds)
    base, live = pinned.base, rows.live
    warnings: tuple[str, ...] = ()
    if base is not None and live is not None and base.row != live.name:
        judged = f", and whom it may break was judged against #{base.sequence}" if pinned.contract is not None else ""
        warnings = (
            f"it was made while #{base.sequence} was live, and #{live.sequence} is now: "
            f"fields that it leaves out come from #{base.sequence}{judged}",
        )
    waits = record.status.waits
    preview = preview_in(met, pinned, text, row, warnings)
    preview = guards.with_held_changes(preview, app_object, record, [guard.reason for guard in pinned.guards or ()])
    return replace(
        preview,
        then=Side.of(pinned, record.name, record.sequence),
        begins_hold=met.begins_hold,
        bypass_reason=record.spec.bypass.reason if record.spec.bypass is not None else None,
        waits=waits.message if waits is not None else None,
    )
