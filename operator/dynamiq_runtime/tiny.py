"""The engine `tiny`: runs a flow on one input, with the SDK's rules for nodes' inputs and outputs.

A node gets the run's input and, under their ids, the results of all ended nodes. Its `input_transformer`, if any, selects from those. A
run fails if a node fails whose `behavior` is `raise`. Nodes run one after the other, in the order of their dependencies. A node that
waits for a person or a time holds up only those that depend on it. Runs share nothing, and only messages to a person are streamed.
"""

from __future__ import annotations

import base64
import contextlib
import enum
import json
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime
from datetime import time as clock
from typing import TYPE_CHECKING, Any

from dynamiq_runtime import sandbox
from dynamiq_runtime.engine import (
    FAILED,
    MESSAGE_LIMIT,
    SKIPPED,
    SUCCEEDED,
    Failure,
    NodeRun,
    PausedError,
    Question,
    Report,
    RunFailedError,
    StoppedError,
    cause_of,
)
from dynamiq_runtime.fields import File
from dynamiq_runtime.flow import Flow, Node, load_flow
from dynamiq_runtime.waits import IN_PLACE, INFO, Delay, Feedback

if TYPE_CHECKING:
    from dynamiq_runtime.content import Content
    from dynamiq_runtime.questions import Answer

MAX_DEPTH = 200
FAILURE = "failure"
"""The key, beside a result's own, of the message by which a node failed; None if it did not."""
LOOKS = 0.5
"""Seconds between two checks of a run that waits in its thread."""


class _Skipped(Exception):  # noqa: N818 - an outcome, not an error
    """A node did not run, because one of its dependencies did not succeed."""


class _Waits(Exception):  # noqa: N818 - an outcome, not an error
    """A node waits for an answer, or until a time."""

    def __init__(self, until: datetime | None = None) -> None:
        super().__init__()
        self.until = until


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

    @property
    def waits(self) -> bool:
        """True if a run may have to wait."""
        return self._flow.waits

    def execute(self, given: Mapping[str, Any], report: Report) -> Any:
        """Returns the answer to one input. Raises RunFailedError, StoppedError and PausedError."""
        return execute(self._flow, given, report)


def execute(flow: Flow, run_input: Mapping[str, Any], report: Report | None = None) -> Any:
    """Returns the flow's answer: the Output node's value, or several by node id. Raises RunFailedError, StoppedError and PausedError."""
    results: dict[str, dict[str, Any]] = {}
    failures: list[Failure] = []
    waits: list[_Waits] = []
    report = report or Report()
    sorter = flow.sorter()
    while sorter.is_active() and (ready := sorter.get_ready()):
        ended = dict(results)
        for node_id in ready:
            node = flow.nodes[node_id]
            try:
                results[node_id], failure = _ended(flow, node, run_input, ended, report)
            except _Waits as wait:
                waits.append(wait)
                continue
            sorter.done(node_id)
            if failure and node.retry.fails_the_run:
                failures.append(failure)
    if failures:
        refused = all(flow.nodes[failure.node].kind == "Input" for failure in failures)
        raise RunFailedError(failures, input_refused=refused)
    if waits:
        raise PausedError(min((wait.until for wait in waits if wait.until is not None), default=None))
    answers = {node_id: results[node_id]["output"] for node_id in flow.outputs}
    return next(iter(answers.values())) if len(answers) == 1 else answers


def _ended(
    flow: Flow, node: Node, run_input: Mapping[str, Any], ended: Mapping[str, dict[str, Any]], report: Report
) -> tuple[dict[str, Any], Failure | None]:
    """Returns the result of a node that ended, here or in an earlier process. Raises _Waits."""
    kept = report.steps.kept.get(node.id) if report.steps is not None else None
    if kept is not None and "status" in (state := json.loads(kept)):
        return _restored(node, run_input, ended, state)
    run = NodeRun(node.id, node.name, node.type, time.time_ns(), node.id)
    report.begin(run)
    result, failure = _result(flow, node, run_input, ended, run, report)
    run.ended = time.time_ns()
    if report.content is not None:
        _record_content(run, result, report.content)
    if report.steps is not None:
        state = _without_input(result) | {FAILURE: failure and failure.message}
        # A node without code has no effects: its state may wait for the next one.
        report.steps.save({node.id: json.dumps(state).encode()}, waits=node.code is not None, settled=[node.id])
    return result, failure


