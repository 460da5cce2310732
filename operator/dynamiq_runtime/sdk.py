"""The engine `sdk`: Dynamiq's own SDK runs the flow, every node that it has.

A Workflow is not safe for concurrent runs, so each run has a clone of the loaded one. This is the only module that imports
`dynamiq`. The SDK's log lines quote inputs and outputs, and are kept out of ours.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from dynamiq import Workflow
from dynamiq.callbacks import BaseCallbackHandler
from dynamiq.callbacks.streaming import BaseStreamingCallbackHandler
from dynamiq.nodes.utils import Input, Output
from dynamiq.runnables import RunnableConfig, RunnableStatus
from dynamiq.serializers.loaders.yaml import WorkflowYAMLLoader, WorkflowYAMLLoaderException
from dynamiq.utils import format_value
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from dynamiq_runtime.engine import MESSAGE_LIMIT, Failure, NodeRun, Report, RunFailedError
from dynamiq_runtime.forms import as_workflow
from dynamiq_runtime.text import FlowError, load_text

logging.getLogger("dynamiq").setLevel(logging.CRITICAL + 1)
logging.getLogger("dynamiq.utils.logger").setLevel(logging.CRITICAL + 1)


class SDK:
    """A loaded flow: its nodes exist, its clients are made, and a clone of it was made once."""

    def __init__(self, text: str) -> None:
        data = _read(text)
        self._workflow = _loaded(data)
        self._inputs = {node.id for node in self._workflow.flow.nodes if isinstance(node, Input)}
        outputs = {node.id for node in self._workflow.flow.nodes if isinstance(node, Output)}
        self._outputs = [node_id for node_id in data["flows"][self._workflow.flow.id]["nodes"] if node_id in outputs]
        if not self._outputs:
            raise FlowError("the flow has no Output node, so it would have no answer")
        self._clone()

    @property
    def nodes(self) -> int:
        """How many nodes a run has."""
        return len(self._workflow.flow.nodes)

    def execute(self, given: Mapping[str, Any], report: Report) -> Any:
        """The answer to one input. Raises RunFailedError."""
        config = RunnableConfig(callbacks=[_RunCallbacks(report) if report.emit is None else _StreamingRunCallbacks(report)])
        report.cancel = config.cancellation.token.cancel
        result = self._clone().run_sync(input_data=dict(given), config=config)
        if result.status != RunnableStatus.SUCCESS:
            failures = _failures(result)
            raise RunFailedError(failures, input_refused=all(failure.node in self._inputs for failure in failures))
        answers = {node_id: result.output[node_id]["output"] for node_id in self._outputs}
        return next(iter(answers.values())) if len(answers) == 1 else answers

    def _clone(self) -> Any:
        return Workflow(id=self._workflow.id, flow=self._workflow.flow.clone(), version=self._workflow.version)


def _read(text: str) -> dict[str, Any]:
    """The flow in the SDK's form, with variables in their places where it came in that form. Raises FlowError."""
    data = load_text(text)
    workflow = as_workflow(data)
    if isinstance(data["nodes"], list):
        return workflow
    try:
        resolved: dict[str, Any] = OmegaConf.to_container(OmegaConf.create(workflow), resolve=True)
    except OmegaConfBaseException as error:
        raise FlowError(f"the flow can't be resolved: {str(error).splitlines()[0]}") from None
    return resolved


def _loaded(data: dict[str, Any]) -> Any:
    for node_id, spec in data["nodes"].items():
        _require_type(node_id, spec)
    try:
        (workflow,) = WorkflowYAMLLoader.parse(data, init_components=True).workflows.values()
    except Exception as error:  # also whatever a node's own constructor raises
        raise FlowError(_why(error)) from None
    return workflow


def _why(error: Exception) -> str:
    """The SDK's words in one line; of a field that is wrong, where and why alone, since its value may be a key."""
    if isinstance(error.__context__, ValidationError):
        before, _, _ = str(error).partition(" Error: ")
        wrong = error.__context__.errors(include_url=False, include_input=False, include_context=False)
        return _line(f"{before} " + "; ".join(f"`{'.'.join(map(str, each['loc']))}`: {each['msg']}" for each in wrong))
    known = isinstance(error, WorkflowYAMLLoaderException)
    return _line(error if known else f"the SDK can't load the flow: {type(error).__name__}: {error}")


