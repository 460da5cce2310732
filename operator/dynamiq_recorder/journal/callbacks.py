"""The operations on callbacks, each on a transaction that it may share with others, and reads of them. It sends none.

A callback belongs to an ended run from its due time on. Pods of the App claim those that are due, and report each try.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from dynamiq_recorder.journal.callback import (
    GIVES_UP,
    LEASE,
    NO_POD,
    NOT_ALLOWED,
    WAITS,
    Callback,
    CallbackState,
    Delivery,
    Settled,
    problem,
)
from dynamiq_recorder.journal.model import MICROSECONDS, LateCallbacks, Refused
from dynamiq_recorder.journal.run import OUTPUT, Run
from dynamiq_recorder.journal.tables import COLUMNS, OPEN_KEY, Work, callbacks_key, run_of, unheard_key, unpacked_within
from dynamiq_recorder.store.database import Cell, Connection, Database, pieces

PIECE = 200
"""Callbacks that one operation gives up."""
OUTPUT_MAX, CLAIM_BYTES = 1024 * 1024, 8 * 1024 * 1024
"""Most bytes of an output that a callback has, and bytes of runs from which on a claim gives no further ones."""
LATE = 5 * MICROSECONDS
"""Microseconds after which a callback that is due, and sent by no pod, counts as late."""
LATE_MOST = 1_000
"""Most late callbacks of an App that are counted."""

_COLUMNS = Callback.__struct_fields__
_CHANGING = ("state", "due", "gives_up_at", "lease_until", "tries", "status", "error", "last_at")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM callback WHERE"  # noqa: S608 - our own names
_WAITS = "state = 'pending' AND due IS NOT NULL"
"""True for callbacks of ended runs that are neither delivered nor failed; an index has them."""
IS_CALLED_BACK = "EXISTS (SELECT 1 FROM callback WHERE callback.run = run.key AND callback.state = 'pending')"
"""True for runs of which a callback is neither delivered nor failed."""
_IS_FREE = "(lease_until IS NULL OR lease_until < ?)"


class Claimed(msgspec.Struct, frozen=True):
    """A callback for a pod, and its run as it ended. `output`: None if it has none, or too large a one: then `is_omitted`."""

    callback: Callback
    run: Run
    output: bytes | None = None
    is_omitted: bool = False


def claim(work: Work, app_uid: str, free: int, hosts: Collection[str]) -> tuple[list[Callback], int]:
    """Claims callbacks of an App that are due, at most `free`, oldest due first. `hosts`: the allowed ones; empty for all public ones.

    It gives up those whose host is no longer allowed. Returns the claimed ones, and how many it gave up.
    """
    sql = f"{_SELECT} app_uid = ? AND {_WAITS} AND due <= ? AND gives_up_at > ? AND {_IS_FREE} ORDER BY due, run, n LIMIT ?"
    due = _load(work, f"{sql}{work.connection.skipping}", [app_uid, work.now, work.now, work.of_leases, free])
    sizes = _sizes(work.connection, [each.run for each in due])
    chosen: list[Callback] = []
    left = CLAIM_BYTES
    for each in due:
        left -= min(sizes.get(each.run, 0), OUTPUT_MAX)
        if chosen and left < 0:
            break
        chosen.append(each)
    for each in chosen:
        if problem(each.url, hosts) is not None:
            each.fail(NOT_ALLOWED, work.now)
        else:
            each.claim(work.now, work.of_leases)
    _write(work, chosen)
    claimed = [each for each in chosen if each.state is CallbackState.PENDING]
    return claimed, len(chosen) - len(claimed)


def settle(
    work: Work, app_uid: str, results: Sequence[Delivery], *, limits_egress: bool, chance: Callable[[], float] = random.random
) -> list[Settled | None]:
    """Takes the results of a pod's tries, each by itself; None for one that another claim has by now, or that is unknown."""
    keys = work.keys(app_uid, {each.run_id for each in results})
    callbacks = {(each.run, each.n): each for each in _of_runs(work, list(keys.values()))}
    settled: list[Settled | None] = []
    changed: dict[tuple[int, int], Callback] = {}
    for result in results:
        place = (keys.get(result.run_id, 0), result.n)
        callback = callbacks.get(place)
        if callback is None or not callback.is_held_by(result.number):
            settled.append(None)
            continue
        settled.append(callback.settle(result, work.now, chance(), limits_egress=limits_egress))
        changed[place] = callback
    _write(work, list(changed.values()))
    return settled


