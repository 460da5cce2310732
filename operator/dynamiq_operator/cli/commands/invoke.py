"""`invoke`: calls an App with JSON and prints its response.

It calls through a port-forward of kubectl, or with `--by-hostname` through the App's hostname.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import output, parsing
from dynamiq_operator.cli.connection import GUARD_SCRIPT, kubectl
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe
from dynamiq_operator.kube import errors
from dynamiq_operator.model import names
from dynamiq_operator.views.sleep import is_asleep

if TYPE_CHECKING:
    from dynamiq_operator.model.objects import App

KEY = "DYNAMIQ_ACCESS_KEY"
"""A variable with an Access Key, for callers who may not read the App's Secret."""
THIS_MACHINE = ".localhost"
"""Suffix of names that mean this machine. Browsers resolve them; not every resolver does."""
_FORWARDING = re.compile(r"^Forwarding from 127\.0\.0\.1:(\d+) ", re.MULTILINE)
CALL_SECONDS = 300.0


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "It uses a port-forward of kubectl, and the Access Key `default`, or else the first, of the App's Secret. If you may not"
        " read that, put a key into the variable DYNAMIQ_ACCESS_KEY.",
        (
            """support '{"question": "Where is my invoice?"}'""",
            "support - --timeout 10m",
            "support '{}' --by-hostname --key ci",
            "support '{}' -o jsonpath='{.answer}'",
        ),
        "exit codes: 0 it answered, 1 it answered with an error, or could not be called, 2 wrong usage, 130 interrupted",
    )
    parsing.app(command)
    command.add_argument("input", metavar="INPUT", help="the input, a JSON object; - reads it from standard input")
    command.add_argument("--key", metavar="NAME", help="Access Key to call with, by its name")
    command.add_argument("--by-hostname", action="store_true", help="call the App by its hostname, in place of a port-forward")
    command.add_argument(
        "--timeout", type=parsing.duration, default=CALL_SECONDS, metavar="TIME", help="how long to wait for the answer (default: 5m)"
    )
    parsing.output(command)


def run(context: CommandContext) -> int:
    options = context.options
    payload = _input(options.input)
    app = context.find_app()
    headers = {"Content-Type": "application/json", **_key(context, app)}
    with _address(context, app) as address:
        status, answer = _call(address, json.dumps({"input": payload}).encode(), headers, options.timeout)
    _show(context, answer)
    if status >= 400:
        context.err.lines([f"error: {safe(app.meta.name)} answered {status}"])
        return 1
    return 0


def _input(text: str) -> dict[str, Any]:
    """Parses the input, a JSON object; `-` reads standard input. Raises Refusal."""
    try:
        parsed = json.loads(sys.stdin.read() if text == "-" else text)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"the input must be a JSON object: {error}") from None
    if not isinstance(parsed, dict):
        raise Refusal('the input must be a JSON object, such as \'{"question": "Hello?"}\'')
    return parsed


def _key(context: CommandContext, app: App) -> dict[str, str]:
    """Returns the header with an Access Key; empty for a public App. Raises Refusal."""
    from dynamiq_operator.actions.access_keys import key_of
    from dynamiq_operator.actions.reads import app_as_served

    if not app_as_served(context.api, app).spec.is_private:
        return {}
    key = os.environ.get(KEY, "").strip()
    if not key or context.options.key is not None:
        try:
            key = key_of(context.api, context.namespace, app.meta.name, context.options.key, app.meta.uid)
        except errors.Forbidden:
            raise Refusal(f"you may not read the Access Keys of {app.meta.name}: put one into the variable {KEY}") from None
    if not key.isascii() or not key.isprintable():
        raise Refusal("name another key with --key: this one has letters that a header cannot have")
    return {"Authorization": f"Bearer {key}"}


@contextlib.contextmanager
def _address(context: CommandContext, app: App) -> Iterator[str]:
    """Yields the URL at which the App is called. Raises Refusal if there is none."""
    from dynamiq_operator.desired import exposure

    if not context.options.by_hostname:
        if app.status.live is None:
            raise Refusal(
                f"nothing of {app.meta.name} is live in namespace {context.namespace}: see {context.hint(f'history {app.meta.name}')}"
            )
        # The status may lag behind a wake-up, so the pods are checked as well.
        if is_asleep(app.status.as_json()) and _has_no_pod(context, app):
            raise Refusal(f"{app.meta.name} is asleep, and a port-forward does not wake it: add --by-hostname")
        with _forwarded(context, app) as port:
            yield f"http://127.0.0.1:{port}/"
        return
    if (url := exposure.address(app)) is None:
        raise Refusal(f"{app.meta.name} has no hostname: leave out --by-hostname")
    yield f"{url}/"


def _has_no_pod(context: CommandContext, app: App) -> bool:
    """Returns True if no pod of the App is planned: kubectl would wait a minute for one."""
    from dynamiq_operator.actions.running import workloads_of

    workloads = workloads_of(context.api, context.namespace, app.meta.name, app.meta.uid)
    pods = workloads.pods_of(None) if workloads is not None else None
    return pods is not None and pods.wanted == 0


@contextlib.contextmanager
def _forwarded(context: CommandContext, app: App) -> Iterator[int]:
    """Yields a local port that leads to the App while the block lasts. Raises Refusal with kubectl's message."""
    # The API server's service proxy is no alternative: it consumes the header in which an Access Key is sent.
    command = [kubectl(), "port-forward", *context.command_line.kubectl, f"--namespace={context.namespace}"]
    command += [f"service/{names.service(app.meta.name)}", ":80", "--address=127.0.0.1"]
    guarded = ["/bin/sh", "-c", GUARD_SCRIPT, "sh", "", os.devnull, *command]  # it ends with the plugin, however that ends
    process = subprocess.Popen(guarded, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - for the type checker
        with context.api.patience:
            line = process.stdout.readline()
        if (match := _FORWARDING.match(line)) is None:
            process.terminate()
            last = process.stderr.read().strip().splitlines()[-1:]
            raise Refusal(f"{app.meta.name} cannot be reached: {(last or [line.strip() or 'kubectl port-forward ended'])[0]}")
        yield int(match.group(1))
    finally:
        process.terminate()
        process.wait()


def _call(address: str, body: bytes, headers: dict[str, str], timeout: float) -> tuple[int, bytes]:
    """Sends the call; returns the status and the body of the response. Raises Refusal if there is none."""
    parts = urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    host = parts.hostname or ""
    if parts.scheme == "http" and host.endswith(THIS_MACHINE):
        host, headers = THIS_MACHINE[1:], {**headers, "Host": parts.netloc}
    connection = kind(host, parts.port, timeout=timeout)
    try:
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except TimeoutError:
        raise Refusal(f"no answer within {timeout:g} s: give more with --timeout") from None
    except (http.client.HTTPException, OSError) as error:
        raise Refusal(f"{address} cannot be called: {error or type(error).__name__}") from None
    finally:
        connection.close()


def _show(context: CommandContext, answer: bytes) -> None:
    """Prints the response: JSON as ASCII, other text escaped."""
    # Escaped, so that no response steers the terminal.
    try:
        data = json.loads(answer)
    except (ValueError, RecursionError):
        context.out.lines([safe(answer.decode(errors="replace").rstrip(), keep="\n\t")])
        return
    how = context.options.output
    context.out.lines([output.formatted(data, how) if how is not None else output.as_json(data, compact=not context.out.is_terminal)])
