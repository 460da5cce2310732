"""The engine `sdk`: Dynamiq's own SDK runs the flow, with every node that it has.

A Workflow is not safe for concurrent runs, so each run gets a clone of the loaded one. Only this module,
`sdk_steps.py` and `sdk_questions.py` import `dynamiq`. The SDK's log lines quote inputs and outputs, and are dropped.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from dynamiq import Workflow
from dynamiq.callbacks import BaseCallbackHandler
from dynamiq.callbacks.streaming import BaseStreamingCallbackHandler
from dynamiq.checkpoints.types import RunPausedException
from dynamiq.nodes import node
from dynamiq.nodes.utils import Input, Output
from dynamiq.runnables import RunnableConfig, RunnableStatus
from dynamiq.serializers.loaders.yaml import WorkflowYAMLLoader, WorkflowYAMLLoaderException
from dynamiq.utils import format_value
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from dynamiq_runtime.engine import (
    FAILED,
    MESSAGE_LIMIT,
    SKIPPED,
    SUCCEEDED,
    Failure,
    NodeRun,
    PausedError,
    Report,
    RunFailedError,
    StoppedError,
    Usage,
    cause_of,
)
from dynamiq_runtime.forms import as_workflow
from dynamiq_runtime.frames import AGENTS, ITERATION, STREAMING
from dynamiq_runtime.models import named_model
from dynamiq_runtime.sdk_questions import PAUSES, Asked, is_question, may_wait, refusal
from dynamiq_runtime.sdk_steps import checkpoints, reads_inputs
from dynamiq_runtime.text import FlowError, load_text

TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
ANSWERS = (
    *(f"openai.types.{name}" for name in ("chat", "completion", "create_embedding_response", "embedding", "image")),
    *("litellm.types.utils", "litellm.types.llms.openai"),
)
"""Modules of models' answers."""
IMPORTED_IN_RUNS = {
    "dynamiq.utils.utils": ("dynamiq.nodes.tools.python",),
    "dynamiq.nodes.operators.operators": ("dynamiq.nodes.operators.sub_workflow", "dynamiq.nodes.tools.human_feedback"),
    "dynamiq.nodes.agents.base": tuple(f"dynamiq.nodes.tools.{name}" for name in ("agent_tool", "artifact_tool", "long_term_memory")),
    "dynamiq.nodes.llms.bedrock": ("boto3",),
    "dynamiq.nodes.tools.http_api_call": ("netrc",),
    "dynamiq.nodes.transformers.excel": ("pandas",),
    "litellm": ("starlette.exceptions",),
}
"""Modules that a module imports in its functions, as far as the whole SDK had them loaded before the first run."""
logging.getLogger("dynamiq").setLevel(logging.CRITICAL + 1)
logging.getLogger("dynamiq.utils.logger").setLevel(logging.CRITICAL + 1)


def _is_retryable(error: BaseException) -> bool:
    """Returns what the SDK's own function returns, but does not load litellm to compare with its errors: before that there are none."""
    if isinstance(error, PAUSES):
        return False  # else it would ask again after each pause between attempts
    return _is_retryable_for_the_sdk(error) if "litellm" in sys.modules else getattr(error, "retryable", True) is not False


_is_retryable_for_the_sdk, node.is_retryable_error = node.is_retryable_error, _is_retryable


def _prepare_first_run() -> None:
    """Loads what the SDK imports in a run, as far as the flow needs it, and prepares litellm if the flow has loaded it."""
    for name, imported in IMPORTED_IN_RUNS.items():
        if name in sys.modules:
            for each in imported:
                with contextlib.suppress(ImportError):  # in the run it is the SDK's to report
                    importlib.import_module(each)
    if (litellm := sys.modules.get("litellm")) is not None:
        vars(litellm)["suppress_debug_info"] = True  # otherwise it prints a hint between the log's lines, for each call of an unknown model
        _build_answers(BaseModel)


def _build_answers(base: type[BaseModel]) -> None:
    """Builds the classes of models' answers, which their packages otherwise build at the first answer."""
    for answer_class in base.__subclasses__():
        # Two nodes with the first answers would build a class at the same time, and one of them could not parse its answer.
        if answer_class.__module__.startswith(ANSWERS):
            answer_class.model_rebuild(raise_errors=False)
        _build_answers(answer_class)


