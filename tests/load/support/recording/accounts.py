"""Checks that all runs are accounted for: acknowledged to callers, stored, known as missing, or impossible to know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Told:
    """The runs that one process acknowledged to its callers: ids in order. `dropped`: its own count, None if it was killed before that."""

    instance: str
    ids: tuple[str, ...]
    dropped: int | None

    @classmethod
    def of(cls, log: Path) -> Told | None:
        """Reads a log; None for a process that was killed before it began. A last line that was cut off names no run."""
        lines = log.read_text().split("\n")
        words = [line.split(" ") for line in lines[:-1]]
        if not words:
            return None
        dropped = int(words[-1][1]) if words[-1][0] == "dropped" else None
        return cls(words[0][1], tuple(each[0] for each in words[1:] if len(each) == 1), dropped)


@dataclass(frozen=True)
class Books:
    """All counts. `stored`: the ids of each instance, as the recorder's own export has them; `missing` and `cut_off`: its own figures.

    `goodbyes`: the processes that could send a goodbye. Killed ones could not, nor those whose recorder was away at their end.
    """

    told: Sequence[Told]
    stored: Mapping[str, Sequence[str]]
    acknowledged: frozenset[str]
    goodbyes: frozenset[str]
    missing: int
    cut_off: int

    @property
    def given(self) -> int:
        return sum(len(each.ids) for each in self.told)

    @property
    def kept(self) -> int:
        return sum(map(len, self.stored.values()))

    @property
    def tails(self) -> int:
        """Returns the runs that neither were stored nor are counted as missing."""
        return self.given - self.kept - self.missing

    def wrong(self, queue: int) -> list[str]:
        """Returns the discrepancies, a sentence each; `queue`: how many runs a process may have held."""
        every = Counter(each for ids in self.stored.values() for each in ids)
        known = {each for process in self.told for each in process.ids}
        twice = [each for each, number in every.items() if number > 1]
        wrong = [f"{len(twice)} runs are stored twice"] if twice else []
        wrong += [f"{len(lost)} runs were acknowledged and are not stored"] if (lost := self.acknowledged - set(every)) else []
        wrong += [f"{len(strange)} runs are stored that no caller was told of"] if (strange := set(every) - known) else []
        for process in self.told:
            wrong += self._wrong_of(process, queue)
        if self.tails < 0:
            wrong.append(f"{-self.tails} runs are both stored and counted as missing")
        silent = sum(1 for each in self.told if each.instance in self.stored and each.instance not in self.goodbyes)
        if self.cut_off > silent:  # fewer: one that has only just ended may send more
            wrong.append(f"{self.cut_off} processes count as cut off, and {silent} of those that sent runs said no goodbye")
        return wrong

    def _wrong_of(self, process: Told, queue: int) -> list[str]:
        stored = set(self.stored.get(process.instance, ()))
        absent = [each for each in process.ids if each not in stored]
        if process.instance in self.goodbyes:
            same = len(absent) == process.dropped
            return (
                [] if same else [f"{process.instance} said goodbye and that it dropped {process.dropped}, and {len(absent)} are not stored"]
            )
        last = max((place for place, each in enumerate(process.ids) if each in stored), default=-1)
        tail = len(process.ids) - 1 - last
        return [f"{process.instance} was cut off with a tail of {tail}"] if tail > queue else []

    def report(self) -> list[str]:
        return [
            f"  {self.given} runs whose callers have an id = {self.kept} stored + {self.missing} known to be missing + {self.tails} in tails",
            f"  {len(self.told)} processes, {len(self.goodbyes)} of which said goodbye; the recorder counts {self.cut_off} as cut off",
            f"  {len(self.acknowledged)} runs were acknowledged, and each of them is stored once",
        ]
