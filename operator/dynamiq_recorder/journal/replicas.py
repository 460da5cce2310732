"""Shares what several replicas on one PostgreSQL have to know of each other: news of commits, polled pins, and pods that make room."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator

import msgspec

from dynamiq_recorder.journal.model import MICROSECONDS, Place
from dynamiq_recorder.journal.operations import REPLICA, REPLICAS, SILENT, TURN, Turns
from dynamiq_recorder.journal.tables import NOTE, Key, Work
from dynamiq_recorder.store.database import Connection

CHANNEL = "dynamiq_journal"
PAYLOAD = 7_000
"""Most bytes of one notification's keys; PostgreSQL takes less than 8,000."""
FORGOTTEN = 3_600 * MICROSECONDS
"""Microseconds after which the notes of an ended replica are deleted."""
_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


class DatabaseClock:
    """The time of the database, by which all replicas measure."""

    def __init__(self) -> None:
        self._ahead = 0

    def times(self, connection: Connection) -> tuple[int, int]:
        """Returns the time of a transaction, and that of leases."""
        now = int(connection.all(_NOW)[0][0])
        self._ahead = now - time.monotonic_ns() // 1000
        return now, now

    def __call__(self) -> int:
        """Returns the time as of the last transaction, and what has passed since."""
        return time.monotonic_ns() // 1000 + self._ahead


class _News(msgspec.Struct, array_like=True):
    replica: str
    keys: list[Key]


class Replica:
    """This process among those on a database, which `address` names."""

    def __init__(self, address: str) -> None:
        self.address, self.name = address, uuid.uuid4().hex[:12]

    def tell(self, connection: Connection, news: Iterable[Key]) -> None:
        """Notifies the other replicas, once the transaction is committed."""
        connection.tell("SELECT pg_notify(?, ?)", [(CHANNEL, payload) for payload in self._payloads(news)])

    def _payloads(self, news: Iterable[Key]) -> Iterator[str]:
        keys, size = list[Key](), 0
        for key in sorted(news):
            length = len(msgspec.json.encode(key)) + 1
            if keys and size + length > PAYLOAD:
                yield msgspec.json.encode(_News(self.name, keys)).decode()
                keys, size = [], 0
            keys.append(key)
            size += length
        if keys:
            yield msgspec.json.encode(_News(self.name, keys)).decode()

    def heard(self, payload: str) -> list[Key]:
        """Returns the keys of another replica's notification; none of its own, and none of one that it cannot read."""
        try:
            news = msgspec.json.decode(payload, type=_News)
        except msgspec.MsgspecError:  # anybody with the database may send one
            return []
        return news.keys if news.replica != self.name else []

    def live(self, connection: Connection, now: int) -> None:
        """Gives a sign of life, and forgets replicas that have ended."""
        connection.do(NOTE, (f"{REPLICA}{self.name}", now))
        connection.do(f"DELETE FROM meta WHERE {REPLICAS} AND value < ?", (now - FORGOTTEN,))  # noqa: S608 - our own names
        connection.do(f"DELETE FROM polled WHERE ? || replica NOT IN (SELECT name FROM meta WHERE {REPLICAS})", (REPLICA,))  # noqa: S608

    def end(self, connection: Connection) -> None:
        connection.do("DELETE FROM polled WHERE replica = ?", (self.name,))
        connection.do("DELETE FROM meta WHERE name = ?", (f"{REPLICA}{self.name}",))

    def polled(self, connection: Connection, now: int) -> tuple[set[tuple[str, str]], frozenset[tuple[str, str]]]:
        """Returns the pins that pods poll, as it has told the others, and as the others have told it."""
        sql = "SELECT p.replica, p.app_uid, p.pins FROM polled p LEFT JOIN meta m ON m.name = ? || p.replica WHERE p.replica = ? OR m.value > ?"
        lines = connection.all(sql, (REPLICA, self.name, now - SILENT))
        told = {(uid, pins) for replica, uid, pins in lines if replica == self.name}
        return told, frozenset((uid, pins) for replica, uid, pins in lines if replica != self.name)

    def tell_polled(self, connection: Connection, told: set[tuple[str, str]], own: frozenset[tuple[str, str]]) -> None:
        """Tells which pins pods poll here. `told`: what was told before."""
        connection.tell(
            "INSERT INTO polled (replica, app_uid, pins) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [(self.name, *each) for each in sorted(own - told)],
        )
        connection.tell(
            "DELETE FROM polled WHERE replica = ? AND app_uid = ? AND pins = ?", [(self.name, *each) for each in sorted(told - own)]
        )


class SharedTurns(Turns):
    """The turns of all replicas: a pod may ask another one each time."""

    def is_of(self, work: Work, place: Place) -> bool:
        sql = (
            "INSERT INTO makes_room (app_uid, pins, pod, until) VALUES (?, ?, ?, ?) ON CONFLICT (app_uid, pins) "
            "DO UPDATE SET pod = excluded.pod, until = excluded.until WHERE makes_room.pod = excluded.pod OR makes_room.until <= ?"
        )
        return work.connection.do(sql, (place.app_uid, place.pins, place.pod, work.now + TURN, work.now)) > 0

    def end(self, work: Work, place: Place) -> None:
        work.connection.do("DELETE FROM makes_room WHERE app_uid = ? AND pins = ?", (place.app_uid, place.pins))
