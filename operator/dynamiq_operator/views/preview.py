"""Describes what a deploy would do: which values change, and whether pods restart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dynamiq_operator.model.breaking import Compatibility, Judgement
from dynamiq_operator.model.guards import ApprovalWhen, StandingGuard
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.row import Pinned
from dynamiq_operator.model.shapes import Shapes
from dynamiq_operator.model.text import in_camel_case
from dynamiq_operator.views.background_runs import ConversationCount, OpenRunCount, ago, counted
from dynamiq_operator.views.history import compute_in_words, config_in_words

NOTHING = "(nothing)"
HOLDS = "changes from Git are on hold after it, until somebody resumes them"
_UNKNOWN = "is unknown: the journal does not answer, or you may not ask it"
OPEN_RUNS_UNKNOWN = f"how many background runs are open {_UNKNOWN}; each finishes on the version that it began with"
CONVERSATIONS_UNKNOWN = f"how many conversations are open {_UNKNOWN}"
SERVER, SERVERLESS = "server", "serverless"


@dataclass(frozen=True)
class Side:
    """One side of a change: what runs, or would run.

    `row`, `sequence`: None for a row that does not exist yet. `runtime`: its version; `runtime_name`: the Runtime's name. `restores`: the
    name of the restored row; `restored_sequence`: its number.
    """

    version: str
    flow_hash: str
    runtime: str
    runtime_name: str
    image: str
    config: Mapping[str, Any]
    restores: str | None = None
    restored_sequence: int | None = None
    row: str | None = None
    sequence: int | None = None

    @classmethod
    def of(cls, pinned: Pinned, row: str | None = None, sequence: int | None = None) -> Side:
        """Returns what a row pinned, or would pin."""
        return cls(
            version=pinned.workflow_version,
            flow_hash=pinned.workflow_hash,
            runtime=pinned.runtime.version,
            runtime_name=pinned.runtime.name,
            image=pinned.runtime.image,
            restores=pinned.restores.row if pinned.restores is not None else None,
            restored_sequence=pinned.restores.sequence if pinned.restores is not None else None,
            config=pinned.config.as_json(),
            row=row,
            sequence=sequence,
        )

    def as_json(self) -> dict[str, Any]:
        """Returns all of it as data."""
        data = {"row": self.row, "sequence": self.sequence} | {in_camel_case(name): value for name, value in vars(self).items()}
        return data | {"config": dict(self.config)}


@dataclass(frozen=True)
class Preview:
    """A deploy of `app` that has not been performed.

    `now`: what is live; None before the first deploy. `row`: what would be created. `no_op`: the App would run exactly what it runs, or
    what is under way. `under_way`: a row in a rollout that would be overtaken. `warnings`: sentences for the caller. `restarts`: the App
    would run other pods than now. `switches`: calls move to these at once. `warm`: how many of them are ready, and how many start before
    calls move; None if unknown. `asleep`: the App is asleep now.

    `guards`: the guards in the App's status that would block the row. `waits`: what an existing row waits for. `begins_hold`: once the row
    exists, Git's changes are on hold. `bypass_reason`: why guards are bypassed; None if they are not.

    `open_runs`: background runs of the App that have not ended, and its conversations; None if unknown. `finishing`: versions before the live
    one that have some of the runs, such as `v1 (#10)`, and how many. `held`: runs of these versions that are held.

    `has_sessions`: conversations of the App stay on their versions. `takes_sessions`: those of other versions move to this one. `pins`: of
    this version. `titles`: of known versions, by their pins.

    `judgement`: whom the version may break; None if nothing is live, or it has the live flow. `app_uid`: empty for an App that is not created yet.
    """

    namespace: str
    app: str
    now: Side | None
    then: Side
    flow_diff: tuple[str, ...]
    restarts: bool
    no_op: bool
    row: Manifest
    under_way: str | None = None
    warnings: tuple[str, ...] = ()
    switches: bool = False
    warm: tuple[int, int] | None = None
    asleep: bool = False
    guards: tuple[StandingGuard, ...] = ()
    waits: str | None = None
    begins_hold: bool = False
    bypass_reason: str | None = None
    open_runs: OpenRunCount | None = None
    finishing: tuple[tuple[str, int], ...] = ()
    held: int = 0
    has_sessions: bool = False
    takes_sessions: bool = False
    pins: str = ""
    titles: Mapping[str, str] = field(default_factory=dict)
    judgement: Judgement | None = None
    app_uid: str = ""

    @property
    def fields_to_count(self) -> tuple[str, ...]:
        """The fields that have to be counted in the recorded runs. A row that exists was judged when it was pinned."""
        return self.judgement.fields if self.judgement is not None and self.judgement.pinned_result is None else ()

    def with_callers(self, shapes: Shapes | None, why: str = "") -> Preview:
        """Returns the preview with the callers that the version may break. Without shapes they are unknown, for the reason `why`."""
        if self.judgement is None:
            return self
        return replace(self, judgement=self.judgement.counted(shapes, why)).with_guards(self.guards)

    def with_guards(self, guards: Iterable[StandingGuard]) -> Preview:
        """Returns the preview with these guards, without those for versions that may break callers if this one breaks none."""
        breaks = self.judgement is not None and self.judgement.result is not Compatibility.COMPATIBLE
        return replace(self, guards=tuple(each for each in guards if breaks or each.when is not ApprovalWhen.BREAKING))

    @property
    def moves_on(self) -> bool:
        """True if the deploy means something for open background runs, or for conversations: other pods run, or it takes them."""
        return self.now is not None and (self.restarts or self.takes_sessions)

    def with_open_runs(self, count: OpenRunCount | None) -> Preview:
        """Returns the preview with the open background runs and conversations; None: they are unknown."""
        unknown = [OPEN_RUNS_UNKNOWN] if count is None and self.restarts else []
        if self.has_sessions and (count is None or count.conversations is None):
            unknown.append(CONVERSATIONS_UNKNOWN)
        return replace(self, open_runs=count, warnings=(*self.warnings, *unknown))

    @property
    def is_warm(self) -> bool:
        """True if calls move to pods that are all ready already."""
        return self.switches and self.warm is not None and self.warm[1] == 0

    def as_json(self) -> dict[str, Any]:
        """Returns the preview as data, for surfaces that draw it themselves."""
        conversations = self.open_runs.conversations if self.open_runs is not None else None
        return {
            "namespace": self.namespace,
            "app": self.app,
            "from": self.now.as_json() if self.now is not None else None,
            "to": self.then.as_json(),
            "flowDiff": "\n".join(self.flow_diff),
            "podsRestart": self.restarts and not self.is_warm,
            "noOp": self.no_op,
            "strategy": "Switch" if self.switches else "Rolling",
            "podsWarm": self.warm[0] if self.warm is not None else None,
            "podsToStart": self.warm[1] if self.warm is not None else None,
            "asleep": self.asleep,
            "underWay": self.under_way,
            "guards": [each.as_json() for each in self.guards],
            "waits": self.waits,
            "beginsHold": self.begins_hold,
            "bypassReason": self.bypass_reason,
            "openRuns": self.open_runs.runs if self.open_runs is not None else None,
            "heldRuns": self.held,
            "openQuestions": self.open_runs.questions if self.open_runs is not None else None,
            "oldestQuestionAt": self.open_runs.oldest if self.open_runs is not None else None,
            "openConversations": sum(each.count for each in conversations) if conversations is not None else None,
            "takesSessions": self.takes_sessions,
            "openRunNotes": self._open_runs(),
            "callers": self.judgement.as_json(self.then.version) if self.judgement is not None else None,
            "warnings": list(self.warnings),
        }

    def lines(self) -> list[str]:
        """Returns the preview as text, without colour. Lines of the diff begin with `+`, `-`, `@` or a space."""
        now, then = self.now, self.then
        title = f"{self.app} in {self.namespace}"
        pairs = [
            ("version", _title(now) if now else NOTHING, then.version),
            ("runtime", _runtime(now, then) if now else NOTHING, _runtime(then, now)),
            ("config", config_in_words(now.config) if now else NOTHING, config_in_words(then.config)),
            ("compute", compute_in_words(now.config) if now else NOTHING, compute_in_words(then.config)),
        ]
        types = (_type(now) if now else NOTHING, _type(then))
        if types != (SERVER, SERVER):
            pairs.insert(2, ("type", *types))
        restored = [f"  restores {self._restored()}"] if then.restores is not None else []
        lines = [title, *restored, *(change(*pair) for pair in pairs), *self._consequences()]
        return lines + (["", *self.flow_diff] if self.flow_diff else [])

    def _restored(self) -> str:
        """Returns the row that is restored, as `#3 support-9ml5c`."""
        sequence = self.then.restored_sequence
        return f"#{sequence} {self.then.restores}" if sequence is not None else str(self.then.restores)

    def _consequences(self) -> list[str]:
        lines = [f"  {self.under_way} is being deployed and would be overtaken"] if self.under_way else []
        if self.no_op and self.under_way:
            lines.append("  nothing else changes: that row deploys exactly this")
        elif self.no_op:
            lines.append("  nothing changes: the App runs exactly this already, and a new row records it")
        elif self.now is None:
            lines.append("  pods are started")
        elif self.restarts:
            lines.append(f"  {self._moves() if self.switches else 'pods are replaced one by one; requests are still answered'}")
        else:
            lines.append("  no pod restarts")
        return lines + [f"  {each}" for each in (*self._callers(), *self._open_runs(), *self._sleep(), *self._rules(), *self.warnings)]

    def _callers(self) -> list[str]:
        return self.judgement.lines(self.then.version) if self.judgement is not None else []

    def _rules(self) -> list[str]:
        """Returns which guards block the row, if it bypasses them, and if it begins a hold."""
        lines = [f"it waits: {self.waits}"] if self.waits is not None else [f"it would wait: {each.message}" for each in self.guards]
        if self.bypass_reason is not None:
            lines.insert(0, f"it bypasses the guards: {self.bypass_reason}")
        return [*lines, HOLDS] if self.begins_hold else lines

    def _open_runs(self) -> list[str]:
        """Returns where open background runs and conversations go on, and what runs wait for, in one sentence each; none without them."""
        if self.now is None or not self.moves_on:
            return []
        stay: dict[str, int] = {}
        lines = []
        if self.takes_sessions:
            lines.append(self._taken())
        elif self.open_runs is not None:
            for each in self.open_runs.conversations or ():
                stay[self._version_of(each)] = stay.get(self._version_of(each), 0) + each.count
        return [*(self._finish(self.open_runs, _title(self.now), stay) if self.open_runs is not None and self.restarts else ()), *lines]

    def _finish(self, count: OpenRunCount, live: str, stay: Mapping[str, int]) -> list[str]:
        """Returns where runs finish, and conversations of `stay`. `live`: the version that is live now."""
        # The counts of earlier versions are of the App's status, which may be half a minute old.
        of_live = max(count.runs - sum(runs for _, runs in self.finishing), 0) if count.runs else 0
        runs = {live: of_live, **(dict(self.finishing) if count.runs else {})}
        there = [(title, runs.get(title, 0), stay.get(title, 0)) for title in dict.fromkeys([*runs, *stay])]
        lines = []
        if places := [(title, both, both[0] + both[1]) for title, *both in there if any(both)]:
            (first, both, total), *others = places
            whole = f"{_runs_and_conversations(*both)} finish{'es' if total == 1 else ''} on {first}"
            more = (f"{_runs_and_conversations(*both) if stay else total} on {title}" for title, both, total in others)
            lines.append(", ".join([whole, *more]))
        if count.runs and (questions := count.questions):
            longest = ago(count.seconds)
            how = "a question waits for a person" if questions == 1 else f"{questions} questions wait for a person, one"
            lines.append(f"{how} for {longest}; this needs no pod")
        if count.runs and self.held:
            lines.append(f"{self.held} of them {'is' if self.held == 1 else 'are'} held until a person restarts or releases them")
        return lines

    def _taken(self) -> str:
        """Returns which conversations move to this version."""
        if self.open_runs is None or self.open_runs.conversations is None:
            return "conversations of other versions move to this one once it is live"
        moved = [each for each in self.open_runs.conversations if each.pins != self.pins and each.count]
        total = sum(each.count for each in moved)
        if not total:
            return "no conversation is open on another version"
        verb = "moves" if total == 1 else "move"
        of_each = ", ".join(f"{each.count} of {self._version_of(each)}" for each in moved)
        return f"{counted(total, 'conversation')} {verb} to this version once it is live: {of_each}"

    def _version_of(self, conversations: ConversationCount) -> str:
        sequence = conversations.sequence
        if conversations.pins == self.pins:  # a rollback to what has conversations
            return f"{self.then.version} (#{sequence})" if sequence is not None else self.then.version
        return self.titles.get(conversations.pins) or (f"#{sequence}" if sequence is not None else "an earlier version")

    def _moves(self) -> str:
        """Returns what a switch does, in one sentence."""
        ready, to_start = self.warm or (0, 0)
        if self.warm is None:
            return "its pods start beside those that serve, unless a standby is ready; when all are ready, calls move to them at once"
        if not ready:
            return f"{_pods(to_start)} beside those that serve; when all are ready, calls move to them at once"
        warm = f"standby: {ready} pod{'s' if ready != 1 else ''} ready"
        if not to_start:
            return f"{warm}, no pod starts; calls move to them at once"
        return f"{warm}, {_pods(to_start)} beside them; when all are ready, calls move to them at once"

    def _sleep(self) -> list[str]:
        """Returns what the deploy means for the sleep of a serverless App."""
        now, then = _type(self.now) if self.now is not None else "", _type(self.then)
        lines = []
        if then == SERVERLESS and now != SERVERLESS:
            lines.append("the App sleeps while nobody calls, and the next call wakes it")
        elif now == SERVERLESS and then != SERVERLESS:
            lines.append("the App no longer sleeps")
        return [*lines, "the App is asleep, and wakes for this"] if self.asleep and not self.no_op else lines


def differences(before: Side, after: Side) -> list[str]:
    """Returns the differences of two rows as lines of a preview. Resources of pods are listed only if they differ."""
    pairs = [
        ("version", before.version, after.version),
        ("runtime", _runtime(before, after), _runtime(after, before)),
        ("config", config_in_words(before.config), config_in_words(after.config)),
    ]
    compute_before, compute_after = compute_in_words(before.config), compute_in_words(after.config)
    if compute_before != compute_after:
        pairs.append(("compute", compute_before, compute_after))
    return [change(*pair) for pair in pairs]


def _type(side: Side) -> str:
    return str(side.config.get("type", SERVER))


def _pods(count: int) -> str:
    return f"{count} pod{'s' if count != 1 else ''} start{'s' if count == 1 else ''}"


def _runs_and_conversations(runs: int, conversations: int) -> str:
    parts = [counted(runs, "background run")] if runs else []
    return " and ".join([*parts, *([counted(conversations, "conversation")] if conversations else [])])


def _title(side: Side) -> str:
    return f"{side.version} (#{side.sequence})" if side.sequence else side.version


def _runtime(side: Side, other: Side | None) -> str:
    """Returns the runtime's version. It adds name and image if only these differ from the other runtime."""
    if other is None or side.runtime != other.runtime or (side.runtime_name, side.image) == (other.runtime_name, other.image):
        return side.runtime
    return f"{side.runtime} ({side.runtime_name}, {side.image})"


def change(name: str, before: str, after: str) -> str:
    """Returns one line of a preview: a value, or its change."""
    return f"  {name:<8} {after if before == after else f'{before} → {after}'}"
