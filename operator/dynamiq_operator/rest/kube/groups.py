"""Orders an index's objects in groups as a history does, oldest first. A page of a group costs the same however long the group is."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from operator import attrgetter

from dynamiq_operator.rest.kube.entries import Entry

_AGE = attrgetter("age")


class Groups:
    """The members of each group, sorted by `Entry.age`, as `views.history` sorts rows. Not thread-safe."""

    def __init__(self) -> None:
        self._members: dict[str, list[Entry]] = {}
        self._open: dict[str, dict[str, Entry]] = {}
        """The rows that have not ended for good, by uid: few of a long history."""

    def add(self, entry: Entry) -> None:
        """Adds an entry that is not a member yet."""
        members = self._members.setdefault(entry.group, [])
        # Most come in their order.
        if not members or members[-1].age < entry.age:
            members.append(entry)
        else:
            insort(members, entry, key=_AGE)
        if entry.row is not None and not entry.is_closed:
            self._open.setdefault(entry.group, {})[entry.uid] = entry

    def discard(self, entry: Entry) -> None:
        members = self._members.get(entry.group, [])
        at = bisect_left(members, entry.age, key=_AGE)
        if at < len(members) and members[at].uid == entry.uid:
            del members[at]
            if not members:
                del self._members[entry.group]
        if rows := self._open.get(entry.group):
            rows.pop(entry.uid, None)
            if not rows:
                del self._open[entry.group]

    def open(self, groups: Iterable[str]) -> list[Entry]:
        """Returns the rows of several groups that have not ended for good."""
        return [entry for group in groups for entry in self._open.get(group, {}).values()]

    def members(self, group: str) -> list[Entry]:
        """Returns the members of one group, oldest first."""
        return list(self._members.get(group, ()))

    def newest(self, group: str) -> Entry | None:
        return members[-1] if (members := self._members.get(group)) else None

    def count(self, groups: Iterable[str]) -> int:
        return sum(len(self._members.get(group, ())) for group in groups)

    def part(self, groups: Iterable[str], begin: int, size: int, *, newest_first: bool) -> Sequence[Entry]:
        """Returns some of the members of several groups in one order."""
        lists = [members for group in groups if (members := self._members.get(group))]
        merged = lists[0] if len(lists) == 1 else _merged(lists, begin + size, newest_first)
        return _slice(merged, begin, size, newest_first)


def _merged(lists: Sequence[list[Entry]], count: int, newest_first: bool) -> list[Entry]:
    """Merges sorted lists, without members that are not among the first `count` of the order."""
    ends = [members[-count:] if newest_first else members[:count] for members in lists]
    return sorted((entry for members in ends for entry in members), key=_AGE)


def _slice(members: Sequence[Entry], begin: int, size: int, newest_first: bool) -> Sequence[Entry]:
    if not newest_first:
        return members[begin : begin + size]
    end = len(members) - begin
    return members[max(end - size, 0) : end][::-1] if end > 0 else ()