def _require_type(node_id: str, spec: Any) -> None:
    if not isinstance(spec, dict):
        raise FlowError(f'node "{node_id}" is not an object')
    name = str(spec.get("name") or node_id)
    shown = f'node "{name}"' if name == node_id else f'node "{name}" ({node_id})'
    if not isinstance(spec.get("type"), str):
        raise FlowError(f'{shown} has no type, which engine "sdk" needs')
    try:
        WorkflowYAMLLoader.get_entity_by_type(spec["type"])
    except Exception:
        raise FlowError(f'{shown} has type {spec["type"]}, which engine "sdk" does not have') from None


def _failures(result: Any) -> list[Failure]:
    error = result.error
    nodes = error.failed_nodes if error else []
    if nodes:
        return [Failure(node.id, node.name or node.id, (node.error_message or "failed")[:MESSAGE_LIMIT]) for node in nodes]
    message = _line(error.message or error.type.__name__) if error else str(result.status.value)
    return [Failure("", "flow", message[:MESSAGE_LIMIT])]


class _RunCallbacks(BaseCallbackHandler):
    """Follows one run: called by the SDK in the threads of its nodes."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._began: dict[UUID, int] = {}
        self._used: dict[UUID, dict[str, Any]] = {}
        self._within: dict[UUID | None, str] = {}

    def on_node_start(self, serialized: dict[str, Any], input_data: Any, **kwargs: Any) -> None:
        self._began[kwargs["run_id"]] = time.time_ns()
        self._within[kwargs["run_id"]] = self._within.get(kwargs.get("parent_run_id"), str(serialized.get("id")))

    def on_flow_start(self, serialized: dict[str, Any], input_data: Any, **kwargs: Any) -> None:
        """A flow inside of a node is part of that node."""
        if (outer := self._within.get(kwargs.get("parent_run_id"))) is not None:
            self._within[kwargs["run_id"]] = outer

    def on_node_end(self, serialized: dict[str, Any], output_data: Any, **kwargs: Any) -> None:
        self._end(serialized, kwargs["run_id"], succeeded=True)

    def on_node_error(self, serialized: dict[str, Any], error: BaseException, **kwargs: Any) -> None:
        self._end(serialized, kwargs["run_id"], succeeded=False)

    def on_node_execute_run(self, serialized: dict[str, Any], **kwargs: Any) -> None:
        """Adds up what each call of a model used: a node that tries again has several."""
        if used := kwargs.get("usage_data"):
            sums = self._used.setdefault(kwargs["run_id"], {})
            for key in ("prompt_tokens", "completion_tokens", "total_tokens_cost_usd"):
                sums[key] = sums.get(key, 0) + (used.get(key) or 0)

    def _end(self, serialized: dict[str, Any], run_id: UUID, *, succeeded: bool) -> None:
        ended = time.time_ns()
        used = self._used.pop(run_id, {})
        self._report.nodes.append(
            NodeRun(
                id=str(serialized.get("id")),
                name=str(serialized.get("name") or serialized.get("id")),
                began=self._began.pop(run_id, ended),
                ended=ended,
                succeeded=succeeded,
                within=self._within.get(run_id, str(serialized.get("id"))),
                prompt_tokens=used.get("prompt_tokens", 0),
                completion_tokens=used.get("completion_tokens", 0),
                cost=used.get("total_tokens_cost_usd", 0.0),
            )
        )


class _StreamingRunCallbacks(_RunCallbacks, BaseStreamingCallbackHandler):
    """The same for a run whose caller reads events: the SDK's nodes stream only where a callback of this class is present."""

    def on_node_execute_stream(self, serialized: dict[str, Any], chunk: Any = None, **kwargs: Any) -> None:
        """Passes a chunk on in the fields of the SDK's StreamingEventMessage, but for the run's own ids."""
        message = kwargs.get("event")
        source = {key: serialized.get(key) for key in ("id", "name", "group", "type")}
        given = {
            "event": message.event if message else (serialized.get("streaming") or {}).get("event") or "streaming",
            "entity_id": message.entity_id if message else serialized.get("id"),
            "source": message.source.model_dump() if message and message.source else source,
            "data": format_value(message.data if message else chunk),
        }
        if self._report.emit is not None:
            self._report.emit(given)


def _line(error: object) -> str:
    return " ".join(str(error).split())[:1000]
