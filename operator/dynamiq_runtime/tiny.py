"""The engine `tiny`: runs a flow on one input, with the SDK's rules for nodes' inputs and outputs.

A node gets the run's input and, under their ids, the results of all ended nodes. Its `input_transformer`, if any, selects from those. A
run fails if a node fails whose `behavior` is `raise`. Nodes run one after the other, in the order of their dependencies. Runs share
nothing, and nothing is streamed.
"""

from __future__ import annotations

import base64
import contextlib
import enum
import json
import time
import uuid
from collections.abc import Mapping
from datetime import date
from datetime import time as clock
from typing import TYPE_CHECKING, Any

from dynamiq_runtime import sandbox
from dynamiq_runtime.engine import FAILED, MESSAGE_LIMIT, SKIPPED, SUCCEEDED, Failure, NodeRun, Report, RunFailedError, cause_of
from dynamiq_runtime.fields import File
from dynamiq_runtime.flow import Flow, Node, load_flow

if TYPE_CHECKING:
    from dynamiq_runtime.content import Content

MAX_DEPTH = 200
FAILURE = "failure"
"""The key, beside a result's own, of the message by which a node failed; None if it did not."""


class _Skipped(Exception):  # noqa: N818 - an outcome, not an error
    """A node did not run, because one of its dependencies did not succeed."""


class Tiny:
    """A loaded flow, shared by runs, which do not change it."""

    def __init__(self, text: str, environment: Mapping[str, str]) -> None:
        self._flow = load_flow(text, environment)

    @property
    def nodes(self) -> int:
        """The number of nodes of a run."""
        return len(self._flow.nodes)

    @property
    def outputs(self) -> int:
        """The number of Output nodes."""
        return len(self._flow.outputs)

    @property
    def workflow(self) -> str:
        """The id of the workflow."""
        return self._flow.workflow

    def execute(self, given: Mapping[str, Any], report: Report) -> Any:
        """Returns the answer to one input. Raises RunFailedError."""
        return execute(self._flow, given, report)


def execute(flow: Flow, run_input: Mapping[str, Any], report: Report | None = None) -> Any:
    """Returns the flow's answer: the Output node's value, or several by node id. Raises RunFailedError."""
    results: dict[str, dict[str, Any]] = {}
    failures: list[Failure] = []
    report = report or Report()
    sorter = flow.sorter()
    while sorter.is_active():
        ready = sorter.get_ready()
        ended = dict(results)
        for node_id in ready:
            node = flow.nodes[node_id]
            if report.steps is not None and (kept := report.steps.kept.get(node_id)) is not None:
                results[node_id], failure = _restored(node, run_input, ended, kept)
            else:
                results[node_id], failure = _executed(flow, node, run_input, ended, report)
            if failure and node.retry.fails_the_run:
                failures.append(failure)
        sorter.done(*ready)
    if failures:
        refused = all(flow.nodes[failure.node].kind == "Input" for failure in failures)
        raise RunFailedError(failures, input_refused=refused)
    answers = {node_id: results[node_id]["output"] for node_id in flow.outputs}
    return next(iter(answers.values())) if len(answers) == 1 else answers


def _executed(
    flow: Flow, node: Node, run_input: Mapping[str, Any], ended: Mapping[str, dict[str, Any]], report: Report
) -> tuple[dict[str, Any], Failure | None]:
    run = NodeRun(node.id, node.name, node.type, time.time_ns(), node.id)
    report.begin(run)
    result, failure = _result(flow, node, run_input, ended, run)
    run.ended = time.time_ns()
    if report.content is not None:
        _record_content(run, result, report.content)
    if report.steps is not None:
        state = _without_input(result) | {FAILURE: failure and failure.message}
        # A node without code has no effects: its state may wait for the next one.
        report.steps.save({node.id: json.dumps(state).encode()}, waits=node.code is not None)
    return result, failure


def _restored(
    node: Node, run_input: Mapping[str, Any], ended: Mapping[str, dict[str, Any]], kept: bytes
) -> tuple[dict[str, Any], Failure | None]:
    """Returns the result of a node that ended in an earlier process. Its input is not kept, since it follows from the earlier results."""
    state: dict[str, Any] = json.loads(kept)
    message = state.pop(FAILURE)
    taken = None
    if state["status"] != "skip":
        with contextlib.suppress(Exception):  # it failed in the earlier process, too
            taken = plain(_input(node, run_input, ended))
    return {**state, "input": taken}, None if message is None else Failure(node.id, node.name, message)


