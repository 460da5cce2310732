"""The operations that change runs, each on a transaction that it may share with others.

An operation that refuses raises Refused before it writes anything, so that the others of its transaction go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from dynamiq_operator.serving.encoding import dumps
from dynamiq_recorder.journal import callbacks, sessions
from dynamiq_recorder.journal.callback import Callback
from dynamiq_recorder.journal.model import MICROSECONDS, Limits, NewRun, Place, Refused, Save, Saved, State
from dynamiq_recorder.journal.question import Question
from dynamiq_recorder.journal.run import INPUT, RECORD, Run
from dynamiq_recorder.journal.tables import Work, unpacked, work_key

CLAIM_BYTES = 16 * 1024 * 1024
"""Bytes of runs from which on a claim gives no further ones."""
PIECE = 200
"""Runs that one operation sweeps or deletes."""
FOR_DELETED = 3600 * MICROSECONDS
"""Microseconds for which the runs of a deleted App are kept."""
ALONE_WAITS, TURN = 60 * MICROSECONDS, 90 * MICROSECONDS
"""Microseconds after which a pod makes room for a run that is to be alone, and for which it has the turn after it asked."""
SILENT = 12 * MICROSECONDS
"""Microseconds after its last sign of life from which on a replica counts as ended: it gives one each five seconds."""
REPLICA = "replica/"
"""The beginning of the names of the notes in which replicas give their signs of life."""
REPLICAS = f"name LIKE '{REPLICA}%'"
RECORD_WAITS = 7 * 86_400 * MICROSECONDS
"""Microseconds for which a run that has not reached the recorder is kept."""


class Turns:
    """Pods that take no more runs until they have none: one of each App's pins at a time, while a run waits to be alone.

    Otherwise such a run would wait for ever while its pods are busy. Only the committer's thread calls it.
    """

    def __init__(self) -> None:
        self._pods: dict[tuple[str, str], tuple[str, int]] = {}

    def is_of(self, work: Work, place: Place) -> bool:
        """Returns True if it is this pod's turn; it is, too, if no other pod that still asks has it."""
        pod, until = self._pods.get((place.app_uid, place.pins), ("", 0))
        if pod != place.pod and until > work.now:
            return False
        self._pods[place.app_uid, place.pins] = (place.pod, work.now + TURN)
        return True

    def end(self, work: Work, place: Place) -> None:  # noqa: ARG002 - of one process
        self._pods.pop((place.app_uid, place.pins), None)


class Claim(msgspec.Struct):
    """A run for a pod, with its input and its parts. `alone`: it is given to pods without other runs.

    `questions`: those that are open, or whose answers no node has used. `answer_waits`: microseconds since each answer that no claim had.
    """

    run: Run
    input: bytes
    parts: dict[str, bytes]
    alone: bool
    questions: tuple[Question, ...] = ()
    answer_waits: tuple[int, ...] = ()


class Accepted(msgspec.Struct):
    """The run of a request. `is_new`: False if it was accepted before, and `claim` is then None."""

    run: Run
    input: bytes
    is_new: bool
    claim: Claim | None = None
    questions: tuple[Question, ...] = ()
    callbacks: tuple[Callback, ...] = ()


def accept(work: Work, place: Place, new: NewRun, limits: Limits, *, claims: bool) -> Accepted:
    """Accepts a run, and claims it for the calling pod if `claims`, or takes its pause. A request that comes again gets the run that exists.

    A run of a conversation goes to the conversation's pins, and is claimed by their pods. Raises Refused.
    """
    if (known := _known(work, place, new)) is not None:
        asked, called = _open(work.questions([known], unused=True)[known.key]), callbacks.of_run(work.connection, known.key)
        return Accepted(known, _input(work, known), is_new=False, questions=asked, callbacks=called)
    run = Run(
        app_uid=place.app_uid,
        id=new.id,
        namespace=place.namespace,
        app=place.app,
        pins=place.pins,
        workflow_hash=place.workflow_hash,
        key_name=new.key,
        idempotency_key=new.idempotency_key,
        request_hash=new.request_hash,
        user_id=new.user_id,
        session_id=new.session_id,
        trigger_name=new.trigger,
        tags=dumps(new.tags).decode(),
        headers=dumps(dict(new.headers)).decode(),
        accepted_at=work.now,
    )
    run.accept(new.input, work.now, new.callbacks)
    claim, questions = None, dict[str, Question]()
    if new.paused is not None:
        run.claim(place.pod, work.now, work.lease)
        run.started_at = min(new.started_at or work.now, work.now)
        run.save(new.paused, {}, questions, work.now, work.lease)
    _check_limits(work, place, new, limits, run.size)
    if new.session is not None and new.paused is None:  # one that pauses has begun on the pod's own pins
        run.pins, run.workflow_hash = sessions.place_run(work, place, new.session)
    if claims and run.pins == place.pins:
        run.claim(place.pod, work.now, work.lease)
        claim = Claim(run, new.input, {}, alone=False)
    work.add_app(place)
    work.write([run])
    called = callbacks.of_run(work.connection, run.key) if new.callbacks else ()
    return Accepted(run, new.input, is_new=True, claim=claim, questions=_open(questions), callbacks=called)


