"""Serves models behind OpenAI's API, as far as the SDK's OpenAI node needs it, on a loopback port: they repeat the question, word by word.

With tools, as an agent has them, a model calls the first one that has arguments in `calls`, and then answers with its result.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.scripted import HttpServer, Reply, Sent

NAME = "gpt-4o-mini"
PROMPT_TOKENS, COMPLETION_TOKENS = 1000, 500
PROMPT_PRICE, COMPLETION_PRICE = 0.15e-6, 0.6e-6
"""US dollars a token, of that model's public price list, which the SDK contains."""
USAGE = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": COMPLETION_TOKENS, "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS}
KEY = "sk-s3cr3t-value"


FINAL = "provide_final_answer"  # the function by which a model answers the SDK's agents


class Model:
    """A server of models. `go`: a stream stops after its first word until it is set.

    - `calls`: arguments by the tool's name.
    - `usages`: a model's usage, by its name, if it is not USAGE.
    - `busy`: the number of the next calls of a model, by its name, that are refused with 500.
    - `asked`: the number of answers, by the model's name.
    - `recites`: models whose answer is all that users asked, of the whole conversation.
    """

    def __init__(self) -> None:
        self.url = ""
        self.calls: dict[str, dict[str, Any]] = {}
        self.usages: dict[str, dict[str, Any]] = {}
        self.busy: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.recites: set[str] = set()
        self.lock = threading.Lock()
        self.go = threading.Event()
        self.go.set()

    def answer(self, sent: Sent) -> Reply:
        """Answers a known call of the API."""
        headers = {name.lower(): value for name, value in sent.headers.items()}
        if sent.path != "/chat/completions" or headers.get("authorization") != f"Bearer {KEY}":
            return Reply(404)
        body = sent.body
        with self.lock:
            if self.busy[body["model"]] > 0:
                self.busy[body["model"]] -= 1
                return Reply(500, {"error": {"message": "busy"}})
            self.asked[body["model"]] += 1
        choice = _choice(body, self.calls, recites=body["model"] in self.recites)
        if body.get("stream"):
            return Reply(headers={"Content-Type": "text/event-stream"}, stream=self._events(choice["message"], choice["finish_reason"]))
        return Reply(body=_completion([choice]) | {"model": body["model"], "usage": self.usages.get(body["model"], USAGE)})

    def _events(self, message: dict[str, Any], reason: str) -> Iterator[bytes]:
        for delta in _deltas(message):
            yield _event(_completion([{"index": 0, "delta": {"role": "assistant", **delta}}]))
            self.go.wait(300)
        yield _event(_completion([{"index": 0, "delta": {}, "finish_reason": reason}]))
        yield _event(_completion([]) | {"usage": USAGE})
        yield b"data: [DONE]\n"


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the pieces of a streamed message: words of its content, and of the arguments of its calls."""
    for each in (message["content"] or "").split():
        yield {"content": each + " "}
    for index, call in enumerate(message.get("tool_calls", ())):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        yield {"tool_calls": [{"index": index, "id": call["id"], "type": "function", "function": {"name": name, "arguments": ""}}]}
        for each in re.findall(r"\S+\s*", arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": each}}]}


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data | {"object": "chat.completion.chunk"}).encode() + b"\n"


@contextmanager
def serving() -> Iterator[Model]:
    """Runs the server while the block runs."""
    model = Model()
    with HttpServer(model.answer) as server:
        model.url = server.url
        try:
            yield model
        finally:
            model.go.set()


def _choice(body: dict[str, Any], calls: dict[str, dict[str, Any]], *, recites: bool) -> dict[str, Any]:
    """Returns a model's answer, or its call of a tool."""
    asked = [str(message["content"]) for message in body["messages"] if message["role"] == "user"]
    content = " and ".join(asked) if recites else str(body["messages"][-1]["content"])
    if "tools" not in body:
        return {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    offered = [tool["function"]["name"] for tool in body["tools"]]
    has_result = any(message["role"] == "tool" for message in body["messages"])
    name = FINAL if has_result else next((name for name in offered if name in calls), FINAL)
    arguments = {"thought": "…", **({"answer": content} if name == FINAL else calls[name])}
    call = {"id": "call", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    return {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}


def _completion(choices: list[Any]) -> dict[str, Any]:
    return {"id": "1", "object": "chat.completion", "created": 1, "model": NAME, "choices": choices}


def a_flow(*, streaming: bool) -> str:
    """Returns the flow input → the model, with {question} → output {answer}; its address and its key are variables."""
    nodes = {
        "input": {"type": "dynamiq.nodes.utils.Input"},
        "model": {
            "type": "dynamiq.nodes.llms.OpenAI",
            "name": "the model",
            "model": NAME,
            "connection": "openai",
            "prompt": {"messages": [{"role": "user", "content": "{{question}}"}]},
            "streaming": {"enabled": streaming, "include_usage": True},
            "depends": [{"node": "input"}],
            "input_transformer": {"selector": {"question": "$.input.output.question"}},
        },
        "output": {
            "type": "dynamiq.nodes.utils.Output",
            "depends": [{"node": "model"}],
            "input_transformer": {"selector": {"answer": "$.model.output.content"}},
        },
    }
    connection = {"type": "dynamiq.connections.OpenAI", "url": "${oc.env:MODEL_URL}", "api_key": "${oc.env:MODEL_KEY}"}
    flows, workflows = {"f": {"nodes": list(nodes)}}, {"w": {"flow": "f"}}
    return json.dumps({"connections": {"openai": connection}, "nodes": nodes, "flows": flows, "workflows": workflows})
