"""What an engine is to the server: a loaded flow that is executed, what a run reports, and how it fails. The engines import this."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from dynamiq_runtime.content import Content, Excerpt

MESSAGE_LIMIT = 500  # characters of an error that a caller reads
SUCCEEDED, FAILED, SKIPPED = "succeeded", "failed", "skipped"
CODE_FILES = ("<node>", "<inline>")  # what the code of a node is compiled as, by `tiny` and by the SDK


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


@dataclass(slots=True)
class Usage:
    """What the calls of one node took: tokens, those from a cache among the input's, and US dollars. None: nobody says it, which is not 0."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cost: float | None = None


@dataclass(slots=True)
class NodeRun:
    """One node of one run: times in nanoseconds since 1970, `ended` 0 while it is under way.

    `within` is the node of the flow that this one is, or is part of: an agent's model is part of the agent. `parent`: the node that it
    ran inside of. `is_model`: it called a model itself; what nodes around it took is in none of them. `error`, `input` and `output` are
    None where the App does not record them; what `error_type` was raised, and in which line of the node's code, is said always.
    """

    id: str
    name: str
    type: str | None
    began: int
    within: str
    parent: NodeRun | None = None
    ended: int = 0
    status: str = SUCCEEDED
    attempts: int = 1
    cached: bool = False
    is_model: bool = False
    model: str | None = None
    provider: str | None = None
    usage: Usage | None = None
    error_type: str | None = None
    error_line: int | None = None
    error: str | None = None
    input: Excerpt | None = None
    output: Excerpt | None = None


@dataclass
class Report:
    """What a run reports while it runs: its nodes in the order in which they begin, and to `emit` what they stream, plain data as JSON has it.

    `cancel` is set by the engine: it asks a run whose caller has gone to end. `content`: what makes of inputs and outputs what may be
    recorded; None where none is, and then no node keeps any.
    """

    nodes: list[NodeRun] = field(default_factory=list)
    emit: Callable[[Mapping[str, Any]], None] | None = None
    cancel: Callable[[], None] | None = None
    content: Content | None = None


def given_up(nodes: list[NodeRun], outcome: str, ended: int) -> list[NodeRun]:
    """The nodes of a run that was given up, as they are now: what its thread does to them from here on is not the run's any more.

    A node under way failed by the run's outcome.
    """
    copies = {id(node): replace(node) for node in list(nodes)}
    for node in copies.values():
        if not node.ended:
            node.ended, node.status, node.error_type = ended, FAILED, outcome
        node.parent = copies.get(id(node.parent))
    return list(copies.values())


def cause_of(error: BaseException) -> tuple[str, int | None]:
    """Returns the type of an error of a node's code, and the line in which it was raised; of any other error its own type, and None.

    The SDK and `tiny` put the error of the code behind one of their own.
    """
    behind: BaseException | None = error
    seen: set[int] = set()
    while behind is not None and id(behind) not in seen:  # `raise error from error` makes a circle
        lines = [line for frame, line in traceback.walk_tb(behind.__traceback__) if frame.f_code.co_filename in CODE_FILES]
        if lines:
            return type(behind).__name__, lines[-1]
        seen.add(id(behind))
        behind = behind.__cause__ or behind.__context__
    return type(error).__name__, None


class Engine(Protocol):
    """A loaded flow; `execute` is called in many threads at once, and no run sees another one."""

    @property
    def nodes(self) -> int:
        """How many nodes a run has."""

    def execute(self, given: Mapping[str, Any], report: Report) -> Any:
        """The answer to one input, plain data. Raises RunFailedError."""
