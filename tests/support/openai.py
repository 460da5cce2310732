"""Models behind OpenAI's API, as far as the SDK's OpenAI node asks for it, on a loopback port: they say the question back, word by word.

Offered tools, as an agent does, a model calls the first that `calls` has arguments for, and then answers with what that said.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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

    def __init__(self, url: str) -> None:
        self.url = url
        self.calls: dict[str, dict[str, Any]] = {}
        self.usages: dict[str, dict[str, Any]] = {}
        self.busy: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.go = threading.Event()
        self.go.set()


@contextmanager
def serving() -> Iterator[Model]:
    """A model that answers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/chat/completions" or self.headers["Authorization"] != f"Bearer {KEY}":
                self._send(b"{}", "application/json", 404)
                return
            with model.lock:
                if model.busy[asked["model"]] > 0:
                    model.busy[asked["model"]] -= 1
                    self._send(b'{"error": {"message": "busy"}}', "application/json", 500)
                    return
                model.asked[asked["model"]] += 1
            if asked.get("stream"):
                self._stream(asked["messages"][-1]["content"])
            else:
                used = {"model": asked["model"], "usage": model.usages.get(asked["model"], USAGE)}
                self._send(json.dumps(_completion([_choice(asked, model.calls)]) | used).encode(), "application/json")

        def _stream(self, said: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            for word in said.split():
                self._event(_completion([{"index": 0, "delta": {"role": "assistant", "content": word + " "}}]))
                model.go.wait(300)
            self._event(_completion([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
            self._event(_completion([]) | {"usage": USAGE})
            self.wfile.write(b"data: [DONE]\n\n")
            self.close_connection = True

        def _event(self, data: dict[str, Any]) -> None:
            self.wfile.write(b"data: " + json.dumps(data | {"object": "chat.completion.chunk"}).encode() + b"\n\n")
            self.wfile.flush()

        def _send(self, body: bytes, kind: str, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        model = Model(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield model
        finally:
            model.go.set()
            server.shutdown()


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
