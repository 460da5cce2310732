"""What an engine is to the server: a loaded flow that is executed, what a run reports, and how it fails. The engines import this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

MESSAGE_LIMIT = 500  # characters of an error that a caller reads


@dataclass(frozen=True)
class Failure:
    """What went wrong in one node, as the caller may read it: no traceback."""

    node: str
    name: str
    message: str


class RunFailedError(Exception):
    """One or more nodes failed. `input_refused`: only nodes that take the caller's input as it came, so that it is the caller's to correct."""

    def __init__(self, failures: list[Failure], *, input_refused: bool = False) -> None:
        self.failures = failures
        self.input_refused = input_refused
        super().__init__("; ".join(f'node "{failure.name}" failed: {failure.message}' for failure in failures))


@dataclass(frozen=True)
class NodeRun:
    """One node of one run: times in nanoseconds since 1970, tokens and US dollars where the node says them.

    `within` is the node of the flow that this one is, or is part of: an agent's model is part of the agent.
    """

    id: str
    name: str
    began: int
    ended: int
    succeeded: bool
    within: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


@dataclass
class Report:
    """What a run reports while it runs: its nodes as they end, and to `emit` what they stream, plain data as JSON has it.

    `cancel` is set by the engine: it asks a run whose caller has gone to end.
    """

    nodes: list[NodeRun] = field(default_factory=list)
    emit: Callable[[Mapping[str, Any]], None] | None = None
    cancel: Callable[[], None] | None = None


class Engine(Protocol):
    """A loaded flow; `execute` is called in many threads at once, and no run sees another one."""

    @property
    def nodes(self) -> int:
        """How many nodes a run has."""

    def execute(self, given: Mapping[str, Any], report: Report) -> Any:
        """The answer to one input, plain data. Raises RunFailedError."""
