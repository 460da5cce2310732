"""A model behind OpenAI's API, as far as the SDK's OpenAI node asks for it, on a loopback port: it says the question back, word by word."""

from __future__ import annotations

import json
import threading
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


class Model:
    """Where it is, and `go`: a stream stops after its first word until that is set."""

    def __init__(self, url: str) -> None:
        self.url = url
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
            said = asked["messages"][-1]["content"]
            if asked.get("stream"):
                self._stream(said)
            else:
                choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
                self._send(json.dumps(_completion([choice]) | {"usage": USAGE}).encode(), "application/json")

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