def send_again(work: Work, app_uid: str, run_id: str, n: int | None) -> Run | None:
    """Makes callbacks of an ended run due at once: one, or all. Returns the run, or None if it is missing.

    Raises Refused.
    """
    run = work.by_ids(app_uid, [run_id]).get(run_id)
    if run is None:
        return None
    if run.is_open:
        raise Refused("not_ended", f"run {run.id} has not ended: its callbacks are sent once it has")
    chosen = [each for each in _of_runs(work, [run.key]) if n in (None, each.n)]
    if not chosen and n is not None:
        raise Refused("not_found", f"run {run.id} has no callback {n}")
    for each in chosen:
        each.send_again(work.now)
    _write(work, chosen)
    work.news |= {callbacks_key(app_uid), unheard_key(app_uid), OPEN_KEY}
    return run


def give_up(work: Work, app_uid: str) -> tuple[int, bool]:
    """Gives up callbacks of an App that no pod has sent in time. Returns how many, and True if there may be more."""
    sql = f"{_SELECT} app_uid = ? AND {_WAITS} AND gives_up_at <= ? AND {_IS_FREE} LIMIT ?{work.connection.skipping}"
    over = _load(work, sql, [app_uid, work.now, work.of_leases, PIECE])
    for each in over:
        each.fail(NO_POD, work.now)
    _write(work, over)
    return len(over), len(over) == PIECE


def renew(work: Work) -> None:
    """Gives leases of callbacks no more than their full time, and makes none due later than its longest wait.

    The wall clock may have gone back. Callbacks of runs that ended under a journal of the version before become due.
    """
    do, pending = work.connection.do, "state = 'pending'"
    lease, longest = work.of_leases + LEASE, work.now + round(WAITS[-1] * 1.2) * MICROSECONDS
    do(f"UPDATE callback SET lease_until = ? WHERE {_WAITS} AND lease_until > ?", (lease, lease))  # noqa: S608 - our own names
    do(f"UPDATE callback SET due = ? WHERE {_WAITS} AND due > ?", (longest, longest))  # noqa: S608
    has_ended = "EXISTS (SELECT 1 FROM run WHERE run.key = callback.run AND run.ended_at IS NOT NULL)"
    do(
        f"UPDATE callback SET due = ?, gives_up_at = ? WHERE {pending} AND due IS NULL AND {has_ended}",  # noqa: S608
        (work.now, work.now + GIVES_UP),
    )


def of_run(connection: Connection, key: int) -> tuple[Callback, ...]:
    """Returns the callbacks of a run, in order."""
    return tuple(map(_callback_of, connection.all(f"{_SELECT} run = ? ORDER BY n", (key,))))


def due_of(connection: Connection, keys: Sequence[int]) -> Counter[int]:
    """Returns how many callbacks of ended runs are neither delivered nor failed, by the run's key."""
    due = Counter[int]()
    for part in pieces(keys):
        condition, values = connection.within("run", part)
        due.update(dict(connection.all(f"SELECT run, count(*) FROM callback WHERE {condition} AND {_WAITS} GROUP BY run", values)))  # noqa: S608
    return due


def next_due(connection: Connection, app_uid: str, now: int) -> float | None:
    """Returns the seconds until the next callback of an App is due, or its lease is over; None if none waits."""
    sql = f"SELECT due FROM callback WHERE app_uid = ? AND {_WAITS} AND gives_up_at > ? ORDER BY due LIMIT 1"  # noqa: S608 - our own names
    lines = connection.all(sql, (app_uid, now))
    return max(lines[0][0] - now, 0) / MICROSECONDS if lines else None