def _open(questions: Mapping[str, Question]) -> tuple[Question, ...]:
    return tuple(each for each in questions.values() if each.is_open)


def _known(work: Work, place: Place, new: NewRun) -> Run | None:
    """Returns the run of the same id, or of the same idempotency key."""
    if (run := work.by_ids(place.app_uid, [new.id]).get(new.id)) is not None:
        return run
    if new.idempotency_key is None:
        return None
    condition = "app_uid = ? AND key_name = ? AND idempotency_key = ?"
    runs = work.load(condition, (place.app_uid, new.key, new.idempotency_key))
    if runs and runs[0].request_hash != new.request_hash:
        raise Refused("idempotency_key_reused", "this idempotency key belongs to another request: use a new one")
    return runs[0] if runs else None


def _input(work: Work, run: Run) -> bytes:
    (line,) = work.connection.all("SELECT data FROM content WHERE run = ? AND name = ?", (run.key, INPUT))
    return unpacked(line[0])


def _check_limits(work: Work, place: Place, new: NewRun, limits: Limits, size: int) -> None:
    tallied, of_key, taken = work.connection.ask(
        [
            ("SELECT coalesce(sum(runs), 0) FROM tally WHERE app_uid = ?", (place.app_uid,)),
            ("SELECT coalesce(sum(runs), 0) FROM key_tally WHERE app_uid = ? AND key_name = ?", (place.app_uid, new.key)),
            ("SELECT coalesce(sum(size), 0) FROM space WHERE namespace = ?", (place.namespace,)),
        ]
    )
    if int(tallied[0][0]) + work.added("tally", place.app_uid) >= limits.of_app:
        raise Refused("too_many_runs", f"the App has {limits.of_app} open runs, which is its limit: wait until some have ended")
    if int(of_key[0][0]) + work.added("key_tally", place.app_uid, new.key) >= limits.of_key:
        raise Refused("too_many_runs", f"{limits.of_key} runs of this Access Key are open, which is the limit: wait until some have ended")
    if int(taken[0][0]) + work.added("space", place.namespace) + size > limits.of_namespace:
        raise Refused("too_many_runs", "the runs of this namespace take all of its space in the journal: wait until some are deleted")


def claim(work: Work, place: Place, free: int, held: int | None, turns: Turns) -> list[Claim] | None:
    """Claims queued runs of the pod's App and pins, at most `free`, oldest due first. Returns None if there are none for any pod.

    A run that is to be alone is given to a pod that has none, and as the only one. `held`: how many runs the pod has; None if it asked a while
    ago, so that the journal counts them.
    """
    condition = "app_uid = ? AND pins = ? AND state = 'queued' AND alone = ? ORDER BY due, key LIMIT ?"

    def queued(alone: int, most: int) -> list[Run]:
        return work.load(condition, (place.app_uid, place.pins, alone, most), skips=True)

    runs, lone = queued(0, free), queued(1, 1)
    if not runs and not lone:
        return [] if _are_skipped(work, place) else None
    if held is None:
        held = _held(work, place) if lone else 0
    if held > 0:
        if lone and lone[0].due < work.now - ALONE_WAITS and turns.is_of(work, place):
            return []
    elif lone and (not runs or lone[0].due <= runs[0].due):
        turns.end(work, place)
        runs = lone
    chosen: list[Run] = []
    for run in runs:
        if chosen and sum(each.size for each in chosen) + run.size > CLAIM_BYTES:
            break
        chosen.append(run)
    questions = work.questions(chosen, unused=True)
    claims = []
    for run in chosen:
        asked = tuple(questions[run.key].values())
        waits = tuple(work.now - each.answered_at for each in asked if each.answered_at is not None and not each.given)
        claims.append(Claim(run, _input(work, run), _parts(work, run), run.alone, asked, waits))
        run.claim(place.pod, work.now, work.lease, asked)
    work.write(chosen)
    return claims


