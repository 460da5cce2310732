"""Orders an index's objects in groups as a history does, oldest first. A page of a group costs the same however long the group is."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class Member(NamedTuple):
    """An object's place in its group. `age` sorts as `views.history` sorts rows."""

    age: tuple[Any, ...]
    uid: str


class Groups:
    """The members of each group, sorted. Not thread-safe."""

    def __init__(self) -> None:
        self._members: dict[str, list[Member]] = {}

    def add(self, group: str, member: Member) -> None:
        insort(self._members.setdefault(group, []), member)

    def discard(self, group: str, member: Member) -> None:
        members = self._members.get(group, [])
        at = bisect_left(members, member)
        if at < len(members) and members[at] == member:
            del members[at]
            if not members:
                del self._members[group]

    def uids(self, group: str) -> list[str]:
        """Returns the members of one group, oldest first."""
        return [member.uid for member in self._members.get(group, ())]

    def newest(self, group: str) -> str | None:
        return members[-1].uid if (members := self._members.get(group)) else None

    def count(self, groups: Iterable[str]) -> int:
        return sum(len(self._members.get(group, ())) for group in groups)

    def part(self, groups: Iterable[str], begin: int, size: int, *, newest_first: bool) -> list[str]:
        """Returns some of the members of several groups in one order."""
        lists = [members for group in groups if (members := self._members.get(group))]
        # A sort of lists that are sorted themselves merges them, in a pass.
        merged = lists[0] if len(lists) == 1 else sorted(member for members in lists for member in members)
        return [member.uid for member in _slice(merged, begin, size, newest_first)]


def _slice(members: Sequence[Member], begin: int, size: int, newest_first: bool) -> Sequence[Member]:
    if not newest_first:
        return members[begin : begin + size]
    end = len(members) - begin
    return members[max(end - size, 0) : end][::-1] if end > 0 else ()
