"""What the server asks of an engine, and what a run reports besides its answer.

DYNAMIQ_ENGINE alone chooses the engine, never what happens to be installed; only the chosen one is imported.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

ENGINES = ("tiny", "sdk")
NEEDS = {"tiny": "RestrictedPython", "sdk": "dynamiq"}
MESSAGE_LIMIT = 500  # characters of an error that a caller reads


class EngineError(Exception):
    """The engine that was asked for is not there; the message says which image has it."""


@dataclass(frozen=True)
class Failure:
    """What went wrong in one node, as the caller may read it: no traceback."""

    node: str
    name: str
    message: str


class RunFailedError(Exception):
    """One or more nodes failed."""

    def __init__(self, failures: list[Failure]) -> None:
        self.failures = failures
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
    """What a run tells while it runs: its nodes as they end, and to `emit` what they stream, plain data as JSON has it.

    `cancel` is the engine's: it asks a run that nobody waits for any more to end.
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


def require_engine(name: str) -> None:
    """Passes when the engine's packages are there. Raises EngineError."""
    if importlib.util.find_spec(NEEDS[name]) is None:
        images = {"tiny": "runtime", "sdk": "runtime-sdk"}
        raise EngineError(f'DYNAMIQ_ENGINE is "{name}", and this image has no {NEEDS[name]}: use the image {images[name]}')


def load_engine(name: str, text: str, environment: Mapping[str, str]) -> Engine:
    """Reads a flow's text and makes all ready for the first run, which takes the SDK seconds. Raises FlowError."""
    if name == "sdk":
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # read on import: it would ask the network for prices
        from dynamiq_runtime.sdk import SDK  # 2 GB of packages, which the image of the other engine does not have

        return SDK(text)
    from dynamiq_runtime.tiny import Tiny

    return Tiny(text, environment)