def _restored(
    node: Node, run_input: Mapping[str, Any], ended: Mapping[str, dict[str, Any]], state: dict[str, Any]
) -> tuple[dict[str, Any], Failure | None]:
    """Returns the result of a node that ended in an earlier process. Its input is not kept, since it follows from the earlier results."""
    message = state.pop(FAILURE)
    taken = None
    if state["status"] != "skip":
        with contextlib.suppress(Exception):  # it failed in the earlier process, too
            taken = plain(_input(node, run_input, ended))
    return {**state, "input": taken}, None if message is None else Failure(node.id, node.name, message)


def _result(
    flow: Flow, node: Node, run_input: Mapping[str, Any], ended: Mapping[str, dict[str, Any]], run: NodeRun, report: Report
) -> tuple[dict[str, Any], Failure | None]:
    taken: Any = None
    try:
        _require(flow, node, ended)
        taken = _approved(node, _input(node, run_input, ended), report)
        output = node.output.apply(_executed(node, taken, run, report))
        return {"status": "success", "input": plain(taken), "output": plain(output)}, None
    except _Skipped as skipped:
        run.status = SKIPPED
        return {"status": "skip", "input": None, "output": None, "error": _error("NodeSkippedException", str(skipped))}, None
    except (_Waits, StoppedError):
        raise
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


def _approved(node: Node, taken: dict[str, Any], report: Report) -> dict[str, Any]:
    """Returns the input of a node, as it was approved if it needs that. Raises _Waits, _Skipped and StoppedError."""
    if node.approval is None:
        return taken
    answer = _answer(node.approval.question(node.id, node.name, plain(taken)), report)
    # Never by a text alone: the SDK takes an empty one for an approval.
    if answer["is_approved"] is not True:
        raise _Skipped(f"Execution was canceled by human with feedback {answer.get('feedback')}")
    return node.approval.input(taken, answer)


def _answer(question: Question, report: Report) -> Answer:
    """Returns a person's answer. Raises _Waits and StoppedError."""
    if report.steps is None:
        raise ValueError("it asks a person, and nobody can be asked in this run")
    if (answer := report.steps.ask(question)) is None:
        raise _Waits
    return answer


def _executed(node: Node, taken: dict[str, Any], run: NodeRun, report: Report) -> Any:
    if node.feedback is not None:
        return _fed_back(node, node.feedback, taken, report)
    return _delayed(node, node.delay, taken, report) if node.delay is not None else _with_retries(node, taken, run)


def _fed_back(node: Node, feedback: Feedback, taken: dict[str, Any], report: Report) -> dict[str, Any]:
    action, text = feedback.message(taken)
    if action == INFO:
        if report.emit is not None:
            source = {"id": node.id, "name": node.name, "group": "tools", "type": node.type}
            data = {"prompt": text, "action": INFO}
            report.emit({"run_id": "", "event": "streaming", "entity_id": node.id, "source": source, "data": data})
        return {"content": f"Message sent: {text}"}
    return feedback.output(taken, _answer(feedback.question(node.id, node.name, text, plain(taken)), report))


def _delayed(node: Node, delay: Delay, taken: dict[str, Any], report: Report) -> dict[str, Any]:
    """Waits in place for a short time, else pauses the run. The time is fixed when the node begins. Raises _Waits and StoppedError."""
    steps = report.steps
    kept = json.loads(steps.kept[node.id]) if steps is not None and node.id in steps.kept else None
    began = datetime.now(UTC) if kept is None else datetime.fromisoformat(kept["began"])
    until = delay.until(taken, began) if kept is None else datetime.fromisoformat(kept["until"])
    if (until - datetime.now(UTC)).total_seconds() > IN_PLACE:
        if steps is None or not steps.keeps:
            raise ValueError(f"it would wait until {until.isoformat()}, for more than {IN_PLACE:g} s, and this run cannot wait")
        steps.save({node.id: json.dumps({"began": began.isoformat(), "until": until.isoformat()}).encode()}, waits=False)
        raise _Waits(until)
    while (left := (until - datetime.now(UTC)).total_seconds()) > 0:
        if steps is not None and steps.stopped:
            raise StoppedError(steps.stopped)
        time.sleep(min(left, LOOKS))
    return delay.output(taken, began, until, datetime.now(UTC))


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
