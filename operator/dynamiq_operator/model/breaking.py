"""Judges whom a new version may break: the changes of a flow's contract, counted in the shapes of the runs that callers sent.

It reads no flow (`model.contract` does) and asks no recorder: the recorder's shapes are given. Unknown is never told as compatible.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from dynamiq_operator.model.base import Part
from dynamiq_operator.model.contract import ChangeKind, Contract, ContractChange, changes
from dynamiq_operator.model.guards import RowOf
from dynamiq_operator.model.shapes import CallerShapes, Shapes, counted_runs

DAYS = 7
"""Days of recorded runs that are judged by."""
FORM = 2
"""Version of the analysis. A contract of another one is read again from the flow, since both sides must be told alike."""
AWAY, DENIED = "the recorder does not answer", "you may not ask the recorder about this App, or it is older"
NO_RECORDER = "no recorder is installed, or you may not reach it"
NO_TOKEN = "the recorder needs a token, see --token"  # noqa: S105 - a sentence
SHOWN_CALLERS, SHOWN_CHANGES, PINNED_BREAKS = 5, 20, 64
FIELDS_MOST = 128
"""Fields of one version that the recorder counts at once."""
COUNTED = (ChangeKind.FAILS, ChangeKind.READS, ChangeKind.DECLARED)
"""Kinds of changes that only concern the runs that do not send the field, or send another type."""


class Compatibility(StrEnum):
    """The judgement on a new version."""

    COMPATIBLE = "Compatible"
    """It reads nothing that a recorded run did not send, and answers what the live version does."""
    BREAKING = "Breaking"
    UNKNOWN = "Unknown"


class Break(Part):
    """One change that may break callers, as a row pins it: counts, and no caller."""

    kind: Annotated[ChangeKind, Field(description="Fails, Reads, Declared, Answers or CannotTell.")]
    name: Annotated[str, Field(max_length=64, description="The field; of CannotTell the node. Empty: the whole flow, or the whole answer.")]
    type: Annotated[str | None, Field(max_length=16, description="The type that it must have now, or is answered with.")] = None
    runs: Annotated[int | None, Field(ge=0, description="Runs that did not send it, or sent another type. Left out: not counted.")] = None
    of: Annotated[int | None, Field(ge=0, description="All runs with a known shape.")] = None
    callers: Annotated[int | None, Field(ge=0, description="How many callers sent these runs.")] = None


class PinnedContract(Contract):
    """The contract of a row's flow, and whom it may break, as judged when the row was pinned."""

    form: Annotated[int, Field(ge=1, le=1000, description="Version of the analysis.")] = FORM
    result: Annotated[Compatibility | None, Field(description="Compatible, Breaking or Unknown. Left out: nothing was live.")] = None
    against: Annotated[RowOf | None, Field(description="The row that was live then.")] = None
    breaks: Annotated[tuple[Break, ...], Field(max_length=PINNED_BREAKS, description="What may break callers.")] = ()
    unknown: Annotated[str | None, Field(max_length=256, description="Why nothing was counted.")] = None


@dataclass(frozen=True)
class Caller:
    """A caller, and how many of its runs a change concerns. `key`, `trigger`: None if it used none."""

    key: str | None
    trigger: str | None
    runs: int

    @property
    def title(self) -> str:
        if self.trigger is not None:
            return f"trigger {self.trigger}"
        return f"key {self.key}" if self.key is not None else "callers without a key"


@dataclass(frozen=True)
class JudgedChange:
    """A change, and the runs that it concerns. `runs`, `of`: None if they were not counted, or need no count. `unsure`: runs whose shape
    left the field out. `others`: callers that are not in `callers`, most of which are known by their number alone.
    """

    change: ContractChange
    runs: int | None = None
    of: int | None = None
    unsure: int = 0
    callers: tuple[Caller, ...] = ()
    others: int = 0

    @property
    def result(self) -> Compatibility:
        """The judgement on this change alone."""
        kind = self.change.kind
        if kind is ChangeKind.NOTE:
            return Compatibility.COMPATIBLE
        if kind is ChangeKind.ANSWERS:
            return Compatibility.BREAKING if self.change.name else Compatibility.UNKNOWN
        if kind is ChangeKind.CANNOT_TELL or self.runs is None:
            return Compatibility.UNKNOWN
        if self.runs:
            return Compatibility.BREAKING
        return Compatibility.UNKNOWN if self.unsure or not self.of else Compatibility.COMPATIBLE

    def pinned(self) -> Break:
        """Returns the change as a row pins it."""
        callers = len(self.callers) + self.others if self.runs is not None else None
        return Break(kind=self.change.kind, name=self.change.name, type=self.change.type, runs=self.runs, of=self.of, callers=callers)


