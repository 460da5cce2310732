"""Sends one call to an App, as JSON or as a form with files, and reads its answer, whole or as events.

It knows the frames of `POST /v1/runs` with `stream`: run events, and those of a runtime from before them, `chunk`, `result` and `error`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dynamiq_operator.actions.refusals import Refusal

FORM_MOST = 8 << 20
"""Bytes of a form, with all its files, that a runtime takes."""
NO_NAME = re.compile(r'[\x00-\x1f\x7f"\\]')
"""Characters that no runtime takes in the name of a file, or that a form cannot have there."""
THIS_MACHINE = ".localhost"
"""Suffix of names that mean this machine. Browsers resolve them; not every resolver does."""
EVENTS = "text/event-stream"
GOOD, BAD = ("run.completed", "result"), ("run.failed", "run.canceled", "error")
"""Types of the last event of a run, today's and those from before."""


@dataclass(frozen=True)
class Call:
    """One call. `timeout`: seconds for the whole answer if it is events, else for each part of it."""

    address: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    timeout: float


def encode(fields: Mapping[str, Any], files: Sequence[str]) -> tuple[str, bytes]:
    """Returns the media type and the body of a call: JSON, or a form with the files of these paths. Raises Refusal."""
    if not files:
        return "application/json", json.dumps(fields).encode()
    boundary = os.urandom(16).hex()
    parts = [(f'name="{name}"', value.encode() if isinstance(value, str) else json.dumps(value).encode()) for name, value in fields.items()]
    room = FORM_MOST
    for path in files:
        content = _content(path, room)
        room -= len(content)
        parts.append((f'name="files"; filename="{_name(path)}"', content))
    body = b"".join(
        b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (boundary.encode(), head.encode(), content) for head, content in parts
    )
    body += f"--{boundary}--\r\n".encode()
    if len(body) > FORM_MOST:
        raise _too_large()
    return f"multipart/form-data; boundary={boundary}", body


def _name(path: str) -> str:
    """Returns a file's name without its folders. Raises Refusal."""
    name = Path(path).name
    if NO_NAME.search(name):
        raise Refusal(f"an App takes no file of this name: rename {path}")
    return name


def _content(path: str, most: int) -> bytes:
    """Reads a file of at most `most` bytes. Raises Refusal."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror or error}") from None
    if len(content) > most:
        raise _too_large()
    return content


def _too_large() -> Refusal:
    return Refusal(f"an App takes at most {FORM_MOST >> 20} MiB in one call, with all its files: nothing was sent")


class Answer:
    """The answer to a call, whose body is read once: by `read`, or by `events`."""

    def __init__(self, call: Call, connection: http.client.HTTPConnection) -> None:
        self._until, self._call = time.monotonic() + call.timeout, call
        # Whoever refuses a call may close before all of its body was sent: the answer is there all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", call.path, call.body, dict(call.headers))
        self._socket = connection.sock  # http.client drops its own before the body is read
        self._response = connection.getresponse()
        self.status = self._response.status
        self.is_events = (self._response.getheader("Content-Type") or "").partition(";")[0].strip().lower() == EVENTS

    def read(self) -> bytes:
        return self._response.read()

    def events(self) -> Iterator[Mapping[str, Any]]:
        """Yields each event as it arrives, with `type` and `data`; run events have their other fields, too. Raises Refusal."""
        name, data = "", ""
        while line := self._line():
            text = line.decode(errors="replace").rstrip("\r\n")
            field, _, value = text.partition(":")
            if field == "event":
                name = value.strip()
            elif field == "data":
                data += value
            elif not text and data:
                yield _event(name, data)
                name, data = "", ""

    def _line(self) -> bytes:
        # A line comes every 15 s at least, so a limit for each read alone would never end a stream.
        if (left := self._until - time.monotonic()) <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._response.readline()


@contextlib.contextmanager
def sent(call: Call) -> Iterator[Answer]:
    """Sends a call, and yields its answer while the block lasts. Raises Refusal, also in the block if the answer does not come."""
    parts = urlsplit(call.address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    host, headers = parts.hostname or "", dict(call.headers)
    if parts.scheme == "http" and host.endswith(THIS_MACHINE):
        host, headers = THIS_MACHINE[1:], {**headers, "Host": parts.netloc}
    connection = kind(host, parts.port, timeout=call.timeout)
    try:
        yield Answer(Call(call.address, call.path, headers, call.body, call.timeout), connection)
    except TimeoutError:
        raise Refusal(f"no answer within {call.timeout:g} s: give more with --timeout") from None
    except BrokenPipeError:
        raise  # of standard output
    except (http.client.HTTPException, OSError) as error:
        raise Refusal(f"{call.address} cannot be called: {error or type(error).__name__}") from None
    finally:
        connection.close()


def _event(name: str, data: str) -> Mapping[str, Any]:
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError):
        raise Refusal(f"the App sent an event that is not JSON: {name}") from None
    is_run_event = isinstance(parsed, dict) and parsed.get("type") == name and "sequence" in parsed
    return parsed if is_run_event else {"type": name, "data": parsed}


def text_of(event: Mapping[str, Any]) -> str:
    """Returns what an event adds to the answer's text; empty if it adds nothing."""
    data = event.get("data")
    if event["type"] == "agent.response.delta":
        return _text(_at(data, "delta"))
    if event["type"] == "node.output.delta":
        return _text(_choice(_at(data, "delta")))
    if event["type"] == "chunk":
        delta = _choice(_at(data, "data"))
        return _text(delta) if _at(delta, "step") in (None, "answer") else ""
    return ""


def output_of(event: Mapping[str, Any]) -> Any:
    """Returns the output of a run that was good, from its last event."""
    data = event.get("data")
    return _at(data, "output") if event["type"] == "run.completed" else _at(_at(data, "data"), "output")


def error_of(event: Mapping[str, Any]) -> str:
    """Returns the message of a run that was not good, from its last event."""
    message = _at(_at(event.get("data"), "error"), "message")
    return message if isinstance(message, str) else "the run failed"


def _choice(message: Any) -> Any:
    choices = _at(message, "choices")
    return _at(choices[0], "delta") if isinstance(choices, list) and choices else None


def _text(delta: Any) -> str:
    content = _at(delta, "content") if isinstance(delta, dict) else delta
    return content if isinstance(content, str) else ""


def _at(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
