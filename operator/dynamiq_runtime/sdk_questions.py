"""Lets nodes of the SDK ask persons: by the SDK's own feedback tool, by a node's approval, and by approvals of an agent's tool calls.

The SDK has no call that pauses a run at a question. It pauses where a wait for input ends by its timeout, and the flow's checkpoint is kept.
Each node of a run's clone that may ask therefore gets a queue and a wait of a millisecond. A callback that hears the question puts the answer in,
if there is one. A node inside a Map, a sub-workflow or a sub-agent cannot pause: a short wait would end it unanswered. It waits in its
thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from queue import Queue
from typing import Any

from dynamiq.callbacks.streaming import BaseStreamingCallbackHandler
from dynamiq.checkpoints.types import RunPausedException
from dynamiq.flows import Flow
from dynamiq.nodes import Node
from dynamiq.types.feedback import ApprovalStreamingOutputEventMessage, FeedbackMethod
from dynamiq.types.streaming import InputStreamingTimeoutError, StreamingConfig
from pydantic import BaseModel

from dynamiq_runtime.engine import Question, Steps, StoppedError
from dynamiq_runtime.questions import APPROVAL, FEEDBACK, Answer

PAUSES = (RunPausedException, InputStreamingTimeoutError)
"""Errors by which a node stops that waits. Such a node has not failed."""
AT_ONCE = 0.001
"""Seconds of a wait that is to end in a pause."""
_NO_INNER = frozenset({"depends", "input_mapping"})
"""Fields of a node that refer to its neighbours."""
_FEEDBACK, _DELAY, _ASKED = "HumanFeedbackTool", "Delay", "HFStreamingOutputEventMessage"
"""Classes of the SDK that only flows with such nodes load."""


@dataclass(frozen=True)
class _Place:
    """A node. `owner`: the node of the flow that it is, or is part of. `pauses`: True if the run can pause at it."""

    node: Any
    owner: str
    pauses: bool

    @property
    def asks(self) -> bool:
        """True if it may ask by the stream of its input."""
        node = self.node
        if _asks_by(node, FeedbackMethod.STREAM):
            return True
        hooks = getattr(node, "hooks", None) or ()
        by_hook = any(getattr(hook, "feedback_method", None) == FeedbackMethod.STREAM for hook in hooks)
        return by_hook or (node.approval.enabled and node.approval.feedback_method == FeedbackMethod.STREAM)


def refusal(flow: Flow) -> str | None:
    """Returns why a flow cannot be served: a node of it would ask at the pod's console, where nobody is. None if no node would."""
    for place in _places(flow):
        node = place.node
        shown = f'node "{node.name or node.id}"'
        if _asks_by(node, FeedbackMethod.CONSOLE):
            return f"{shown} asks at a console, which a pod does not have: set `input_method: stream`"
        given = node.input_transformer
        if node.approval.enabled and given is not None and (given.path or given.selector):
            return f"{shown} has an approval and an `input_transformer`: the SDK would show the run's input, not what the node gets"
        approvals = [node.approval] if node.approval.enabled else []
        approvals += [hook for hook in getattr(node, "hooks", None) or () if getattr(hook, "approval", False)]
        if any(each.feedback_method == FeedbackMethod.CONSOLE for each in approvals):
            return f"{shown} is approved at a console, which a pod does not have: set `approval.feedback_method: stream`"
    return None


def may_wait(flow: Flow) -> bool:
    """Returns True if a run of the flow may have to wait for a person, or until a time."""
    return any(place.asks or _is_a(place.node, _DELAY) for place in _places(flow))