def _are_skipped(work: Work, place: Place) -> bool:
    """Returns True if another replica is changing queued runs: it may leave them queued."""
    sql = "SELECT 1 FROM run WHERE app_uid = ? AND pins = ? AND state = 'queued' LIMIT 1"
    return bool(work.connection.skipping and work.connection.all(sql, (place.app_uid, place.pins)))


def _held(work: Work, place: Place) -> int:
    condition = "app_uid = ? AND pins = ? AND state = 'running' AND holder = ?"
    sql = f"SELECT count(*) FROM run WHERE {condition}"  # noqa: S608 - our own names
    return int(work.connection.all(sql, (place.app_uid, place.pins, place.pod))[0][0])


def _parts(work: Work, run: Run) -> dict[str, bytes]:
    return {node: bytes(state) for node, state in work.connection.all("SELECT node, state FROM part WHERE run = ?", (run.key,))}


def save(work: Work, place: Place, saves: Sequence[Save]) -> list[Saved]:
    """Takes a pod's saves, each by itself. A save is refused if the pod has the run no more, or never had it.

    Raises Refused for all of them if a run becomes too large.
    """
    runs = {run_id: run for run_id, run in work.by_ids(place.app_uid, {each.id for each in saves}).items() if run.pins == place.pins}
    sizes = work.sizes(list(runs.values()))
    questions = _questions(work, runs, saves)
    results, changed = [], dict[int, Run]()
    for each in saves:
        run = runs.get(each.id)
        # A save that was committed and not answered comes again, also after the end: its number is known, and it changes nothing.
        if run is None or not (run.is_held_by(each.fence) or (run.fence == each.fence and each.number <= run.number)):
            results.append(Saved(each.id, ok=False))
            continue
        asked, is_again = questions.get(run.key, {}), each.number <= run.number
        if not is_again:
            run.save(each, sizes[run.key], asked, work.now, work.lease)
            changed[run.key] = run
        answers = _answers(run, asked, is_again=is_again) if run.state is State.RUNNING else {}
        results.append(Saved(each.id, ok=True, cancel=run.canceling and run.is_open, answers=answers))
    work.write(list(changed.values()))
    results = _with_callbacks(work, runs, changed, results)
    if any(run.state is not State.RUNNING for run in changed.values()) and _one_waits_to_be_alone(work, place):
        work.news.add(work_key(place.app_uid, place.pins))  # this pod, whose poll waits, may have no run now
    return results


def _with_callbacks(work: Work, runs: Mapping[str, Run], changed: Mapping[int, Run], results: Sequence[Saved]) -> list[Saved]:
    """Returns results with the number of callbacks that are due. One that comes again has those that are left: its pod may not know of them."""
    ended = {each.id: runs[each.id].key for each in results if each.ok and not runs[each.id].is_open}
    again = [key for key in ended.values() if key not in changed]
    due = work.called + callbacks.due_of(work.connection, again) if again else work.called
    return [msgspec.structs.replace(each, callbacks=due[ended[each.id]]) if each.id in ended else each for each in results]


def _questions(work: Work, runs: Mapping[str, Run], saves: Sequence[Save]) -> dict[int, dict[str, Question]]:
    """Returns the questions of the runs that need theirs: a heartbeat without news reads none."""
    needed = {
        run.key: run
        for each in saves
        if (run := runs.get(each.id)) is not None and (each.changes_questions or run.new_answers or each.number <= run.number)
    }
    return work.questions(list(needed.values())) if needed else {}


def _answers(run: Run, asked: Mapping[str, Question], *, is_again: bool) -> dict[str, bytes]:
    """Returns the answers that the claim did not get. `is_again`: the pod did not get the result of its save, so it gets those of the claim."""
    given = [each for each in asked.values() if each.waits_for_its_node and (each.given == run.fence) == is_again]
    if given and not is_again:
        run.give(given)
    return {each.id: each.answer for each in given if each.answer is not None}


def _one_waits_to_be_alone(work: Work, place: Place) -> bool:
    sql = "SELECT 1 FROM run WHERE app_uid = ? AND pins = ? AND state = 'queued' AND alone = 1 LIMIT 1"
    return bool(work.connection.all(sql, (place.app_uid, place.pins)))


def cancel(work: Work, app_uid: str, run_id: str, by: str | None) -> Run | None:
    """Cancels a run; returns it, or None if it is missing."""
    run = work.by_ids(app_uid, [run_id]).get(run_id)
    if run is not None and run.is_open:
        run.cancel(by, work.now)
        work.write([run])
    return run


