"""Parses a flow's text into nodes that the engine `tiny` can run.

It accepts the SDK's form (`nodes` a mapping, beside `flows` and `workflows`) and the API's (`nodes` a list). It refuses, naming the node,
whatever it would run differently from the SDK: other node types, conditions, options, mocks, timeouts.
"""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from dynamiq_runtime import jsonpath, sandbox
from dynamiq_runtime.forms import ONLY, as_workflow
from dynamiq_runtime.text import FlowError, load_text, substitute_environment
from dynamiq_runtime.waits import INFO, Approval, Delay, Feedback, approval_of, delay_of, feedback_of

__all__ = ["TYPES", "Flow", "FlowError", "Node", "Retry", "Transformer", "load_flow"]

ENGINE = "tiny"
TYPES = {"dynamiq.nodes.utils.Input": "Input", "dynamiq.nodes.tools.Python": "Python", "dynamiq.nodes.utils.Output": "Output"} | {
    "dynamiq.nodes.tools.HumanFeedbackTool": "HumanFeedbackTool",
    "dynamiq.nodes.operators.Delay": "Delay",
}
# The SDK's own module paths end in the class too, so both spellings name the same node.
ALIASES = {"dynamiq.nodes.utils.utils.Input": "Input", "dynamiq.nodes.tools.python.Python": "Python"} | {
    "dynamiq.nodes.utils.utils.Output": "Output",
    "dynamiq.nodes.tools.human_feedback.HumanFeedbackTool": "HumanFeedbackTool",
    "dynamiq.nodes.operators.delay.Delay": "Delay",
}
CLASSES = {kind: name for name, kind in TYPES.items()}
MAX_NODES = 1000


@dataclass(frozen=True)
class Transformer:
    """A transformer of a node's input or output: first the path, then the selector."""

    path: jsonpath.JsonPath | None = None
    selector: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.path is not None or bool(self.selector)

    def apply(self, data: Any) -> Any:
        return jsonpath.apply(data, self.path, self.selector)


@dataclass(frozen=True)
class Retry:
    """The `error_handling` of a node: retries, seconds between them, and whether its failure fails the run."""

    retries: int = 0
    interval: float = 1.0
    backoff: float = 1.0
    fails_the_run: bool = True


@dataclass(frozen=True)
class Node:
    """One node of the flow. `kind`: a value of TYPES. `type`: the SDK's name of it. `approval`: by a person, before it runs."""

    id: str
    name: str
    kind: str
    depends: tuple[str, ...] = ()
    type: str = ""
    code: CodeType | None = None
    as_parameters: bool = False
    for_agents: bool = False
    input: Transformer = Transformer()
    output: Transformer = Transformer()
    constants: Mapping[str, Any] = field(default_factory=dict)
    retry: Retry = Retry()
    approval: Approval | None = None
    feedback: Feedback | None = None
    delay: Delay | None = None


@dataclass(frozen=True)
class Flow:
    """A checked flow: its dependencies exist, form no cycle and lead to at least one Output. `workflow`: the id of its workflow."""

    nodes: Mapping[str, Node]
    workflow: str = ONLY

    def sorter(self) -> graphlib.TopologicalSorter[str]:
        """Returns a new, prepared sorter over the nodes' ids."""
        sorter = graphlib.TopologicalSorter({node.id: node.depends for node in self.nodes.values()})
        sorter.prepare()
        return sorter

    @property
    def waits(self) -> bool:
        """True if a run may wait for a person, or until a time."""
        return any(node.approval or node.delay or (node.feedback and node.feedback.action != INFO) for node in self.nodes.values())

    @property
    def outputs(self) -> list[str]:
        """The ids of the Output nodes, in the flow's order."""
        return [node.id for node in self.nodes.values() if node.kind == "Output"]


def load_flow(text: str, environment: Mapping[str, str] | None = None) -> Flow:
    """Parses and checks `text`, YAML or JSON. In the SDK's form, `${oc.env:NAME}` is taken from `environment`. Raises FlowError."""
    workflow, chosen = _nodes(load_text(text), environment or {})
    if len(chosen) > MAX_NODES:
        raise FlowError(f"the flow has {len(chosen)} nodes, and at most {MAX_NODES} are run")
    flow = Flow({node_id: _node(node_id, spec) for node_id, spec in chosen.items()}, workflow)
    _check_graph(flow)
    return flow


