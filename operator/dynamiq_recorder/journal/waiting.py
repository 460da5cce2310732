"""The operations on runs that pods do not have: answers, times that come, and what operator and persons decide about held runs."""

from __future__ import annotations

from dynamiq_recorder.journal.model import FENCES, MICROSECONDS, REJECTED, Asks, Refused, State
from dynamiq_recorder.journal.operations import PIECE
from dynamiq_recorder.journal.question import Input, canonical
from dynamiq_recorder.journal.run import NUMBERS, Run
from dynamiq_recorder.journal.tables import Work, unpacked


def answer(work: Work, app_uid: str, run_id: str, kind: Asks, given: Input, by: str) -> tuple[Run, bool] | None:
    """Stores the answer to a question. Returns the run, and True if the answer is new; None if the run is missing.

    Raises Refused.
    """
    run = work.by_ids(app_uid, [run_id]).get(run_id)
    if run is None:
        return None
    questions = work.questions([run])[run.key]
    question = questions.get(given.request_id)
    if not run.is_open and (question is None or question.is_open):
        raise Refused("run_ended", f"run {run.id} has ended: nothing reads an answer any more")
    if question is None:
        raise Refused("no_such_request", f"run {run.id} has no question with this id")
    if kind is not question.kind:
        raise Refused("validation_error", f"type: must be {question.kind}", {"type": f"must be {question.kind}"})
    (line,) = work.connection.all("SELECT content, answer FROM question WHERE run = ? AND id = ?", (run.key, question.id))
    checked = canonical(kind, given, unpacked(line[0]))
    if line[1] is not None:
        if unpacked(line[1]) == checked:  # its caller did not get the result, and sends it again
            return run, False
        raise Refused("already_answered", "this question has another answer, which stays")
    if run.state is State.HELD:
        raise Refused("run_held", f"run {run.id} is held ({run.hold_reason}): restart, release or cancel it first")
    run.answer(question, checked, by, work.now, questions)
    work.write([run])
    return run, True


def resume_due(work: Work) -> bool:
    """Lets runs go on whose time has come. Returns True if there may be more."""
    runs = work.load("state = 'waiting' AND resume_at <= ? ORDER BY resume_at LIMIT ?", (work.now, PIECE), skips=True)
    for run in runs:
        run.resume(work.now)
    work.write(runs)
    return len(runs) == PIECE


def expire(work: Work, app_uid: str, wait: int) -> bool:
    """Ends an App's runs whose oldest open question was asked `wait` seconds ago. Returns True if there may be more."""
    condition = "app_uid = ? AND state = 'waiting' AND waits_since <= ? ORDER BY waits_since LIMIT ?"
    runs = work.load(condition, (app_uid, work.now - wait * MICROSECONDS, PIECE), skips=True)
    for run in runs:
        run.expire(work.now)
    work.write(runs)
    return len(runs) == PIECE


def hold(work: Work, app_uid: str, pins: str, reason: str) -> tuple[int, bool]:
    """Holds the open runs of an App's pins. Returns how many, and True if there may be more."""
    condition = "app_uid = ? AND pins = ? AND ended_at IS NULL AND (state <> 'held' OR coalesce(hold_reason, '') NOT IN (?, ?)) LIMIT ?"
    runs = work.load(condition, (app_uid, pins, reason, REJECTED, PIECE))
    questions = work.questions([run for run in runs if run.state is State.RUNNING])
    for run in runs:
        run.hold(reason, work.now, questions.get(run.key, {}))
    work.write(runs)
    return len(runs), len(runs) == PIECE


def unhold(work: Work, app_uid: str, pins: str, reason: str) -> tuple[int, bool]:
    """Releases the runs of an App's pins that are held for a reason. Returns how many, and True if there may be more."""
    condition = "app_uid = ? AND pins = ? AND state = 'held' AND ended_at IS NULL AND hold_reason = ? LIMIT ?"
    runs = work.load(condition, (app_uid, pins, reason, PIECE))
    for run in runs:
        run.release(None, work.now)
    work.write(runs)
    return len(runs), len(runs) == PIECE


def restored(work: Work, epoch: int, before: int) -> tuple[int, bool]:
    """Continues open runs of a restored store, in a new epoch. Returns how many it holds, and True if there may be more.

    `before`: since when the journal serves; later runs are not from the copy. Nothing is left to do once another replica has noted the epoch.
    """
    ((noted,),) = work.connection.all(f"SELECT value FROM meta WHERE name = 'epoch'{work.connection.locking}")  # noqa: S608
    if noted >= epoch:
        return 0, False
    condition = "ended_at IS NULL AND accepted_at <= ? AND fence < ? ORDER BY accepted_at LIMIT ?"
    runs = work.load(condition, (before, epoch * FENCES, PIECE))
    questions = work.questions(runs)
    held = sum(run.restore(epoch, work.now, questions[run.key]) for run in runs)
    work.write(runs)
    return held, len(runs) == PIECE


def note_epoch(work: Work, epoch: int) -> None:
    """Raises the store's epoch. It never falls: else a store that another replica has raised further would count as an older copy."""
    work.connection.do("UPDATE meta SET value = ? WHERE name = 'epoch' AND value < ?", (epoch, epoch))


def cancel_all(work: Work, app_uid: str, pins: str, by: str) -> tuple[int, bool]:
    """Cancels the open runs of an App's pins. Returns how many, and True if there may be more."""
    condition = "app_uid = ? AND pins = ? AND ended_at IS NULL AND canceling = 0 LIMIT ?"
    runs = work.load(condition, (app_uid, pins, PIECE))
    for run in runs:
        run.cancel(by, work.now)
    work.write(runs)
    return len(runs), len(runs) == PIECE


def release(work: Work, app_uid: str, run_id: str, by: str) -> Run | None:
    """Releases a held run; returns it, or None if it is missing.

    Raises Refused.
    """
    run = _held(work, app_uid, run_id)
    if run is not None:
        if run.hold_reason == REJECTED:
            raise Refused("run_rejected", f"the version of run {run.id} is rejected: restart the run on another one, or cancel it")
        run.release(by, work.now)
        work.write([run])
    return run


def restart(work: Work, app_uid: str, run_id: str, pins: str | None, workflow_hash: str | None, by: str) -> Run | None:
    """Begins a run again with its input; returns it, or None if it is missing. `pins`: None for its own.

    It is held, or queued for pods that cannot start, such as since their image is gone. Raises Refused.
    """
    run = work.by_ids(app_uid, [run_id]).get(run_id)
    if run is not None:
        if run.state not in (State.HELD, State.QUEUED):
            raise Refused("not_held", f"run {run.id} is neither held nor queued")
        lines = work.connection.all("SELECT state FROM part WHERE run = ? AND node = ?", (run.key, NUMBERS))
        asked = bytes(lines[0][0]) if lines else b""
        run.restart(pins, workflow_hash, by, work.now, work.questions([run])[run.key].values(), asked)
        work.write([run])
    return run


def _held(work: Work, app_uid: str, run_id: str) -> Run | None:
    run = work.by_ids(app_uid, [run_id]).get(run_id)
    if run is not None and run.state is not State.HELD:
        raise Refused("not_held", f"run {run.id} is not held")
    return run
