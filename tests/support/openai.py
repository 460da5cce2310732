"""Models behind OpenAI's API, as far as the SDK's OpenAI node asks for it, on a loopback port: they say the question back, word by word.

Offered tools, as an agent does, a model calls the first that `calls` has arguments for, and then answers with what that said.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.scripted import HttpServer, Reply, Sent

NAME = "gpt-4o-mini"
PROMPT_TOKENS, COMPLETION_TOKENS = 1000, 500
PROMPT_PRICE, COMPLETION_PRICE = 0.15e-6, 0.6e-6
"""US dollars a token, of that model's public price list, which the SDK carries."""
USAGE = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": COMPLETION_TOKENS, "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS}
KEY = "sk-s3cr3t-value"


FINAL = "provide_final_answer"  # the function by which the SDK's agents have a model answer


class Model:
    """Where it is, and `go`: a stream stops after its first word until that is set.

    `calls`: arguments by the tool's name. `usages`: what a model says it used, by the model's name, where that is not USAGE.
    `busy`: how many of the next calls of a model, by its name, are refused with 500. `asked`: what was answered, by the model's name.
    """

    def __init__(self) -> None:
        self.url = ""
        self.calls: dict[str, dict[str, Any]] = {}
        self.usages: dict[str, dict[str, Any]] = {}
        self.busy: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.go = threading.Event()
        self.go.set()

    def answer(self, sent: Sent) -> Reply:
        """To a call of the API, as far as it is known here."""
        headers = {name.lower(): value for name, value in sent.headers.items()}
        if sent.path != "/chat/completions" or headers.get("authorization") != f"Bearer {KEY}":
            return Reply(404)
        asked = sent.body
        with self.lock:
            if self.busy[asked["model"]] > 0:
                self.busy[asked["model"]] -= 1
                return Reply(500, {"error": {"message": "busy"}})
            self.asked[asked["model"]] += 1
        if asked.get("stream"):
            return Reply(headers={"Content-Type": "text/event-stream"}, stream=self._events(asked["messages"][-1]["content"]))
        return Reply(
            body=_completion([_choice(asked, self.calls)]) | {"model": asked["model"], "usage": self.usages.get(asked["model"], USAGE)}
        )

    def _events(self, said: str) -> Iterator[bytes]:
        for word in said.split():
            yield _event(_completion([{"index": 0, "delta": {"role": "assistant", "content": word + " "}}]))
            self.go.wait(300)
        yield _event(_completion([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
        yield _event(_completion([]) | {"usage": USAGE})
        yield b"data: [DONE]\n"


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data | {"object": "chat.completion.chunk"}).encode() + b"\n"


@contextmanager
def serving() -> Iterator[Model]:
    """A model that answers."""
    model = Model()
    with HttpServer(model.answer) as server:
        model.url = server.url
        try:
            yield model
        finally:
            model.go.set()


def _choice(asked: dict[str, Any], calls: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a model says, or the tool that it calls."""
    said = str(asked["messages"][-1]["content"])
    if "tools" not in asked:
        return {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    offered = [tool["function"]["name"] for tool in asked["tools"]]
    told = any(message["role"] == "tool" for message in asked["messages"])
    name = FINAL if told else next((name for name in offered if name in calls), FINAL)
    arguments = {"thought": "…", **({"answer": said} if name == FINAL else calls[name])}
    call = {"id": "call", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    return {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}


def _completion(choices: list[Any]) -> dict[str, Any]:
    return {"id": "1", "object": "chat.completion", "created": 1, "model": NAME, "choices": choices}


def a_flow(*, streaming: bool) -> str:
    """input → the model, asked {question} → output {answer}; where it is and its key are variables."""
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
