"""Checks a flow before its release: its form, names, cycles, and selectors that read a missing output.

It neither runs the flow nor knows the engine, which refuses more when a pod starts.
"""

from __future__ import annotations

import difflib
import graphlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.model.engines import NODE_TYPES
from dynamiq_operator.model.flows import FlowError, as_json
from dynamiq_operator.model.sdk_node_types import SDK_NODE_TYPES

ONLY = "main"
"""Name of the flow, or workflow, in a text that names none."""
TOLD_MOST = 5
FEEDBACK = "HumanFeedbackTool"
NO_INNER = frozenset({"depends", "input_mapping", "input_transformer", "output_transformer", "approval"})
"""Fields of a node that hold no other node."""
KNOWN_TYPES = SDK_NODE_TYPES | frozenset(NODE_TYPES)
_OUTPUT = re.compile(
    r"""\s*[$@](?:\.(?P<plain>[A-Za-z_][\w@-]*)|\.?\[?\s*(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\s*\]?)\.output(?=$|[\s.\[])"""
)


@dataclass(frozen=True)
class FlowCheck:
    """Problems of a flow, each a sentence. With `errors` no engine runs it as intended; `warnings` may be mistakes."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def in_words(self) -> str:
        """Returns the first errors in one line."""
        more = f"; and {len(self.errors) - TOLD_MOST} more" if len(self.errors) > TOLD_MOST else ""
        return "; ".join(self.errors[:TOLD_MOST]) + more


def check_flow(text: str) -> FlowCheck:
    """Checks the text of a flow, YAML or JSON, in the SDK's form or the API's."""
    try:
        nodes = nodes_of(json.loads(as_json(text)))
    except FlowError as error:
        return FlowCheck((str(error),))
    problems = [(is_error, sentence) for node_id, spec in nodes.items() for is_error, sentence in _of_node(node_id, spec, nodes)]
    errors = tuple(sentence for is_error, sentence in problems if is_error)
    return FlowCheck(errors or _circles(nodes), tuple(sentence for is_error, sentence in problems if not is_error))


def nodes_of(data: Any) -> dict[str, Any]:
    """Returns the nodes of the one workflow, by id. Raises FlowError."""
    entries = data.get("nodes")
    if not isinstance(entries, (dict, list)) or not entries:
        raise FlowError("the flow has no `nodes`: a mapping (the SDK's form) or a list (the API's form)")
    if isinstance(entries, list):
        return _listed(entries)
    nodes = {str(key): spec for key, spec in entries.items()}
    flows = _mapping(data, "flows") or {ONLY: {"nodes": list(nodes)}}
    flow = _flow_of(_mapping(data, "workflows"), flows)
    listed = flows[flow].get("nodes") if isinstance(flows[flow], dict) else None
    if not isinstance(listed, list):
        raise FlowError(f"flow {flow!r} has no list of `nodes`")
    if missing := [str(each) for each in listed if str(each) not in nodes]:
        raise FlowError(f"flow {flow!r} lists the node {missing[0]!r}, which is not there")
    return {str(each): nodes[str(each)] for each in listed}


def _flow_of(workflows: Mapping[str, Any], flows: Mapping[str, Any]) -> str:
    if len(workflows) > 1:
        raise FlowError(f"the flow has {len(workflows)} workflows ({', '.join(map(str, workflows))}) and needs exactly one")
    if not workflows and len(flows) > 1:
        raise FlowError("there are several `flows` and no `workflows` to say which one runs")
    name, workflow = next(iter(workflows.items())) if workflows else (ONLY, {"flow": next(iter(flows))})
    flow = workflow.get("flow") if isinstance(workflow, dict) else None
    if not isinstance(flow, str) or flow not in flows:
        raise FlowError(f"workflow {name!r} names the flow {flow!r}, which is not there")
    return flow


def _listed(entries: list[Any]) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    for position, spec in enumerate(entries):
        node_id = spec.get("id") if isinstance(spec, dict) else None
        if not isinstance(node_id, (str, int)) or node_id == "":
            raise FlowError(f"node number {position + 1} has no `id`")
        if str(node_id) in nodes:
            raise FlowError(f"two nodes have the id {str(node_id)!r}")
        nodes[str(node_id)] = spec
    return nodes


def _mapping(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    if value is not None and not isinstance(value, dict):
        raise FlowError(f"`{key}` is not an object")
    return value or {}


def _of_node(node_id: str, spec: Any, nodes: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """Yields the problems of a node: True for an error, and the sentence."""
    if not isinstance(spec, dict):
        yield True, f'node "{node_id}" is not an object'
        return
    shown = f'node "{spec.get("name") or node_id}"'
    if not isinstance(kind := spec.get("type"), str) or not kind:
        yield True, f"{shown} has no type"
    elif not _is_known(kind):
        near = difflib.get_close_matches(kind, sorted(KNOWN_TYPES), n=1, cutoff=0.8)
        yield False, f"{shown} has type {kind}, which no engine here is known to run{f'; did you mean {near[0]}?' if near else ''}"
    depends = spec.get("depends") or []
    for entry in depends if isinstance(depends, list) else [None]:
        target = entry.get("node") if isinstance(entry, dict) else None
        if not isinstance(target, (str, int)):
            yield True, f"{shown}: an entry of `depends` is not {{node: <id>}}"
        elif str(target) not in nodes:
            yield True, f'{shown} depends on "{target}", which is not in the flow'
    yield from _selectors(shown, spec, nodes)
    yield from _questions(shown, spec, pauses=True)


def _questions(shown: str, spec: Mapping[str, Any], *, pauses: bool) -> Iterator[tuple[bool, str]]:
    """Yields the nodes that ask where nobody is, or that keep their pod while they wait. `pauses`: True if the run can pause at this node."""
    approval = spec["approval"] if isinstance(spec.get("approval"), dict) else {}
    asks = str(spec.get("type") or "").rpartition(".")[2] == FEEDBACK and spec.get("action") != "info"
    approved = bool(approval.get("enabled"))
    if asks and (spec.get("input_method") or "console") == "console":
        yield True, f"{shown}: it asks at a console, which a pod does not have: set `input_method: stream`"
    elif approved and (approval.get("feedback_method") or "console") == "console":
        yield True, f"{shown}: it is approved at a console, which a pod does not have: set `approval.feedback_method: stream`"
    elif (asks or approved) and not pauses:
        yield False, f"{shown} asks a person inside another node: a run keeps its pod while it waits there, and must be in the background"
    for key, value in spec.items():
        for inner in _inner(value) if key not in NO_INNER else ():
            name = f'node "{inner.get("name") or inner.get("id") or inner["type"]}"'
            yield from _questions(name, inner, pauses=pauses and key == "tools" and not inner.get("tools"))


def _inner(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the nodes in a field of a node."""
    if isinstance(value, dict) and isinstance(value.get("type"), str):
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _inner(each)


