"""Converts the two forms of a flow to one: the SDK's (`nodes` a mapping, beside `flows` and `workflows`) and the API's (a list)."""

from __future__ import annotations

from typing import Any

from dynamiq_runtime.text import FlowError

ONLY = "main"  # the name of a flow or workflow that the text does not name


def as_workflow(data: Any) -> dict[str, Any]:
    """Converts `data` to the SDK's form with exactly one workflow, whose flow lists existing nodes. Raises FlowError.

    Node ids become text; an API node's id becomes its key only. Everything else in `data`, such as connections, stays.
    """
    if not isinstance(data, dict) or not isinstance(data.get("nodes"), (dict, list)) or not data["nodes"]:
        raise FlowError("the flow has no `nodes`: a mapping (the SDK's form) or a list (the API's form)")
    if isinstance(data["nodes"], list):
        nodes = _listed(data["nodes"])
        return {"nodes": nodes, "flows": {ONLY: {"nodes": list(nodes)}}, "workflows": {ONLY: {"flow": ONLY}}}
    nodes = {str(key): spec for key, spec in data["nodes"].items()}
    flows = _mapping(data, "flows") or {ONLY: {"nodes": list(nodes)}}
    name, workflow = _workflow(_mapping(data, "workflows"), flows)
    flow = {**flows[workflow["flow"]], "nodes": _nodes_of(workflow["flow"], flows[workflow["flow"]], nodes)}
    return {**data, "nodes": nodes, "flows": {**flows, workflow["flow"]: flow}, "workflows": {name: workflow}}


def _workflow(workflows: dict[str, Any], flows: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if len(workflows) > 1:
        raise FlowError(f"the flow has {len(workflows)} workflows ({', '.join(map(str, workflows))}) and needs exactly one")
    if not workflows and len(flows) > 1:
        raise FlowError("there are several `flows` and no `workflows` to say which one runs")
    name, workflow = next(iter(workflows.items())) if workflows else (ONLY, {"flow": next(iter(flows))})
    flow = workflow.get("flow") if isinstance(workflow, dict) else None
    if flow not in flows:
        raise FlowError(f"workflow {name!r} names the flow {flow!r}, which is not there")
    return name, workflow


def _nodes_of(name: str, flow: Any, nodes: dict[str, Any]) -> list[str]:
    listed = flow.get("nodes") if isinstance(flow, dict) else None
    if not isinstance(listed, list):
        raise FlowError(f"flow {name!r} has no list of `nodes`")
    for node_id in map(str, listed):
        if node_id not in nodes:
            raise FlowError(f"flow {name!r} lists the node {node_id!r}, which is not there")
    return list(map(str, listed))


def _listed(nodes: list[Any]) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for position, spec in enumerate(nodes):
        node_id = spec.get("id") if isinstance(spec, dict) else None
        if not isinstance(node_id, (str, int)) or node_id == "":
            raise FlowError(f"node number {position + 1} has no `id`")
        if str(node_id) in chosen:
            raise FlowError(f"two nodes have the id {str(node_id)!r}")
        chosen[str(node_id)] = {key: value for key, value in spec.items() if key != "id"}
    return chosen


def _mapping(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    if value is not None and not isinstance(value, dict):
        raise FlowError(f"`{key}` is not an object")
    return value or {}
