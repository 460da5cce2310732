"""Completing rows: each gets its place in the history, then its pins, or the reason why it waits or can never be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dynamiq_operator.model import digests
from dynamiq_operator.model.app import Rollout
from dynamiq_operator.model.completion import Known, Missing, Refused, complete
from dynamiq_operator.model.objects import App, Record, format_time
from dynamiq_operator.model.record import Outcome, Pinned, Result
from dynamiq_operator.plan import events
from dynamiq_operator.plan.records.deploy_spec import source_of
from dynamiq_operator.plan.history.lifecycle import History, completed
from dynamiq_operator.plan.operations import Action, CompleteRecord, EndRecord
from dynamiq_operator.plan.snapshot import Snapshot


@dataclass(frozen=True)
class Completed:
    """The history once `actions` are done. `waits` says of each row that waits what for; `reserved` is the highest sequence given."""

    history: History
    actions: tuple[Action, ...]
    waits: dict[str, str]
    reserved: int | None = None


def complete_rows(snapshot: Snapshot, app: App, history: History) -> Completed:
    """Numbers the rows that have no sequence, in order, and pins each numbered row that can be."""
    highest = max(snapshot.ledger.highest, app.status.last_sequence or 0, *(row.sequence for row in history.rows), 0)
    numbers = {row.name: highest + place for place, row in enumerate(history.unnumbered, 1)}
    reserved = highest + len(numbers) if numbers else None
    history = history.having(*(completed(row, sequence=numbers[row.name]) for row in history.unnumbered))
    ledger = snapshot.ledger.having(history.rows)
    actions: list[Action] = []
    waits: dict[str, str] = {}
    for row in history.waiting:
        if history.target is not None and row.sequence < history.target.sequence:
            continue
        found = _too_late(app, row) or complete(
            row,
            _known(snapshot, app, history),
            sequence=row.sequence,
            source=source_of(app, ledger, row, row.sequence),
            previous_digest=ledger.last_digest,
            now=snapshot.now,
        )
        number = numbers.pop(row.name, None)
        if isinstance(found, Pinned):
            pinned = completed(row, pinned=found)
            history, ledger = history.having(pinned), ledger.having([pinned])
            actions += [*events.began(app, pinned, found), CompleteRecord(app, row, number, found)]
            continue
        if number is not None:
            actions.append(CompleteRecord(app, row, number, None))
        if isinstance(found, Missing) and snapshot.now < waits_until(row, app.spec.rollout):
            waits[row.name] = found.message
            continue
        failed, end = end_row(snapshot, app, row, Result.FAILED, _final(found, app.spec.rollout))
        history, ledger = history.having(failed), ledger.having([failed])
        actions += end
    # Rows that a newer one overtook before they were pinned still get the number that was reserved for them.
    actions += [CompleteRecord(app, row, numbers[row.name], None) for row in history.rows if row.name in numbers]
    return Completed(history, tuple(actions), waits, reserved)


def end_overtaken(snapshot: Snapshot, app: App, history: History) -> tuple[History, tuple[Action, ...]]:
    """Ends the rows that a newer one has overtaken."""
    actions: list[Action] = []
    for row in history.overtaken:
        newer = history.candidate or history.live
        ended, end = end_row(snapshot, app, row, Result.OVERTAKEN, f"{events.title(newer)} was deployed after it" if newer else "")
        history = history.having(ended)
        actions += end
    return history, tuple(actions)


def end_row(snapshot: Snapshot, app: App, row: Record, result: Result, reason: str) -> tuple[Record, tuple[Action, ...]]:
    """The row with its outcome, and the actions that write it."""
    said = {"result": result.value, "reason": reason[:1024], "at": format_time(snapshot.now)}
    digest = row.pinned.digest if row.pinned else digests.row_digest(row.raw_spec)
    outcome = Outcome.model_validate({**said, "digest": digests.outcome_digest(digest, said)})
    return completed(row, outcome=outcome), (*events.ended(app, row, outcome), EndRecord(row, outcome))


def waits_until(row: Record, rollout: Rollout) -> datetime:
    """The moment until which a row may wait for what is missing."""
    return row.meta.created + timedelta(seconds=rollout.progress_deadline_seconds)


def _too_late(app: App, row: Record) -> Refused | None:
    """For a row whose App came when it had waited too long: nobody expects it to be deployed any more."""
    if app.meta.created <= waits_until(row, app.spec.rollout):
        return None
    return Refused(f"App {app.meta.name} was created more than {app.spec.rollout.progress_deadline_seconds} s after the row")


def _final(found: Missing | Refused, rollout: Rollout) -> str:
    if isinstance(found, Missing):
        return f"{found.message}, {rollout.progress_deadline_seconds} s after the row was created"
    return found.message


def _known(snapshot: Snapshot, app: App, history: History) -> Known:
    return Known(
        app=app,
        live=history.live,
        versions=snapshot.versions,
        runtimes=snapshot.runtimes,
        rows={row.name: row for row in history.rows},
        flows=snapshot.flows | {version.flow_hash for version in snapshot.versions},
        settings=snapshot.settings,
        authors_stamped_since=snapshot.authors_stamped_since,
        promotions=snapshot.promotions,
    )
