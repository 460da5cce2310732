"""The operations on conversations, each on a transaction that it may share with others, and the reads that they begin with.

Whose a conversation is, is decided in one commit: of who has it, else of the pod that asks first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from dynamiq_recorder.journal import placement as decisions
from dynamiq_recorder.journal.model import MICROSECONDS, Place
from dynamiq_recorder.journal.placement import Placement, Session
from dynamiq_recorder.journal.tables import OPEN_KEY, Work, placement_key
from dynamiq_recorder.store.database import MANY, Connection, Database, pieces

TRIES = 5
"""Attempts to be the first, while others begin and end the same conversation."""
WAITS = 5 * MICROSECONDS
"""Microseconds for which a turn counts as one that waits for a pod."""
_OF_PINS = "app_uid = ? AND pins = ?"


class Owned(msgspec.Struct, frozen=True):
    """A conversation, and the placement of its App. `is_new`: it began with this call."""

    session: Session
    placement: Placement
    is_new: bool = False


def placement_of(connection: Connection, app_uid: str) -> Placement:
    lines = connection.all("SELECT content, epoch, digest FROM placement WHERE app_uid = ?", (app_uid,))
    if not lines:
        return Placement()
    content, epoch, digest = lines[0]
    return msgspec.structs.replace(msgspec.json.decode(content, type=Placement), epoch=epoch, digest=digest)


def session_of(database: Database, connection: Connection, app_uid: str, session: str) -> Session | None:
    sql = "SELECT pins, sequence, began_at, last_seen FROM session WHERE app_uid = ? AND id = ?"
    lines = connection.all(sql, (app_uid, database.id_in(session)))
    return Session(*lines[0]) if lines else None


def whose(work: Work, place: Place, session: str) -> Owned:
    """Returns whose a conversation is. One that is missing, or has moved, begins with the calling pod.

    Raises Refused if the pod's pins are closed.
    """
    return _whose(work, place, session, placement_of(work.connection, place.app_uid), is_run=False)


def place_run(work: Work, place: Place, session: str) -> tuple[str, str | None]:
    """Returns the pins and the hash of the flow of a run in the background, which are its conversation's."""
    placement = placement_of(work.connection, place.app_uid)
    pins = _whose(work, place, session, placement, is_run=True).session.pins
    row = placement.row(pins)
    return (pins, place.workflow_hash) if pins == place.pins else (pins, row.workflow_hash if row is not None else None)


def _whose(work: Work, place: Place, session: str, placement: Placement, *, is_run: bool) -> Owned:
    app_uid, identity = place.app_uid, work.database.id_in(session)
    for _ in range(TRIES):
        known = session_of(work.database, work.connection, app_uid, session)
        if known is not None and not placement.has_moved(known):
            work.connection.do(
                "UPDATE session SET last_seen = ? WHERE app_uid = ? AND id = ? AND last_seen < ?", (work.now, app_uid, identity, work.now)
            )
            return Owned(known, placement)
        pins = place.pins
        if is_run and pins in placement.closed and placement.live is not None:
            pins = placement.live  # a run needs no way there: pods of its pins claim it
        elif not is_run:
            placement.check_open(pins)
        begun = placement.begun(pins, work.now)
        if known is not None:
            which = (app_uid, identity, known.pins, known.began_at)
            ended = work.connection.do("DELETE FROM session WHERE app_uid = ? AND id = ? AND pins = ? AND began_at = ?", which)
            _count(work, app_uid, known.pins, -ended)
            _note_moved(work, app_uid, known.pins, ended)
        # Another replica may have begun it since: then it has the conversation.
        if work.connection.do(
            "INSERT INTO session (app_uid, id, pins, sequence, began_at, last_seen) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (app_uid, id) DO NOTHING",
            (app_uid, identity, begun.pins, begun.sequence, begun.began_at, begun.last_seen),
        ):
            work.add_app(place)
            _count(work, app_uid, pins, 1)
            return Owned(begun, placement, is_new=True)
    raise RuntimeError(f"a conversation of App {app_uid} began and ended {TRIES} times meanwhile")


def _count(work: Work, app_uid: str, pins: str, change: int) -> None:
    if change:
        work.add_to("session_tally", ("app_uid", "pins"), "sessions", {(app_uid, pins): change})
        work.news.add(OPEN_KEY)


def _note_moved(work: Work, app_uid: str, pins: str, count: int) -> None:
    """Counts conversations that have left some pins, for those who read the history."""
    if count:
        work.add_to("session_tally", ("app_uid", "pins"), "moved", {(app_uid, pins): count})


