"""What a deploy would do: from what to what, and whether pods restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.views.history import compute_in_words, config_in_words

NOTHING = "(nothing)"


@dataclass(frozen=True)
class Side:
    """What runs, or would run. `row` and `sequence` are None for a row that does not exist yet.

    `runtime` is its version, `runtime_name` the Runtime's; `restores`: the name of the row that is brought back.
    """

    version: str
    flow_hash: str
    runtime: str
    runtime_name: str
    image: str
    config: Mapping[str, Any]
    restores: str | None = None
    row: str | None = None
    sequence: int | None = None

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
        }


@dataclass(frozen=True)
class Preview:
    """A deploy of `app` that has not been performed. `now`: what is live, None before the first deploy. `record`: what would be created.

    `no_op`: the App would run exactly what it runs now. `under_way`: a row that is being rolled out and would be overtaken.
    `warnings`: sentences for the caller.
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

    def as_json(self) -> dict[str, Any]:
        """The preview as data, for surfaces that draw it themselves."""
        return {
            "namespace": self.namespace,
            "app": self.app,
            "from": self.now.as_json() if self.now is not None else None,
            "to": self.then.as_json(),
            "flowDiff": "\n".join(self.flow_diff),
            "podsRestart": self.restarts,
            "noOp": self.no_op,
            "underWay": self.under_way,
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
        restored = [f"  restores {then.restores}"] if then.restores is not None else []
        said = [title, *restored, *(change(*pair) for pair in pairs), *self._consequences()]
        return said + (["", *self.flow_diff] if self.flow_diff else [])

    def _consequences(self) -> list[str]:
        said = [f"  {self.under_way} is being deployed and would be overtaken"] if self.under_way else []
        if self.no_op:
            said.append("  nothing changes: the App runs exactly this already, and one more row says so")
        elif self.now is None:
            said.append("  pods are started")
        elif self.restarts:
            said.append("  pods are replaced one by one; requests go on being answered")
        else:
            said.append("  no pod restarts")
        return said + [f"  {warning}" for warning in self.warnings]


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