@dataclass(frozen=True)
class Judgement:
    """Whom a version may break. `unknown`: why runs were not counted, or too few of them; None if they were.

    `days`: of the runs that were counted. `pinned_result`: the result that a row pinned, which is not counted again; None if it is no row's.
    """

    changes: tuple[JudgedChange, ...]
    unknown: str | None = None
    days: int = DAYS
    pinned_result: Compatibility | None = None

    @property
    def result(self) -> Compatibility:
        if self.pinned_result is not None:
            return self.pinned_result
        results = {each.result for each in self.changes}
        if Compatibility.BREAKING in results:
            return Compatibility.BREAKING
        is_unknown = Compatibility.UNKNOWN in results or self.why_unknown is not None
        return Compatibility.UNKNOWN if is_unknown else Compatibility.COMPATIBLE

    @property
    def why_unknown(self) -> str | None:
        """The reason why runs were not counted, if some had to be."""
        return self.unknown if self.fields or self.pinned_result is not None else None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that have to be counted in shapes."""
        return tuple(dict.fromkeys(each.change.name for each in self.changes if each.change.kind in COUNTED))

    def counted(self, shapes: Shapes | None, why: str = "") -> Judgement:
        """Returns the judgement by the recorder's shapes; without them it stays unknown, for the reason `why`."""
        if len(self.fields) > FIELDS_MOST:
            return Judgement(self.changes, f"{len(self.fields)} fields changed, and at most {FIELDS_MOST} are counted")
        if shapes is None:
            return Judgement(self.changes, why or AWAY)
        unknown = _why_unknown(shapes)
        if unknown is not None and not (shapes.enabled and shapes.runs):
            return Judgement(self.changes, unknown, shapes.days)
        return Judgement(tuple(_counted(each.change, shapes) for each in self.changes), unknown, shapes.days)

    def pins(self, contract: Contract, against: RowOf | None) -> PinnedContract:
        """Returns what a row with this contract pins. `against`: the live row; None if nothing is live."""
        breaks = tuple(each.pinned() for each in self.changes if each.result is not Compatibility.COMPATIBLE)
        return PinnedContract(
            **{name: getattr(contract, name) for name in Contract.model_fields},
            result=self.result if against is not None else None,
            against=against,
            breaks=breaks[:PINNED_BREAKS],
            unknown=self.why_unknown[:256] if self.why_unknown is not None else None,
        )

    def lines(self, version: str) -> list[str]:
        """Returns a sentence for each change, and one for what is unknown; those that may break come first. None for no change."""
        ordered = sorted(self.changes, key=lambda each: each.result is Compatibility.COMPATIBLE)
        lines = [self._sentence(each, version) for each in ordered[:SHOWN_CHANGES]]
        if (more := len(ordered) - SHOWN_CHANGES) > 0:
            lines.append(f"and {more} more changes of what it reads and answers")
        if self.why_unknown is not None:
            lines.append(f"how many callers it may break is unknown: {self.why_unknown}")
        return lines

    def as_json(self, version: str) -> dict[str, Any]:
        """Returns the judgement as data, with the sentence of each change."""
        return {
            "result": self.result.value,
            "days": self.days,
            "unknown": self.why_unknown,
            "changes": [
                {
                    "kind": each.change.kind.value,
                    "name": each.change.name,
                    "result": each.result.value,
                    "runs": each.runs,
                    "of": each.of,
                    "callers": [{"key": one.key, "trigger": one.trigger, "runs": one.runs} for one in each.callers],
                    "message": self._sentence(each, version),
                }
                for each in self.changes
            ],
        }

    def _sentence(self, judged: JudgedChange, version: str) -> str:
        change, name = judged.change, f"`{judged.change.name}`"
        match change.kind:
            case ChangeKind.NOTE:
                return f"{version} no longer reads {name}"
            case ChangeKind.ANSWERS if not change.name:
                return f"cannot be told what {version} answers"
            case ChangeKind.ANSWERS:
                return f"{version} answers {name} as {change.type} now" if change.type else f"{version} no longer answers {name}"
            case ChangeKind.CANNOT_TELL if not change.name:
                return f"cannot be told for {version}: its flow cannot be read"
            case ChangeKind.CANNOT_TELL:
                return f"cannot be told for node {name} of {version}: it may read other fields than the live version"
            case ChangeKind.DECLARED:
                said = f"declared: {name} is {'required' if change.is_required else f'of type {change.type}'} now"
            case ChangeKind.FAILS:
                said = f"{version} fails without {name}"
            case _:
                said = f"{version} reads {name}"
        return said + self._count(judged)

    def _count(self, judged: JudgedChange) -> str:
        """Returns the end of a sentence: which runs did not send the field, by their callers."""
        if judged.runs is None:
            return ""
        of = f"the last {counted_runs(judged.of or 0)} ({self.days} days)"
        unsure = f"{judged.unsure:,} of {of} had more fields than are recorded, and may have sent"
        if judged.change.is_of_type:
            did, none = "sent another type", f": no run of {of} sent another type"
            unknown = f": {unsure} another type; no other run sent one"
        else:
            did, none, unknown = "did not send", f": all of {of} sent it", f": {unsure} it; the others sent it"
        if not judged.runs:
            return unknown if judged.unsure else none if judged.of else ": no run was recorded"
        who = ", ".join(f"{each.title} ({each.runs:,})" for each in judged.callers)
        shown = sum(each.runs for each in judged.callers)
        more = f"{'' if not who else ', '}{_more(judged.others, bool(who))} ({judged.runs - shown:,})" if judged.others else ""
        rest = f"; {counted_runs(judged.unsure)} had more fields than are recorded" if judged.unsure else ""
        return f", which {judged.runs:,} of {of} {did}: {who}{more}{rest}"