class SDK:
    """A loaded flow. Its nodes are checked, its clients exist, and it was cloned once as a trial."""

    def __init__(self, text: str) -> None:
        data = _read(text)
        self._workflow = _loaded(data)
        self._reads_inputs = reads_inputs(text)
        self._inputs = {node.id for node in self._workflow.flow.nodes if isinstance(node, Input)}
        outputs = {node.id for node in self._workflow.flow.nodes if isinstance(node, Output)}
        self._outputs = [node_id for node_id in data["flows"][self._workflow.flow.id]["nodes"] if node_id in outputs]
        if not self._outputs:
            raise FlowError("the flow has no Output node, so it would have no answer")
        if (why := refusal(self._workflow.flow)) is not None:
            raise FlowError(why)
        self._waits = may_wait(self._workflow.flow)
        self._clone()
        _prepare_first_run()

    @property
    def nodes(self) -> int:
        """The number of nodes of a run."""
        return len(self._workflow.flow.nodes)

    @property
    def outputs(self) -> int:
        """The number of Output nodes."""
        return len(self._outputs)

    @property
    def workflow(self) -> str:
        """The id of the workflow."""
        return str(self._workflow.id)

    @property
    def waits(self) -> bool:
        """True if a run may have to wait."""
        return self._waits

    def execute(self, given: Mapping[str, Any], report: Report) -> Any:
        """Returns the answer to one input. Raises RunFailedError, StoppedError and PausedError."""
        config = RunnableConfig(callbacks=[_RunCallbacks(report) if report.emit is None else _StreamingRunCallbacks(report)])
        report.cancel = config.cancellation.token.cancel
        clone = self._clone()
        if report.steps is not None and self._waits:
            config.callbacks.append(Asked(clone.flow, report.steps, report.cancel))
        if report.steps is not None and report.steps.keeps:
            config.checkpoint = checkpoints(report.steps, self._workflow.flow.id, report.cancel, with_inputs=self._reads_inputs)
        result = clone.run_sync(input_data=dict(given), config=config)
        if report.steps is not None and report.steps.stopped:
            raise StoppedError(report.steps.stopped)
        if result.error is not None and result.error.type is RunPausedException:
            raise PausedError(config.checkpoint.backend.resume_at)
        if result.status != RunnableStatus.SUCCESS:
            failures = _failures(result)
            raise RunFailedError(failures, input_refused=all(failure.node in self._inputs for failure in failures))
        answers = {node_id: result.output[node_id]["output"] for node_id in self._outputs}
        return next(iter(answers.values())) if len(answers) == 1 else answers

    def _clone(self) -> Any:
        return Workflow(id=self._workflow.id, flow=self._workflow.flow.clone(), version=self._workflow.version)


def _read(text: str) -> dict[str, Any]:
    """Returns the flow in the SDK's form; if it came in that form, with its variables replaced. Raises FlowError."""
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
    except Exception as error:  # including errors of nodes' constructors
        raise FlowError(_why(error)) from error
    return workflow


def _why(error: Exception) -> str:
    """Returns the SDK's message in one line; for an invalid field only where and why, since its value may be a key."""
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
    except Exception as error:
        raise FlowError(f'{shown} has type {spec["type"]}, which engine "sdk" does not have') from error


def _failures(result: Any) -> list[Failure]:
    error = result.error
    nodes = error.failed_nodes if error else []
    if nodes:
        return [Failure(node.id, node.name or node.id, (node.error_message or "failed")[:MESSAGE_LIMIT]) for node in nodes]
    message = _line(error.message or error.type.__name__) if error else str(result.status.value)
    return [Failure("", "flow", message[:MESSAGE_LIMIT])]


