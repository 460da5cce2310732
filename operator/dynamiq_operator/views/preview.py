"""What a deploy would do: from what to what, and whether pods restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.model.guards import StandingGuard
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.record import Pinned
from dynamiq_operator.views.history import compute_in_words, config_in_words

NOTHING = "(nothing)"
HOLDS = "what Git asks for waits after it, until somebody resumes it"
SERVER, SERVERLESS = "server", "serverless"


@dataclass(frozen=True)
class Side:
    """What runs, or would run. `row` and `sequence` are None for a row that does not exist yet.

    `runtime` is its version, `runtime_name` the Runtime's; `restores`: the name of the row that is restored, `restored_sequence` its number.
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
        """What a row pinned, or would pin."""
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
        """All of it as data."""
        return {
            "row": self.row,
            "sequence": self.sequence,
            "version": self.version,
            "flowHash": self.flow_hash,
            "runtime": self.runtime,
            "runtimeName": self.runtime_name,
            "image": self.image,
            "config": dict(self.config),
            "restores": self.restores,
            "restoredSequence": self.restored_sequence,
        }


@dataclass(frozen=True)
class Preview:
    """A deploy of `app` that has not been performed. `now`: what is live, None before the first deploy. `record`: what would be created.

    `no_op`: the App would run exactly what it runs now, or what is under way. `under_way`: a row that is being rolled out and would be overtaken.
    `warnings`: sentences for the caller. `restarts`: the App would run other pods than now. `switches`: calls move to these at once.
    `warm`: how many of these are there and ready, and how many start before calls move; None where that is not known. `asleep`: the App
    is asleep now.

    `guards`: what would hold the row, as the App's status says it; `waits`: what a row that is there waits for. `begins_hold`: what Git asks
    for waits once the row is there. `bypass_reason`: why rules are gone past, None where they are not.
    """

    namespace: str
    app: str
    now: Side | None
    then: Side
    flow_diff: tuple[str, ...]
    restarts: bool
    no_op: bool
    record: Manifest
    under_way: str | None = None
    warnings: tuple[str, ...] = ()
    switches: bool = False
    warm: tuple[int, int] | None = None
    asleep: bool = False
    guards: tuple[StandingGuard, ...] = ()
    waits: str | None = None
    begins_hold: bool = False
    bypass_reason: str | None = None

    @property
    def is_warm(self) -> bool:
        """Whether calls move to pods that are all there already."""
        return self.switches and self.warm is not None and self.warm[1] == 0

    def as_json(self) -> dict[str, Any]:
        """The preview as data, for surfaces that draw it themselves."""
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
            "warnings": list(self.warnings),
        }

    def lines(self) -> list[str]:
        """The preview as text, without colour; lines of the diff begin with `+`, `-`, `@` or a space."""
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
        said = [title, *restored, *(change(*pair) for pair in pairs), *self._consequences()]
        return said + (["", *self.flow_diff] if self.flow_diff else [])

    def _restored(self) -> str:
        """Returns the row that is restored, as `#3 support-9ml5c`."""
        sequence = self.then.restored_sequence
        return f"#{sequence} {self.then.restores}" if sequence is not None else str(self.then.restores)

    def _consequences(self) -> list[str]:
        said = [f"  {self.under_way} is being deployed and would be overtaken"] if self.under_way else []
        if self.no_op and self.under_way:
            said.append("  nothing else changes: that row deploys exactly this")
        elif self.no_op:
            said.append("  nothing changes: the App runs exactly this already, and one more row says so")
        elif self.now is None:
            said.append("  pods are started")
        elif self.restarts:
            said.append(f"  {self._moves() if self.switches else 'pods are replaced one by one; requests go on being answered'}")
        else:
            said.append("  no pod restarts")
        return said + [f"  {each}" for each in (*self._sleep(), *self._rules(), *self.warnings)]

    def _rules(self) -> list[str]:
        """What is to be known of the rules for deploys."""
        said = [f"it waits: {self.waits}"] if self.waits is not None else [f"it would wait: {each.message}" for each in self.guards]
        if self.bypass_reason is not None:
            said.insert(0, f"it goes past the rules: {self.bypass_reason}")
        return [*said, HOLDS] if self.begins_hold else said

    def _moves(self) -> str:
        """What a switch does."""
        ready, to_start = self.warm or (0, 0)
        if self.warm is None:
            return "its pods start beside those that serve, unless they are warm; when all are ready, calls move to them at once"
        if not ready:
            return f"{_pods(to_start)} beside those that serve; when all are ready, calls move to them at once"
        warm = f"warm: {ready} pod{'s' if ready != 1 else ''} ready"
        if not to_start:
            return f"{warm}, no pod starts; calls move to them at once"
        return f"{warm}, {_pods(to_start)} beside them; when all are ready, calls move to them at once"

    def _sleep(self) -> list[str]:
        """What is to be known of a serverless App."""
        now, then = _type(self.now) if self.now is not None else "", _type(self.then)
        said = []
        if then == SERVERLESS and now != SERVERLESS:
            said.append("the App sleeps while nobody calls, and the next call wakes it")
        elif now == SERVERLESS and then != SERVERLESS:
            said.append("the App sleeps no more")
        return [*said, "the App is asleep, and is woken for this"] if self.asleep and not self.no_op else said


def differences(before: Side, after: Side) -> list[str]:
    """What one row runs otherwise than another, in lines as a preview has them. What pods ask for is told where it differs."""
    pairs = [
        ("version", before.version, after.version),
        ("runtime", _runtime(before, after), _runtime(after, before)),
        ("config", config_in_words(before.config), config_in_words(after.config)),
    ]
    asked, asks = compute_in_words(before.config), compute_in_words(after.config)
    if asked != asks:
        pairs.append(("compute", asked, asks))
    return [change(*pair) for pair in pairs]


def _type(side: Side) -> str:
    return str(side.config.get("type", SERVER))


def _pods(count: int) -> str:
    return f"{count} pod{'s' if count != 1 else ''} start{'s' if count == 1 else ''}"


def _title(side: Side) -> str:
    return f"{side.version} (#{side.sequence})" if side.sequence else side.version


def _runtime(side: Side, other: Side | None) -> str:
    """The version of its runtime, with what tells it from another one of that version."""
    if other is None or side.runtime != other.runtime or (side.runtime_name, side.image) == (other.runtime_name, other.image):
        return side.runtime
    return f"{side.runtime} ({side.runtime_name}, {side.image})"


def change(name: str, before: str, after: str) -> str:
    """One line of a preview: a value, or from what to what it changes."""
    return f"  {name:<8} {after if before == after else f'{before} → {after}'}"