def _selectors(shown: str, spec: Mapping[str, Any], nodes: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """Yields the selectors that never return a value: they read a missing node, or one that this node does not depend on."""
    mine = set(_depends(spec))
    for text in _paths(spec.get("input_transformer")):
        for part in text.split("||"):
            if (match := _OUTPUT.match(part)) is None:
                continue
            name = match["plain"] or match["quoted"]
            if name not in nodes:
                yield True, f'{shown} reads {part.strip()}, and no node is called "{name}"'
            elif name not in mine:
                yield False, f'{shown} reads {part.strip()} and does not depend on "{name}": it gets nothing'


def _paths(transformer: Any) -> Iterator[str]:
    if not isinstance(transformer, dict):
        return
    selector = transformer.get("selector")
    values = [*(selector.values() if isinstance(selector, dict) else ()), transformer.get("path")]
    yield from (value for value in values if isinstance(value, str))


def _depends(spec: Any) -> list[str]:
    entries = spec.get("depends") if isinstance(spec, dict) else None
    return [str(each["node"]) for each in entries or () if isinstance(each, dict) and "node" in each]


def _circles(nodes: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        graphlib.TopologicalSorter({node_id: _depends(spec) for node_id, spec in nodes.items()}).prepare()
    except graphlib.CycleError as error:
        return ("the nodes depend on each other in a circle: " + " -> ".join(map(str, error.args[1])),)
    return ()


def _is_known(kind: str) -> bool:
    """Returns True if an engine runs the type. The SDK also accepts the path of a class's module."""
    package, _, name = kind.rpartition(".")
    return kind in KNOWN_TYPES or f"{package.rpartition('.')[0]}.{name}" in KNOWN_TYPES