class _RunCallbacks(BaseCallbackHandler):
    """Follows one run; the SDK calls it in the threads of its nodes. `_nodes`: those under way; a flow inside a node is that node."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._nodes: dict[UUID, NodeRun] = {}
        self._inside: dict[UUID | None, NodeRun] = {}

    def on_node_start(self, serialized: dict[str, Any], input_data: Any, **kwargs: Any) -> None:
        node = self._begin(serialized, kwargs)
        node.attempts = 0
        if self._report.content is not None:
            node.input = self._report.content.of(format_value(input_data, for_tracing=True))

    def on_flow_start(self, serialized: dict[str, Any], input_data: Any, **kwargs: Any) -> None:
        """Counts a flow inside a node as part of that node."""
        if (outer := self._inside.get(kwargs.get("parent_run_id"))) is not None:
            self._inside[kwargs["run_id"]] = outer

    def on_node_execute_start(self, serialized: dict[str, Any], input_data: Any, **kwargs: Any) -> None:
        """Counts an attempt; a node whose output comes from a cache has none."""
        if (node := self._nodes.get(kwargs["run_id"])) is not None:
            node.attempts += 1
            node.is_model = node.is_model or serialized.get("group") == "llms"

    def on_node_execute_run(self, serialized: dict[str, Any], **kwargs: Any) -> None:
        """Adds up the usage of each model call: a node with retries has several."""
        usage, node = kwargs.get("usage_data"), self._nodes.get(kwargs["run_id"])
        if usage and node is not None:
            node.is_model = True
            node.usage = _usage(usage) if node.usage is None else _sum(node.usage, _usage(usage))

    def on_node_end(self, serialized: dict[str, Any], output_data: Any, **kwargs: Any) -> None:
        node = self._end(serialized, kwargs, SUCCEEDED)
        node.cached = bool(kwargs.get("is_output_from_cache"))
        if self._report.content is not None:
            node.output = self._report.content.of(format_value(output_data, for_tracing=True))

    def on_node_error(self, serialized: dict[str, Any], error: BaseException, **kwargs: Any) -> None:
        if isinstance(error, PAUSES) and self._report.steps is not None and self._report.steps.keeps:
            self._nodes.pop(kwargs["run_id"], None)  # it has not ended
            return
        node = self._end(serialized, kwargs, FAILED)
        node.error_type, node.error_line = cause_of(error)
        if self._report.content is not None:
            node.error = self._report.content.error(str(error))

    def on_node_canceled(self, serialized: dict[str, Any], **kwargs: Any) -> None:
        self._end(serialized, kwargs, FAILED).error_type = "CanceledException"

    def on_node_skip(self, serialized: dict[str, Any], skip_data: Any, input_data: Any, **kwargs: Any) -> None:
        self._end(serialized, kwargs, SKIPPED)

    def _begin(self, serialized: dict[str, Any], kwargs: dict[str, Any]) -> NodeRun:
        parent = self._inside.get(kwargs.get("parent_run_id"))
        node_id, kind = str(serialized.get("id")), serialized.get("type")
        node = NodeRun(
            id=node_id,
            name=str(serialized.get("name") or node_id),
            type=kind,
            began=time.time_ns(),
            within=parent.within if parent else node_id,
            parent=parent,
        )
        if isinstance(model := serialized.get("model"), str):
            node.provider, node.model = named_model(model, str(kind))
        self._nodes[kwargs["run_id"]] = self._inside[kwargs["run_id"]] = node
        self._report.begin(node)
        return node

    def _end(self, serialized: dict[str, Any], kwargs: dict[str, Any], status: str) -> NodeRun:
        """Ends a node and returns it. One that never began was skipped, or its input was invalid."""
        node = self._nodes.pop(kwargs["run_id"], None) or self._begin(serialized, kwargs)
        self._nodes.pop(kwargs["run_id"], None)
        node.status, node.ended = status, time.time_ns()
        node.attempts = max(node.attempts, 1)
        return node


class _StreamingRunCallbacks(_RunCallbacks, BaseStreamingCallbackHandler):
    """Follows a run whose caller reads events. The SDK's nodes stream only if a callback of this class is present."""

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self._models: dict[UUID, str] = {}
        """Ids of the models of agents that stream, by the agent's run."""

    def on_node_start(self, serialized: dict[str, Any], input_data: Any, **kwargs: Any) -> None:
        super().on_node_start(serialized, input_data, **kwargs)
        if serialized.get("group") == AGENTS and (serialized.get("streaming") or {}).get("enabled"):
            self._models[kwargs["run_id"]] = str((serialized.get("llm") or {}).get("id"))

    def on_node_execute_stream(self, serialized: dict[str, Any], chunk: Any = None, **kwargs: Any) -> None:
        """Passes on a chunk in the fields of the SDK's StreamingEventMessage, without the run's own id, and the agent's iteration."""
        if (parent := kwargs.get("parent_run_id")) in self._models and self._models[parent] == serialized.get("id"):
            return  # the agent parses its model's words and streams them itself
        message = kwargs.get("event")
        if is_question(message) and self._report.steps is not None:
            return  # the journal has an event for it
        source = {key: serialized.get(key) for key in ("id", "name", "group", "type")}
        fields = {
            "run_id": str(kwargs.get("run_id") or (message.run_id if message else "")),
            "event": message.event if message else (serialized.get("streaming") or {}).get("event") or STREAMING,
            "entity_id": message.entity_id if message else serialized.get("id"),
            "source": message.source.model_dump() if message and message.source else source,
            "data": format_value(message.data if message else chunk),
            ITERATION: kwargs.get("loop_num"),
        }
        if self._report.emit is not None:
            self._report.emit(fields)


def _usage(used: Mapping[str, Any]) -> Usage:
    """Converts the usage of one call. No tokens at all means unknown. Tokens without a price means that the SDK has no price."""
    input_tokens, output_tokens, cost = (used.get(key) for key in ("prompt_tokens", "completion_tokens", "total_tokens_cost_usd"))
    if not input_tokens and not output_tokens:
        return Usage()
    cached = used.get("cache_read_input_tokens"), used.get("cache_creation_input_tokens")
    return Usage(input_tokens, output_tokens, *cached, cost or None)


def _sum(first: Usage, second: Usage) -> Usage:
    """Adds up two usages of one node: known tokens; cost only if both are known."""
    total = Usage(cost=None if first.cost is None or second.cost is None else first.cost + second.cost)
    for key in TOKENS:
        setattr(total, key, _known_sum(getattr(first, key), getattr(second, key)))
    return total


def _known_sum(first: int | None, second: int | None) -> int | None:
    return None if first is None and second is None else (first or 0) + (second or 0)


def _line(error: object) -> str:
    return " ".join(str(error).split())[:1000]