def note_seen(work: Work, app_uid: str, ages: Mapping[str, int], idle: int) -> None:
    """Notes the last turns of conversations; those that are missing stay so. `ages`, `idle`: as of `moments`."""
    for at, sessions in sorted(decisions.moments(ages, work.now, idle).items()):
        for part in pieces(sorted(sessions)):
            condition, values = work.connection.within("id", [work.database.id_in(each) for each in part])
            sql = f"UPDATE session SET last_seen = ? WHERE app_uid = ? AND last_seen < ? AND {condition}"  # noqa: S608 - our own names
            work.connection.do(sql, [at, app_uid, at, *values])


def wake(work: Work, place: Place, pins: str) -> None:
    """Notes that a turn waits for a pod of these pins. Raises Refused if they are closed."""
    placement_of(work.connection, place.app_uid).check_open(pins)
    work.add_app(place)
    work.connection.do(
        "INSERT INTO turn (app_uid, pins, waits_until) VALUES (?, ?, ?) "
        "ON CONFLICT (app_uid, pins) DO UPDATE SET waits_until = excluded.waits_until",
        (place.app_uid, pins, work.now + WAITS),
    )
    work.news.add(OPEN_KEY)


def put_placement(work: Work, app_uid: str, new: Placement, digest: str) -> None:
    """Replaces the placement of an App's conversations. From its commit on those that move belong to their old pins no more."""
    before = placement_of(work.connection, app_uid)
    if before.digest == digest:
        return
    placed = new.after(before, digest)
    work.connection.do(
        "INSERT INTO placement (app_uid, epoch, digest, content) VALUES (?, ?, ?, ?) ON CONFLICT (app_uid) "
        "DO UPDATE SET epoch = excluded.epoch, digest = excluded.digest, content = excluded.content",
        (app_uid, placed.epoch, digest, msgspec.json.encode(placed)),
    )
    work.news |= {placement_key(app_uid), OPEN_KEY}


def end_moved(work: Work, app_uid: str) -> tuple[dict[str, int], bool]:
    """Deletes a piece of the conversations that have moved. Returns how many of which pins, and True if there may be more."""
    placement = placement_of(work.connection, app_uid)
    for pins in _pins(work, app_uid):
        if pins in placement.closed:
            ended = _end(work, app_uid, pins)
        elif placement.taken is not None and pins != placement.taken.pins:
            ended = _end(work, app_uid, pins, " AND began_at < ?", (placement.taken.before,))
        else:
            continue
        if ended:
            _note_moved(work, app_uid, pins, ended)
            return {pins: ended}, True
    return {}, False


def end_idle(work: Work, app_uid: str, idle: int) -> bool:
    """Deletes a piece of the conversations whose last turn was `idle` seconds ago. Returns True if there may be more."""
    before = work.now - idle * MICROSECONDS
    return any(_end(work, app_uid, pins, " AND last_seen < ?", (before,)) == MANY for pins in _pins(work, app_uid))


def end_all(work: Work, app_uid: str) -> bool:
    """Deletes a piece of an App's conversations. Returns True if there may be more."""
    if any(_end(work, app_uid, pins) == MANY for pins in _pins(work, app_uid)):
        return True
    work.connection.do("DELETE FROM turn WHERE app_uid = ?", (app_uid,))
    return False


def forget_app(work: Work, app_uid: str) -> bool:
    """Deletes a piece of all that is known of a deleted App's conversations. Returns True if there may be more."""
    if end_all(work, app_uid):
        return True
    for table in ("session_tally", "placement"):
        work.connection.do(f"DELETE FROM {table} WHERE app_uid = ?", (app_uid,))  # noqa: S608 - our own names
    return False


def forget_turns(work: Work) -> None:
    """Deletes what is known of turns that do not wait any more."""
    work.connection.do("DELETE FROM turn WHERE waits_until < ?", (work.now,))


def _pins(work: Work, app_uid: str) -> list[str]:
    lines = work.connection.all("SELECT pins FROM session_tally WHERE app_uid = ? AND sessions > 0 ORDER BY pins", (app_uid,))
    return [pins for (pins,) in lines]


def _end(work: Work, app_uid: str, pins: str, condition: str = "", parameters: Sequence[object] = ()) -> int:
    """Deletes at most MANY conversations of some pins. Returns how many."""
    sql = f"SELECT id FROM session WHERE {_OF_PINS}{condition} LIMIT ?"  # noqa: S608 - our own names
    found = [identity for (identity,) in work.connection.all(sql, [app_uid, pins, *parameters, MANY])]
    if not found:
        return 0
    # Once more with the condition: another replica may have noted a turn since.
    within, values = work.connection.within("id", found)
    sql = f"DELETE FROM session WHERE {_OF_PINS}{condition} AND {within}"  # noqa: S608 - our own names
    ended = work.connection.do(sql, [app_uid, pins, *parameters, *values])
    _count(work, app_uid, pins, -ended)
    return ended
