"""Runs a trigger: calls the App once, and reports the result in one line.

It retries only while it gets no connection: the App then certainly has not received the request. Once a byte may have been sent it never
retries, so that no run happens twice. Input, answer and key are never shown.

The input comes from the environment, in variables numbered from 1, since each has at most 128 KiB. DYNAMIQ_TRIGGER has the trigger's name.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from dynamiq_runtime import jsonpath

INPUT, TRANSFORMER = "DYNAMIQ_TRIGGER_INPUT_", "DYNAMIQ_TRIGGER_TRANSFORMER_"
NAME, NAME_HEADER = "DYNAMIQ_TRIGGER", "X-Dynamiq-Trigger"
HASH_HEADER, RUN_HEADER = "X-Dynamiq-Workflow-Hash", "X-Dynamiq-Run-Id"
DEFAULT_KEY = "default"
CONNECT_TIMEOUT = 5.0  # seconds for one attempt
ERROR_MAX = 1 << 16
WAITS = 202
"""The status of the answer to a run that waits, and is stored."""
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_CODE = re.compile(r"[a-z_]{1,40}")
_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class NotSentError(Exception):
    """The App was not called; the message gives the reason."""


@dataclass(frozen=True)
class CallResult:
    """The result of the call. `workflow_hash`, `run_id`: of the flow that answered and of its run, if the App names them."""

    ok: bool
    message: str
    workflow_hash: str | None = None
    run_id: str | None = None

    def as_json(self) -> str:
        """Serializes the result to one line: the pod's termination message."""
        fields = {"message": self.message, "workflowHash": self.workflow_hash, "runId": self.run_id}
        return json.dumps({name: value for name, value in fields.items() if value is not None})


def run_trigger(options: argparse.Namespace, environment: Mapping[str, str]) -> CallResult:
    """Calls the App of `options` (the parsed command line). SIGTERM ends it; after the request was sent it still waits for the answer."""
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        body = json.dumps({"input": _input(environment)}).encode()
        url = urlsplit(options.url)
        connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=CONNECT_TIMEOUT)
        connected = _connect(connection, options)
        headers = {"Content-Type": "application/json", **_trigger_header(environment), **(_login(options.keys) if options.keys else {})}
        _not_after(options.not_after)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except NotSentError as error:
        return CallResult(False, f"not sent: {error}")
    connected.settimeout(options.timeout)
    began = time.monotonic()
    try:
        connection.request("POST", url.path or "/", body, headers)
        answer = connection.getresponse()
        return _result(answer, time.monotonic() - began)
    except TimeoutError:
        return CallResult(False, f"the App did not answer within {options.timeout:g} s; it may have run to its end")
    except (OSError, http.client.HTTPException) as error:
        return CallResult(False, f"the connection ended before the answer ({type(error).__name__}); it may have run to its end")
    finally:
        connection.close()


def _on_sigterm(*_: object) -> NoReturn:
    raise NotSentError("its pod was told to end")


def _connect(connection: http.client.HTTPConnection, options: argparse.Namespace) -> Any:
    """Returns the socket once it is connected. Retries: a new App's name may be unknown, or none of its pods ready."""
    until = time.monotonic() + options.connect_for
    while True:
        _not_after(options.not_after)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            if time.monotonic() >= until:
                raise NotSentError(f"no connection within {options.connect_for:g} s: {error.strerror or error}") from None
            time.sleep(min(1.0, max(until - time.monotonic(), 0)))
        else:
            return connection.sock


def _not_after(text: str | None) -> None:
    if text is not None and datetime.now(UTC) > datetime.fromisoformat(text):
        raise NotSentError(f"no run after {text}")


def _login(folder: Path) -> dict[str, str]:
    """Returns the header with the key named `default`, else the first key by name: the owner may have renamed them."""
    try:
        files = sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=_rank)
        keys = [key for path in files if path.is_file() and (key := path.read_text().strip())]
    except (OSError, UnicodeDecodeError) as error:
        raise NotSentError(f"the App's Access Keys can't be read: {type(error).__name__}") from None
    if not keys:
        raise NotSentError("the App is private and its Secret holds no Access Key")
    if not keys[0].isascii() or not keys[0].isprintable():
        raise NotSentError("the App's Access Key has characters that no header can carry")
    return {"Authorization": f"Bearer {keys[0]}"}


def _trigger_header(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the header that names this trigger for the run, if its name is set."""
    name = environment.get(NAME, "")
    return {NAME_HEADER: name} if name and name.isascii() and name.isprintable() else {}


def _rank(path: Path) -> tuple[bool, str]:
    return path.name != DEFAULT_KEY, path.name


def _input(environment: Mapping[str, str]) -> dict[str, Any]:
    try:
        data = json.loads(_joined(environment, INPUT) or "{}")
        transformer = json.loads(_joined(environment, TRANSFORMER) or "{}")
    except (ValueError, RecursionError):
        raise NotSentError("the trigger's input is not JSON") from None
    try:
        path = jsonpath.parse(transformer["path"]) if transformer.get("path") else None
        selector: dict[str, Callable[[Any], Any]] = {
            name: jsonpath.selection(text) for name, text in (transformer.get("selector") or {}).items()
        }
        made = jsonpath.apply(data, path, selector)
    except (jsonpath.PathError, TypeError) as error:
        raise NotSentError(f"inputTransformer: {error}") from None
    if not isinstance(made, dict):
        raise NotSentError(f"a run's input is an object, and the trigger gives {type(made).__name__}")
    return made


def _joined(environment: Mapping[str, str], prefix: str) -> str:
    pieces: list[str] = []
    while piece := environment.get(f"{prefix}{len(pieces) + 1}"):
        pieces.append(piece)
    return "".join(pieces)


def _result(answer: http.client.HTTPResponse, seconds: float) -> CallResult:
    workflow_hash, run_id = _header(answer, HASH_HEADER, _HASH), _header(answer, RUN_HEADER, _RUN)
    ok = 200 <= answer.status < 300
    code = "" if ok else _code(answer.read(ERROR_MAX))
    while ok and answer.read(ERROR_MAX):
        pass  # an answer counts only if it is complete
    if ok and answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    message = f"the App answered {answer.status}{code} after {seconds:.1f} s"
    if answer.status == WAITS and run_id is not None:
        message = f"Waiting: run {run_id} asks a person, or waits for a time, and goes on by itself afterwards"
    return CallResult(ok, message, workflow_hash, run_id)


def _header(answer: http.client.HTTPResponse, name: str, valid: re.Pattern[str]) -> str | None:
    value = answer.headers.get(name, "")
    return value if valid.fullmatch(value) else None


def _code(body: bytes) -> str:
    """Returns the code of an error for the message; its sentence may quote the run's data."""
    try:
        code = json.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f" ({code})" if isinstance(code, str) and _CODE.fullmatch(code) else ""