def _result(
    flow: Flow, node: Node, run_input: Mapping[str, Any], ended: Mapping[str, dict[str, Any]], run: NodeRun
) -> tuple[dict[str, Any], Failure | None]:
    taken: Any = None
    try:
        _require(flow, node, ended)
        taken = _input(node, run_input, ended)
        output = node.output.apply(_with_retries(node, taken, run))
        return {"status": "success", "input": plain(taken), "output": plain(output)}, None
    except _Skipped as skipped:
        run.status = SKIPPED
        return {"status": "skip", "input": None, "output": None, "error": _error("NodeSkippedException", str(skipped))}, None
    except Exception as error:  # any error of the author's code is the run's outcome
        is_code = node.kind == "Python" and isinstance(error, _CodeFailed)
        cause = error.__cause__ if is_code and error.__cause__ else error
        message = f"{type(cause).__name__}: {cause}"[:MESSAGE_LIMIT] if str(cause) else type(cause).__name__
        kind = "ToolExecutionException" if is_code else type(error).__name__
        run.status = FAILED
        run.error_type, run.error_line = cause_of(cause)
        cause.__traceback__ = None  # its frames refer to it, and keep the run's files until the next search for garbage
        result = {"status": "failure", "input": taken, "output": None, "error": _error(kind, str(error), recoverable=is_code)}
        return result, Failure(node.id, node.name, message)


def _record_content(run: NodeRun, result: Mapping[str, Any], content: Content) -> None:
    if run.status != SKIPPED:
        run.input = content.of(result["input"])
    if run.status == SUCCEEDED:
        run.output = content.of(result["output"])
    elif run.status == FAILED:
        run.error = content.error(result["error"]["message"])


def _require(flow: Flow, node: Node, ended: Mapping[str, dict[str, Any]]) -> None:
    for target in node.depends:
        if ended[target]["status"] != "success" and flow.nodes[target].retry.fails_the_run:
            raise _Skipped(f"Dependency {target}: {'failed' if ended[target]['status'] == 'failure' else 'skipped'}")


def _input(node: Node, run_input: Mapping[str, Any], ended: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    if node.input:
        taken = node.input.apply({**plain(run_input), **plain(ended)})
    else:
        taken = {**plain(run_input), **{key: _without_input(result) for key, result in ended.items()}}
    if not isinstance(taken, dict):
        raise TypeError(f"its input_transformer gives {type(taken).__name__}, and a node takes an object")
    return {**taken, **plain(node.constants)}


def _without_input(result: dict[str, Any]) -> dict[str, Any]:
    return {key: plain(value) for key, value in result.items() if key != "input"}


def _with_retries(node: Node, taken: dict[str, Any], run: NodeRun) -> Any:
    for attempt in range(node.retry.retries):
        try:
            return _once(node, taken)
        except Exception:
            time.sleep(node.retry.interval * node.retry.backoff**attempt)
            run.attempts += 1
    return _once(node, taken)


class _CodeFailed(Exception):  # noqa: N818 - named for what the SDK says of it
    """The author's code raised; the SDK prefixes its message."""


def _once(node: Node, taken: dict[str, Any]) -> Any:
    if node.code is None:
        return taken
    try:
        value = sandbox.call_run(node.code, taken, as_parameters=node.as_parameters)
    except Exception as error:
        raise _CodeFailed(f"Code execution error: {error}") from error
    wrapped = value if isinstance(value, dict) and "content" in value else {"content": value}
    return {**wrapped, "content": str(wrapped["content"])} if node.for_agents else wrapped


def _error(kind: str, message: str, *, recoverable: bool = False) -> dict[str, Any]:
    return {"type": kind, "message": message, "recoverable": recoverable, "failed_nodes": []}


def plain(value: Any, depth: int = 0) -> Any:
    """Copies a value to JSON types and uploaded files, so that no node changes the input of another. Raises TypeError, ValueError."""
    if value is None or (isinstance(value, (bool, str, int, float)) and not isinstance(value, enum.Enum)):
        return value
    if depth > MAX_DEPTH:
        raise ValueError(f"a value is nested more than {MAX_DEPTH} levels deep, or holds itself")
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, (date, clock)):
        return value.isoformat()
    if isinstance(value, enum.Enum):
        return plain(value.value, depth + 1)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, File):
        return File(value.getvalue(), value.name, value.content_type)  # read from its start; the bytes are not copied
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    raise TypeError(f"a value of type {type(value).__name__} cannot be serialized as JSON")