def _nodes(data: dict[str, Any], environment: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Returns the workflow's id, and its nodes by id."""
    whole = as_workflow(data)
    ((name, workflow),) = whole["workflows"].items()
    chosen = {node_id: whole["nodes"][node_id] for node_id in whole["flows"][workflow["flow"]]["nodes"]}
    if isinstance(data["nodes"], list):
        return str(name), chosen
    nodes: dict[str, Any] = substitute_environment(chosen, environment)
    return str(name), nodes


def _node(node_id: str, spec: Any) -> Node:
    if not isinstance(spec, dict):
        raise FlowError(f'node "{node_id}" is not an object')
    name = str(spec.get("name") or node_id)
    shown = f'node "{name}"' if name == node_id else f'node "{name}" ({node_id})'
    kind = TYPES.get(str(spec.get("type"))) or ALIASES.get(str(spec.get("type")))
    if kind is None:
        problem = f"has type {spec['type']}" if spec.get("type") else "has no type"
        raise FlowError(f'{shown} {problem}, which engine "{ENGINE}" does not run (it runs {", ".join(TYPES.values())})')
    try:
        return Node(
            id=node_id,
            name=name,
            kind=kind,
            depends=_depends(spec),
            type=CLASSES[kind],
            code=_code(spec) if kind == "Python" else None,
            as_parameters=_flag(spec, "use_multiple_params"),
            for_agents=_flag(spec, "is_optimized_for_agents"),
            input=_transformer(spec, "input_transformer"),
            output=_transformer(spec, "output_transformer"),
            constants=_mapping(spec, "input_mapping"),
            retry=_retry(spec),
            approval=approval_of(spec),
            feedback=feedback_of(spec) if kind == "HumanFeedbackTool" else None,
            delay=delay_of(spec) if kind == "Delay" else None,
        )
    except (FlowError, jsonpath.PathError, sandbox.CodeError) as error:
        raise FlowError(f"{shown}: {error}") from None


def _code(spec: dict[str, Any]) -> CodeType:
    if not isinstance(spec.get("code"), str):
        raise FlowError("it has no `code`")
    return sandbox.compile_code(spec["code"])


def _depends(spec: dict[str, Any]) -> tuple[str, ...]:
    depends: list[str] = []
    for entry in spec.get("depends") or []:
        target = entry.get("node") if isinstance(entry, dict) else None
        if not isinstance(target, (str, int)):
            raise FlowError("an entry of `depends` is not {node: <id>}")
        for key in ("option", "condition"):
            if entry.get(key):
                raise FlowError(f'it depends on "{target}" with `{key}`, which engine "{ENGINE}" does not run')
        if entry.get("trigger") not in (None, "success"):
            raise FlowError(f'it depends on "{target}" with `trigger: {entry["trigger"]}`, which engine "{ENGINE}" does not run')
        if str(target) in depends:
            raise FlowError(f'it depends on "{target}" twice')
        depends.append(str(target))
    if isinstance(spec.get("mock"), dict) and spec["mock"].get("enabled"):
        raise FlowError(f'it uses `mock`, which engine "{ENGINE}" does not run')
    if spec.get("transformers"):
        raise FlowError(f'it uses `transformers`, which engine "{ENGINE}" does not run')
    return tuple(depends)


def _transformer(spec: dict[str, Any], key: str) -> Transformer:
    transformer = _mapping(spec, key)
    path, selector = transformer.get("path"), _mapping(transformer, "selector")
    if path is not None and not isinstance(path, str):
        raise FlowError(f"`{key}.path` is not a string")
    for name, value in selector.items():
        if not isinstance(value, str):
            raise FlowError(f"`{key}.selector.{name}` is not a string")
    return Transformer(jsonpath.parse(path) if path else None, {str(name): jsonpath.selection(value) for name, value in selector.items()})


def _retry(spec: dict[str, Any]) -> Retry:
    handling = _mapping(spec, "error_handling")
    for key in ("timeout_seconds", "max_retry_interval_seconds"):
        if handling.get(key) is not None:
            raise FlowError(f'it uses `error_handling.{key}`, which engine "{ENGINE}" does not run')
    behavior = handling.get("behavior") or "raise"
    if behavior not in ("raise", "return"):
        raise FlowError(f"`error_handling.behavior` is {behavior!r}, not raise or return")
    try:
        retry = Retry(
            int(handling.get("max_retries") or 0),
            float(handling.get("retry_interval_seconds", 1)),
            float(handling.get("backoff_rate", 1)),
            behavior == "raise",
        )
    except (TypeError, ValueError, OverflowError):
        raise FlowError("`error_handling` holds something that is not a number") from None
    if retry.retries < 0 or retry.interval < 0 or retry.backoff < 0:
        raise FlowError("`error_handling` holds a negative number")
    return retry


def _mapping(spec: dict[str, Any], key: str) -> dict[str, Any]:
    value = spec.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FlowError(f"`{key}` is not an object")
    return value


def _flag(spec: dict[str, Any], key: str) -> bool:
    value = spec.get(key) or False
    if not isinstance(value, bool):
        raise FlowError(f"`{key}` is neither true nor false")
    return value


def _check_graph(flow: Flow) -> None:
    for node in flow.nodes.values():
        for target in node.depends:
            if target not in flow.nodes:
                raise FlowError(f'node "{node.name}" depends on "{target}", which is not in the flow')
    if not flow.outputs:
        raise FlowError("the flow has no Output node, so it would have no answer")
    try:
        flow.sorter()
    except graphlib.CycleError as error:
        raise FlowError("the nodes depend on each other in a circle: " + " -> ".join(map(str, error.args[1]))) from None
