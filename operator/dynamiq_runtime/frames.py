"""Serializes a streamed run to server-sent events: the SDK's messages for `POST /`, the product's run events for `POST /v1/runs`.

`data` is one line of JSON. Pure: `events.py` writes the frames.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

from dynamiq_runtime.errors import HttpError
from dynamiq_runtime.logs import now
from dynamiq_runtime.run import STARTED, STATUSES, Run

ITERATION = "iteration"
"""A chunk's field beside those of the SDK's message: the agent's loop, counted from 1; None outside of agents."""
AGENTS = "agents"
STREAMING = "streaming"
NODE_DELTA, ANSWER_DELTA = "node.output.delta", "agent.response.delta"


class Frames(Protocol):
    """The frames of one run, in the order of their calls."""

    def begin(self) -> bytes:
        """Returns what is written before the first chunk."""

    def chunk(self, chunk: Mapping[str, Any]) -> bytes:
        """Returns the frame of what a node emitted, in the fields of the SDK's messages."""

    def result(self, output: str) -> bytes:
        """Returns the last frames of a run that succeeded; `output` is JSON."""

    def paused(self, run: Mapping[str, Any]) -> bytes:
        """Returns the last frame of a run that waits, and is stored; `run`: as the Runs API has it."""

    def error(self, error: HttpError) -> bytes:
        """Returns the last frames of any other run."""


class Messages:
    """`POST /`: the SDK's messages as `event: chunk`, the workflow's own at the end as `event: message`, and `result` or `error` last."""

    def __init__(self, run: Run, workflow: str) -> None:
        self._run, self._workflow = run, workflow

    def begin(self) -> bytes:
        return b""

    def chunk(self, chunk: Mapping[str, Any]) -> bytes:
        message = {name: value for name, value in chunk.items() if name != ITERATION}
        return _frame("chunk", json_text({**message, "wf_run_id": self._run.id}))

    def result(self, output: str) -> bytes:
        return self._last(output) + _frame("result", output)

    def paused(self, run: Mapping[str, Any]) -> bytes:
        return _frame("paused", json_text(run))

    def error(self, error: HttpError) -> bytes:
        return self._last(json_text({"error": error.message})) + _frame("error", error.body)

    def _last(self, data: str) -> bytes:
        """Returns the workflow's message; `data` is JSON."""
        source = {"id": self._workflow, "name": None, "group": None, "type": "dynamiq.workflows.Workflow"}
        of_run = {"run_id": self._run.id, "wf_run_id": self._run.id, "entity_id": self._workflow, "event": STREAMING, "source": source}
        return _frame("message", f'{json_text(of_run)[:-1]},"data":{data}}}')


class ChunkEvents:
    """Converts the chunks of one run to run events."""

    def __init__(self) -> None:
        self._thought: set[tuple[Any, Any]] = set()
        """Agents and iterations whose thoughts were streamed in pieces: the SDK repeats them as a whole."""

    def of(self, chunk: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """Returns type and data of the event of a chunk; None for a repetition."""
        kind, data = self._of_agent(chunk) or (NODE_DELTA, _of_node(chunk))
        return (kind, data) if data else None

    def _of_agent(self, chunk: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """Returns type and data of an agent's event; None for all others. Empty data is a repetition."""
        if (chunk.get("source") or {}).get("group") != AGENTS or (delta := _delta(chunk.get("data"))) is None:
            return None
        step, content = delta.get("step"), delta.get("content")
        node = chunk["source"]
        if step == "answer":
            return ANSWER_DELTA, {"object": "agent.response", "delta": content, "node": node}
        if step == "reasoning" and isinstance(content, Mapping):
            return "agent.reasoning.delta", self._thought_of(chunk, content)
        if step == "tool" and isinstance(content, Mapping):
            return "agent.tool_call.completed", {**_tool_call(content), "node": node}
        return None

    def _thought_of(self, chunk: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
        iteration = content.get("loop_num", chunk.get(ITERATION))
        of = chunk.get("entity_id"), iteration
        if "action" not in content:
            self._thought.add(of)
        elif of in self._thought or not content.get("thought"):
            return {}
        return {"object": "agent.reasoning", "delta": content.get("thought"), "iteration": iteration, "node": chunk["source"]}


class RunEvents:
    """`POST /v1/runs`: `id`, `type`, `sequence` from 1, `timestamp` and `data`; the event's name is its type."""

    def __init__(self, run: Run) -> None:
        self._run, self._sequence, self._chunks = run, 0, ChunkEvents()

    def begin(self) -> bytes:
        return self._event("run.started", json_text(self._of_run(STARTED)))

    def chunk(self, chunk: Mapping[str, Any]) -> bytes:
        event = self._chunks.of(chunk)
        return self._event(event[0], json_text(event[1])) if event is not None else b""

    def result(self, output: str) -> bytes:
        of_run = self._of_run(STATUSES["succeeded"], "succeeded")
        return self._event("run.completed", f'{json_text(of_run)[:-1]},"output":{output}}}')

    def paused(self, run: Mapping[str, Any]) -> bytes:
        return self._event("run.paused", json_text({**self._of_run("paused"), "input_requests": run["input_requests"]}))

    def error(self, error: HttpError) -> bytes:
        status = STATUSES[self._run.outcome]
        return self._event(f"run.{status}", json_text({**self._of_run(status, self._run.outcome), "error": error.content}))

    def _of_run(self, status: str, reason: str | None = None) -> dict[str, Any]:
        return {"id": self._run.id, "object": "run", "status": status, **({"reason": reason} if reason else {})}

    def _event(self, kind: str, data: str) -> bytes:
        """Returns one event; `data` is JSON."""
        self._sequence += 1
        head = {"id": str(uuid.uuid4()), "type": kind, "sequence": self._sequence, "timestamp": now()}
        return _frame(kind, f'{json_text(head)[:-1]},"data":{data}}}')


def _delta(data: Any) -> Mapping[str, Any] | None:
    """Returns `choices[0].delta` of a chunk; None if it has none."""
    try:
        delta = data["choices"][0]["delta"]
    except (KeyError, IndexError, TypeError):
        return None
    return delta if isinstance(delta, Mapping) else None


def _tool_call(content: Mapping[str, Any]) -> dict[str, Any]:
    tool, result = content.get("tool"), content.get("result")
    tool = tool if isinstance(tool, Mapping) else {}
    return {
        "id": content.get("tool_run_id"),
        "object": "agent.tool_call",
        "input": content.get("input"),
        "result": result if isinstance(result, str) else json_text(result),
        "iteration": content.get("loop_num"),
        "tool": {"name": tool.get("name", content.get("name")), "type": tool.get("type")},
        "status": content.get("status"),
    }


def _of_node(chunk: Mapping[str, Any]) -> dict[str, Any]:
    return {"object": "node.output", "delta": chunk.get("data"), "node": chunk.get("source")}


def json_text(value: Any) -> str:
    """Serializes to JSON. A number that JSON lacks is null, and any other object its text."""
    try:
        return json.dumps(value, separators=(",", ":"), default=str, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(value, default=str), parse_constant=lambda _: None), separators=(",", ":"))


def _frame(name: str, data: str) -> bytes:
    """Encodes one event; `data` is JSON without line breaks."""
    return f"event: {name}\ndata: {data}\n\n".encode()


def event_frame(event: Mapping[str, Any]) -> bytes:
    """Returns a whole event as it is written."""
    return _frame(str(event["type"]), json_text(event))