def late(connection: Connection, now: int) -> tuple[LateCallbacks, ...]:
    """Returns the counts of late callbacks by pins, in order of their place."""
    apps = connection.all(f"SELECT DISTINCT app_uid FROM callback WHERE {_WAITS} AND due <= ?", (now - LATE,))  # noqa: S608 - our own names
    of_app = f"SELECT run FROM callback WHERE app_uid = ? AND {_WAITS} AND due <= ? AND gives_up_at > ? LIMIT {LATE_MOST}"  # noqa: S608
    sql = (
        f"SELECT a.namespace, a.name, r.app_uid, r.pins, count(*) FROM ({of_app}) AS c "  # noqa: S608
        "JOIN run r ON r.key = c.run JOIN app a ON a.uid = r.app_uid GROUP BY a.namespace, a.name, r.app_uid, r.pins"
    )
    counted = connection.ask([(sql, (uid, now - LATE, now)) for (uid,) in apps]) if apps else []
    found = [LateCallbacks(namespace, app, uid, pins, int(count)) for lines in counted for namespace, app, uid, pins, count in lines]
    return tuple(sorted(found, key=lambda each: (each.namespace, each.app, each.app_uid, each.pins)))


def pending(connection: Connection) -> int:
    """Returns how many callbacks of ended runs are neither delivered nor failed."""
    return int(connection.all(f"SELECT count(*) FROM callback WHERE {_WAITS}")[0][0])  # noqa: S608 - our own names


def with_runs(database: Database, connection: Connection, callbacks: Sequence[Callback]) -> list[Claimed]:
    """Returns claimed callbacks with their runs. One whose run was deleted meanwhile is left out."""
    if not callbacks:
        return []
    keys = sorted({each.run for each in callbacks})
    condition, values = connection.within("key", keys)
    runs = {line[0]: run_of(database, line) for line in connection.all(f"SELECT {COLUMNS} FROM run WHERE {condition}", values)}  # noqa: S608
    condition, values = connection.within("run", keys)
    sql = f"SELECT run, CASE WHEN length(data) <= ? THEN data END FROM content WHERE {condition} AND name = ?"  # noqa: S608 - our own names
    stored: dict[int, bytes | None] = dict(connection.all(sql, [OUTPUT_MAX, *values, OUTPUT]))
    claimed = []
    for each in callbacks:
        if (run := runs.get(each.run)) is not None:
            data = stored.get(each.run)
            output = unpacked_within(data, OUTPUT_MAX) if data is not None else None
            claimed.append(Claimed(each, run, output, each.run in stored and output is None))
    return claimed


def _callback_of(line: Cell) -> Callback:
    fields: dict[str, Any] = dict(zip(_COLUMNS, line, strict=True))
    metadata = fields["metadata"]
    return Callback(**{**fields, "state": CallbackState(fields["state"]), "metadata": bytes(metadata) if metadata is not None else None})


def _load(work: Work, sql: str, parameters: Sequence[object]) -> list[Callback]:
    return [_callback_of(line) for line in work.connection.all(sql, parameters)]


def _of_runs(work: Work, keys: Sequence[int]) -> list[Callback]:
    """Returns callbacks that are about to be changed, in one order, so that two transactions do not wait for each other."""
    found: list[Callback] = []
    for part in pieces(sorted(keys)):
        condition, values = work.connection.within("run", part)
        found += _load(work, f"{_SELECT} {condition} ORDER BY run, n{work.connection.locking}", values)
    return found


def _write(work: Work, callbacks: Sequence[Callback]) -> None:
    lines = [(*(getattr(each, name) for name in _CHANGING), each.run, each.n) for each in callbacks]
    changes = ", ".join(f"{name} = ?" for name in _CHANGING)
    work.connection.tell(f"UPDATE callback SET {changes} WHERE run = ? AND n = ?", lines)  # noqa: S608 - our own names


def _sizes(connection: Connection, keys: Sequence[int]) -> dict[int, int]:
    """Returns the bytes of the outputs of runs as they are stored."""
    condition, values = connection.within("run", sorted(set(keys)))
    sql = f"SELECT run, length(data) FROM content WHERE {condition} AND name = ?"  # noqa: S608 - our own names
    return {key: int(size) for key, size in connection.all(sql, [*values, OUTPUT])} if keys else {}
