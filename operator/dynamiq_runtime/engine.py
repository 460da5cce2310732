"""Defines an engine for the server: a loaded flow that is executed, what a run reports, and how it fails. The engines import this."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from dynamiq_runtime.content import Content, Excerpt

MESSAGE_LIMIT = 500  # characters of an error that a caller reads
SUCCEEDED, FAILED, SKIPPED = "succeeded", "failed", "skipped"
CODE_FILES = ("<node>", "<inline>")  # file names of compiled node code, in `tiny` and in the SDK


@dataclass(frozen=True)
class Failure:
    """The failure of one node, for the caller: without a traceback."""

    node: str
    name: str
    message: str


class RunFailedError(Exception):
    """One or more nodes failed. `input_refused`: only nodes that take the caller's input unchanged, so the caller has to correct it."""

    def __init__(self, failures: list[Failure], *, input_refused: bool = False) -> None:
        self.failures = failures
        self.input_refused = input_refused
        super().__init__("; ".join(f'node "{failure.name}" failed: {failure.message}' for failure in failures))


class StoppedError(Exception):
    """A background run that must begin no further node in this process: it was canceled, or another process has it, or will have it."""


class PausedError(Exception):
    """A run that waits for answers, or until `resume_at`. All that its other nodes could do is done."""

    def __init__(self, resume_at: datetime | None = None) -> None:
        super().__init__("the run waits")
        self.resume_at = resume_at


@dataclass(frozen=True)
class Question:
    """A node's question to a person. `owner`: the node of the flow that it belongs to: an agent's tool belongs to the agent.

    `content`: `prompt`, a text; `params`, the values that are to be approved; `editable_params`, their names; `questions`, with options.
    `is_single`: True if the node asks no other question of that kind.
    """

    node: str
    name: str
    kind: str
    owner: str
    content: Mapping[str, Any]
    is_single: bool


class Steps(Protocol):
    """The nodes of a background run: those that ended in an earlier process, and those that end in this one. For the run's threads.

    `kept`: by id, the states of nodes as an engine saved them. `stopped`: why no further node may begin; empty while one may.
    `keeps`: False if it keeps no states, so that no engine has to make them.
    """

    kept: Mapping[str, bytes]
    stopped: str
    keeps: bool

    def begin(self, node: NodeRun) -> None:
        """Notes that a node of the flow begins. It does not wait."""

    def save(self, states: Mapping[str, bytes], *, waits: bool = True, settled: Collection[str] = ()) -> None:
        """Keeps the states of nodes. With `waits` it returns once they are on disk.

        `settled`: nodes that ended, or whose states have all answers that they took. Raises StoppedError.
        """

    def ask(self, question: Question, deliver: Callable[[Mapping[str, Any]], None] | None = None) -> Mapping[str, Any] | None:
        """Asks a person. Returns the answer: `feedback`, `answers`, `is_approved`, and `data`, changed inputs; None if there is none yet.

        A node that cannot pause waits in its thread: `deliver` is called, on any thread, with the answer when it comes.
        """


@dataclass(slots=True)
class Usage:
    """The usage of one node's calls: tokens and US dollars. Cached tokens are part of the input. None: unknown, which is not 0."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cost: float | None = None


@dataclass(slots=True)
class NodeRun:
    """One node of one run. Times are nanoseconds since 1970; `ended` is 0 while it runs.

    `within`: the node of the flow that this is, or is part of: an agent's model is part of the agent. `parent`: the node that it ran in.
    `is_model`: True if it called a model itself; nodes around it do not count that usage. `error`, `input`, `output`: None if the App does
    not record them. `error_type` and the line in the node's code, `error_line`, are always recorded.
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
    """The report of a run in progress: its nodes in the order of their start. `emit` gets streamed chunks as plain JSON data.

    `cancel`: set by the engine; asks a run whose caller has left to end. `content`: extracts the recordable part of inputs and outputs;
    None if nothing is recorded, and then no node keeps any. `steps`: of a background run; None for a run in its caller's connection.
    """

    nodes: list[NodeRun] = field(default_factory=list)
    emit: Callable[[Mapping[str, Any]], None] | None = None
    cancel: Callable[[], None] | None = None
    content: Content | None = None
    steps: Steps | None = None

    def begin(self, node: NodeRun) -> None:
        """Adds a node that begins."""
        self.nodes.append(node)
        if self.steps is not None and node.parent is None:
            self.steps.begin(node)


def given_up(nodes: list[NodeRun], outcome: str, ended: int) -> list[NodeRun]:
    """Copies the nodes of a run that was given up: later changes by its thread no longer belong to the run.

    A node that is still running failed with the run's outcome.
    """
    copies = {id(node): replace(node) for node in list(nodes)}
    for node in copies.values():
        if not node.ended:
            node.ended, node.status, node.error_type = ended, FAILED, outcome
        node.parent = copies.get(id(node.parent))
    return list(copies.values())


def cause_of(error: BaseException) -> tuple[str, int | None]:
    """Returns the type of an error in a node's code, and the line that raised it; for any other error its own type, and None."""
    # The SDK and `tiny` wrap the error of the code in one of their own.
    behind: BaseException | None = error
    seen: set[int] = set()
    while behind is not None and id(behind) not in seen:  # `raise error from error` makes a cycle
        lines = [line for frame, line in traceback.walk_tb(behind.__traceback__) if frame.f_code.co_filename in CODE_FILES]
        if lines:
            return type(behind).__name__, lines[-1]
        seen.add(id(behind))
        behind = behind.__cause__ or behind.__context__
    return type(error).__name__, None


class Engine(Protocol):
    """A loaded flow. `execute` is called in many threads at once; runs do not affect each other."""

    @property
    def nodes(self) -> int:
        """The number of nodes of a run."""

    @property
    def outputs(self) -> int:
        """The number of Output nodes. With several the answer is an object, by their ids in the flow's order."""

    @property
    def workflow(self) -> str:
        """The id of the workflow."""

    @property
    def waits(self) -> bool:
        """True if a run may have to wait for a person, or until a time."""

    def execute(self, given: Mapping[str, Any], report: Report) -> Any:
        """Returns the answer to one input, as plain data. Raises RunFailedError; with `report.steps` StoppedError and PausedError, too."""