def judged(live: Contract | None, new: Contract | None) -> Judgement:
    """Returns the judgement on a flow before its runs are counted. None: a flow that cannot be read, so that nothing can be told."""
    if live is None or new is None:
        change = ContractChange(ChangeKind.CANNOT_TELL, "")
        return Judgement((JudgedChange(change),))
    every = changes(live, new)
    read = {each.name for each in every if each.kind in (ChangeKind.FAILS, ChangeKind.READS)}
    # A field that is read and declared at once is told as what a run shows.
    told = (each for each in every if not (each.kind is ChangeKind.DECLARED and each.is_required and each.name in read))
    return Judgement(tuple(map(JudgedChange, told)))


def of_pins(pinned: PinnedContract) -> Judgement:
    """Returns the judgement that a row pinned."""
    told = tuple(
        JudgedChange(
            ContractChange(each.kind, each.name, each.type, each.kind is ChangeKind.DECLARED and each.type is None),
            each.runs,
            each.of,
            others=each.callers or 0,
        )
        for each in pinned.breaks
    )
    return Judgement(told, pinned.unknown, pinned_result=pinned.result or Compatibility.COMPATIBLE)


def _more(count: int, is_rest: bool) -> str:
    callers = "caller" if count == 1 else "callers"
    return f"{count} more {callers}" if is_rest else f"{count} {callers}"


def _why_unknown(shapes: Shapes) -> str | None:
    """Returns why the shapes cannot tell who would break; None if they can."""
    if not shapes.enabled:
        return "the App records no shapes (spec.runs.shapes)"
    if not shapes.recorded and not shapes.runs:
        return f"no run of the last {shapes.days} days was recorded"
    if shapes.unshaped:
        return f"{shapes.unshaped:,} of the last {counted_runs(shapes.recorded)} have no recorded shape: their pods run an older Runtime"
    return None


def _counted(change: ContractChange, shapes: Shapes) -> JudgedChange:
    if change.kind not in COUNTED:
        return JudgedChange(change)
    missing = [(each, *_missing(change, each)) for each in shapes.callers]
    found = sorted(((caller, runs) for caller, runs, _ in missing if runs), key=lambda each: -each[1])
    callers = tuple(Caller(each.key, each.trigger, runs) for each, runs in found[:SHOWN_CALLERS])
    total, unsure = sum(runs for _, runs in found), sum(unsure for *_, unsure in missing)
    return JudgedChange(change, total, shapes.runs, unsure, callers, max(len(found) - SHOWN_CALLERS, 0))


def _missing(change: ContractChange, caller: CallerShapes) -> tuple[int, int]:
    """Returns how many runs of a caller a change concerns, and of how many that is not known."""
    types = caller.fields.get(change.name, {})
    if change.is_of_type:
        return sum(runs for each, runs in types.items() if each not in (change.type, "null")), min(
            caller.others, max(caller.runs - sum(types.values()), 0)
        )
    sent = sum(runs for each, runs in types.items() if each != "null")
    absent = max(caller.runs - sent, 0)
    unsure = min(caller.others, absent)
    return absent - unsure, unsure
