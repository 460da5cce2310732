"""The open background runs and conversations of an App, as the journal counts them. A count that is unknown is never taken for none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil

from dynamiq_operator.desired.pin_labels import SHORT
from dynamiq_operator.model.objects import Row
from dynamiq_operator.plan.observed.conversations import NO_CONVERSATION, Conversations


@dataclass(frozen=True)
class OpenCount:
    """The open runs of one set of pins.

    - `oldest`: when the oldest was accepted. `due`: the same of those that are queued.
    - `polled`: True if a pod asked for work lately.
    - `questions`: open ones, to persons. `asked`: when the oldest of them was asked.
    """

    queued: int = 0
    running: int = 0
    waiting: int = 0
    held: int = 0
    oldest: datetime | None = None
    polled: bool = False
    due: datetime | None = None
    questions: int = 0
    asked: datetime | None = None

    @property
    def total(self) -> int:
        return self.queued + self.running + self.waiting + self.held

    @property
    def active(self) -> int:
        """The runs that need a pod: those that wait for one, and those that have one."""
        return self.queued + self.running


NONE_OPEN = OpenCount()


@dataclass(frozen=True)
class PodLimit:
    """How pods share the runs of one set of pins. `runs`: background runs of a pod at a time. `most`: pods. `talks`: conversations of a pod."""

    runs: int = 1
    most: int = 1
    talks: int = 1

    def pods(self, count: OpenCount) -> int:
        """Returns how many pods the active runs need."""
        return min(ceil(count.active / self.runs), self.most)


@dataclass(frozen=True)
class OpenRuns:
    """The last counts of one App, by the label of pins.

    - `digests`: the whole digest of each label.
    - `known_since`: since when the journal has answered without a gap; None while it is away, or was never read.
    - `is_away`: True if the journal has not answered for some time, or the operator knows none. Else it may not have been asked yet.
    - `ended`: when the last open run of pins ended, if that is not long ago.
    - `fewer`: for pins, since when fewer than a number of pods are needed, if that is not long ago.
    - `rows`: for pins of which no other object tells, their newest row.
    - `callbacks_wait`: True if callbacks are due, and no pod sends them.
    - `shown_since`: since when the App's status shows the counts that it shows now.
    - `talks`: the conversations of pins, also those that ended not long ago.
    """

    counts: Mapping[str, OpenCount] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    known_since: datetime | None = None
    is_away: bool = False
    ended: Mapping[str, datetime] = field(default_factory=dict)
    fewer: Mapping[str, Mapping[int, datetime]] = field(default_factory=dict)
    rows: Mapping[str, Row] = field(default_factory=dict)
    shown_since: datetime | None = None
    callbacks_wait: bool = False
    talks: Mapping[str, Conversations] = field(default_factory=dict)

    @classmethod
    def by_digest(
        cls,
        counts: Mapping[str, OpenCount],
        known_since: datetime | None,
        ended: Mapping[str, datetime],
        fewer: Mapping[str, Mapping[int, datetime]] | None = None,
        *,
        is_away: bool = False,
        talks: Mapping[str, Conversations] | None = None,
    ) -> OpenRuns:
        """Returns the counts of the journal, which names pins by their digest."""
        return cls(
            {digest[:SHORT]: count for digest, count in counts.items()},
            {digest[:SHORT]: digest for digest in (*counts, *(talks or {}))},
            known_since,
            is_away,
            {digest[:SHORT]: moment for digest, moment in ended.items()},
            {digest[:SHORT]: moments for digest, moments in (fewer or {}).items()},
            talks={digest[:SHORT]: each for digest, each in (talks or {}).items()},
        )

    @property
    def is_known(self) -> bool:
        return self.known_since is not None

    def of(self, label: str) -> OpenCount:
        """Returns the last count of pins, which may be old while the journal is away."""
        return self.counts.get(label, NONE_OPEN)

    def talks_of(self, label: str) -> Conversations:
        """Returns the last counts of the conversations of pins."""
        return self.talks.get(label, NO_CONVERSATION)

    def none_since(self, label: str) -> datetime | None:
        """Returns since when it is known that pins have no open run; None if they have one, or if that is unknown."""
        if self.known_since is None or self.of(label).total:
            return None
        return max(self.known_since, self.ended.get(label, self.known_since))

    def fewer_since(self, label: str, pods: int) -> datetime | None:
        """Returns since when it is known that fewer than `pods` pods are needed, if they are; None if counts are unknown."""
        if self.known_since is None:
            return None
        return max(self.known_since, self.fewer.get(label, {}).get(pods, self.known_since))