def renew_leases(work: Work) -> None:
    """Gives every lease its full time from now on: pods could not renew theirs while no journal was there.

    No queued run is due later than now: the wall clock may have gone back since. While another replica serves, all of it stays.
    """
    ((seen,),) = work.connection.all(f"SELECT max(value) FROM meta WHERE {REPLICAS}")  # noqa: S608 - our own names
    if seen is not None and seen > work.now - SILENT:
        return
    work.connection.do("UPDATE run SET lease_until = ? WHERE state = 'running'", (work.lease,))
    work.connection.do("UPDATE run SET due = ? WHERE state = 'queued' AND due > ?", (work.now, work.now))


def sweep(work: Work, interruptions: Callable[[str], int]) -> tuple[int, bool]:
    """Takes runs from pods whose lease is over. Returns how many, and True if there may be more. `interruptions`: by which an App's run fails."""
    runs = work.load("state = 'running' AND lease_until < ? ORDER BY lease_until LIMIT ?", (work.of_leases, PIECE), skips=True)
    for run in runs:
        run.interrupt(interruptions(run.app_uid), work.now)
    work.write(runs)
    return len(runs), len(runs) == PIECE


def close_app(work: Work, app_uid: str) -> bool:
    """Ends the open runs and conversations of a deleted App, and notes since when it is deleted. Returns True if there may be more."""
    work.connection.do("UPDATE app SET missing_since = coalesce(missing_since, ?) WHERE uid = ?", (work.now, app_uid))
    runs = work.load("app_uid = ? AND ended_at IS NULL ORDER BY accepted_at LIMIT ?", (app_uid, PIECE))
    for run in runs:
        run.cancel(None, work.now, at_once=True)
    work.write(runs)
    return sessions.forget_app(work, app_uid) or len(runs) == PIECE


def delete_ended(work: Work, app_uid: str, keep: int, record_waits: int = RECORD_WAITS) -> tuple[int, bool]:
    """Deletes runs of an App that ended `keep` seconds ago, and are recorded or have waited too long for it (`record_waits`).

    One of whose callbacks may still be sent stays. All runs of an App that was deleted an hour ago are deleted, too.

    Returns how many, and True if there may be more. One replica at a time does it.
    """
    if not work.connection.holds(f"journal/delete/{app_uid}"):
        return 0, False
    condition = f"app_uid = ? AND ended_at < ? AND (recorded = 1 OR ended_at < ?) AND NOT {callbacks.IS_CALLED_BACK}"
    parameters: list[object] = [app_uid, work.now - keep * MICROSECONDS, work.now - max(keep * MICROSECONDS, record_waits)]
    missing = work.connection.all("SELECT 1 FROM app WHERE uid = ? AND missing_since <= ?", (app_uid, work.now - FOR_DELETED))
    if missing:
        condition, parameters = "app_uid = ? AND ended_at IS NOT NULL", [app_uid]
    sql = f"SELECT key, namespace, size FROM run WHERE {condition} LIMIT ?{work.connection.locking}"  # noqa: S608 - our own names
    lines = work.connection.all(sql, [*parameters, PIECE])
    keys = [(key,) for key, _, _ in lines]
    for table, column in (("content", "run"), ("part", "run"), ("event", "run"), ("run", "key")):
        work.connection.take(table, (column,), keys)
    freed: dict[tuple[str, ...], int] = {}
    for _, namespace, size in lines:
        freed[namespace,] = freed.get((namespace,), 0) - size
    work.add_to("space", ("namespace",), "size", freed)
    if missing and len(lines) < PIECE:
        for table, column in (("tally", "app_uid"), ("key_tally", "app_uid"), ("app", "uid")):
            work.connection.take(table, (column,), [(app_uid,)])
    return len(lines), len(lines) == PIECE


def forget_counts(work: Work) -> None:
    """Deletes counts of nothing, such as those of pins that no pod has any more."""
    for table, column in (("tally", "runs"), ("key_tally", "runs"), ("space", "size"), ("session_tally", "sessions + moved")):
        work.connection.do(f"DELETE FROM {table} WHERE {column} = 0")  # noqa: S608 - our own names


def note_recorded(work: Work, keys: Sequence[int]) -> None:
    """Notes that the recorder has these runs, and deletes their records."""
    runs = [run for key in keys for run in work.load("key = ? AND recorded = 0", (key,))]
    for run in runs:
        (line,) = work.connection.all("SELECT length(data) FROM content WHERE run = ? AND name = ?", (run.key, RECORD))
        run.recorded, run.size = True, run.size - line[0]
    work.connection.take("content", ("run", "name"), [(run.key, RECORD) for run in runs])
    work.write(runs)