class Asked(BaseStreamingCallbackHandler):
    """Hears the questions of one run. `flow`: the run's own clone. `cancel`: ends the run, in which nobody can be asked."""

    def __init__(self, flow: Flow, steps: Steps, cancel: Any) -> None:
        self._steps, self._cancel = steps, cancel
        self._askers: dict[str, tuple[_Place, Queue[str]]] = {}
        for place in _places(flow):
            if place.asks:
                queue = self._askers[place.node.id][1] if place.node.id in self._askers else Queue[str]()
                self._askers[place.node.id] = place, queue
                _open(place, queue)

    def on_node_execute_stream(self, serialized: dict[str, Any], chunk: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        event: Any = kwargs.get("event")
        if not is_question(event) or event.entity_id not in self._askers:
            return
        place, queue = self._askers[event.entity_id]

        def deliver(answer: Answer) -> None:
            queue.put(_input(event, answer))

        try:
            answer = self._steps.ask(_question(place, event), None if place.pauses else deliver)
        except Exception as error:  # the SDK only logs what a callback raises
            if not isinstance(error, StoppedError):
                self._steps.stopped = "question_unclear"
            self._cancel()
            return
        if answer is not None:
            deliver(answer)


def is_question(event: Any) -> bool:
    """Returns True for an event that waits for a person."""
    if _is_a(event, _ASKED):
        return bool(event.data.action.value == "ask")
    return isinstance(event, ApprovalStreamingOutputEventMessage)


def _is_a(value: object, name: str) -> bool:
    """Returns True for an object of a class of this name. To import the class would load what most flows never need."""
    return any(each.__name__ == name for each in type(value).__mro__)


def _asks_by(node: Any, method: FeedbackMethod) -> bool:
    return _is_a(node, _FEEDBACK) and getattr(node.action, "value", None) != "info" and bool(node.input_method == method)


def _open(place: _Place, queue: Queue[str]) -> None:
    """Gives a node the stream of its input. It is built anew: a copy would keep that the node has none."""
    old: StreamingConfig = place.node.streaming
    fields = {name: getattr(old, name) for name in type(old).model_fields}
    wait = {"timeout": AT_ONCE if place.pauses else None, "input_queue": queue, "enabled": True}
    place.node.streaming = StreamingConfig(**{**fields, **wait})


def _question(place: _Place, event: Any) -> Question:
    node, data = place.node, event.data
    if isinstance(event, ApprovalStreamingOutputEventMessage):
        content = {
            "prompt": data.template.strip(),
            "params": data.data,
            "editable_params": list(data.mutable_data_params),
            "questions": None,
        }
        # An agent's request has an id; an agent may ask for several calls.
        return Question(
            node.id, node.name or node.id, APPROVAL, place.owner, content, is_single=_is_single(place) and data.request_id is None
        )
    questions = [each.model_dump(mode="json") for each in data.questions] if data.questions else None
    content = {"prompt": data.prompt, "params": None, "editable_params": [], "questions": questions}
    return Question(node.id, node.name or node.id, FEEDBACK, place.owner, content, is_single=_is_single(place))


def _is_single(place: _Place) -> bool:
    return place.pauses and bool(place.node.id == place.owner)


def _input(event: Any, answer: Answer) -> str:
    """Returns an answer as the SDK reads it."""
    data: dict[str, Any]
    if isinstance(event, ApprovalStreamingOutputEventMessage):
        # Never by a text alone: the SDK takes an empty one for an approval.
        data = {"is_approved": answer["is_approved"] is True, "data": answer.get("data") or {}, "request_id": event.data.request_id}
        data |= {"feedback": answer["feedback"]} if answer.get("feedback") is not None else {}
    else:
        data = {"content": answer.get("feedback") or "", "answers": answer.get("answers")}
    return json.dumps({"entity_id": event.entity_id, "event": event.event, "wf_run_id": event.wf_run_id, "data": data})


def _places(flow: Flow) -> Iterator[_Place]:
    """Yields all nodes of a flow: its own, tools of its agents, and those further inside."""
    seen: set[int] = set()
    for node in flow.nodes:
        yield _Place(node, node.id, pauses=True)
        tools = [tool for tool in getattr(node, "tools", None) or () if isinstance(tool, Node)]
        yield from (_Place(tool, node.id, pauses=True) for tool in tools)
        inner = [*_inner(tools), *_of_fields(node, _NO_INNER | {"tools"})]
        yield from (_Place(each, node.id, pauses=False) for each in _all(inner, seen))


def _all(nodes: Iterable[Any], seen: set[int]) -> Iterator[Any]:
    for node in nodes:
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            yield from _all(_of_fields(node, _NO_INNER), seen)


def _inner(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        yield from _of_fields(node, _NO_INNER)


def _of_fields(holder: BaseModel, without: frozenset[str]) -> Iterator[Any]:
    """Yields the nodes in the fields of a node, or of a flow in it."""
    for name in type(holder).model_fields:
        if name not in without:
            yield from _nodes(getattr(holder, name, None))


def _nodes(value: Any) -> Iterator[Any]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, Flow):
        yield from value.nodes
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _nodes(each)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _nodes(each)
    elif isinstance(value, BaseModel):  # a workflow
        yield from _nodes(getattr(value, "flow", None))
