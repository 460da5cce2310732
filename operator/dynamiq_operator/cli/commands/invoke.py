"""`invoke`: calls an App with JSON, and files, and prints its response, with `--stream` as it comes.

It calls through a port-forward of kubectl, or with `--by-hostname` through the App's hostname.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import app_calls, output, parsing
from dynamiq_operator.cli.connection import GUARD_SCRIPT, kubectl
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe
from dynamiq_operator.kube import errors
from dynamiq_operator.model import names
from dynamiq_operator.views.sleep import is_asleep

if TYPE_CHECKING:
    from dynamiq_operator.cli.app_calls import Answer
    from dynamiq_operator.model.objects import App

KEY = "DYNAMIQ_ACCESS_KEY"
"""A variable with an Access Key, for callers who may not read the App's Secret."""
_FORWARDING = re.compile(r"^Forwarding from 127\.0\.0\.1:(\d+) ", re.MULTILINE)
CALL_SECONDS = 300.0
LINES = ("json", "jsonl")
"""Formats of events, for `-o`: each is one line of JSON."""
NO_FORMS = 415
ID_MOST = 256
"""Characters of an id that a runtime takes."""


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "It uses a port-forward of kubectl, and the Access Key `default`, or else the first, of the App's Secret. If you may not"
        " read that, put a key into the variable DYNAMIQ_ACCESS_KEY.",
        (
            """support '{"question": "Where is my invoice?"}'""",
            "support - --timeout 10m",
            "support '{}' --by-hostname --key ci",
            """support '{"question": "And the other one?"}' --session s-81 --user-id ada --stream""",
            """support '{"question": "What is in them?"}' --file invoice.pdf --file terms.txt""",
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
    command.add_argument("--session", type=_id, metavar="SESSION", help="the session of the call, by which an agent remembers")
    command.add_argument("--user-id", type=_id, metavar="USER", help="the user for whom you call")
    command.add_argument(
        "--file", action="append", default=[], metavar="PATH", help="a file to send along; may be repeated, at most 8 MiB in all"
    )
    command.add_argument("--stream", action="store_true", help="print the answer as it comes; with -o jsonl each event of the run")
    parsing.output(command, "jsonl")
    command.check = _wrong


def _id(text: str) -> str:
    if not 1 <= len(text) <= ID_MOST or not text.isprintable():
        raise argparse.ArgumentTypeError(f"must have 1 to {ID_MOST} printable characters")
    return text


def _wrong(options: argparse.Namespace) -> str:
    if options.output == "jsonl" and not options.stream:
        return "-o jsonl needs --stream"
    if options.stream and options.output not in (None, *LINES):
        return "--stream takes -o jsonl: an event is a line"
    return ""


def run(context: CommandContext) -> int:
    options = context.options
    fields: dict[str, Any] = {"input": _input(options.input)}
    ids = {"session_id": options.session, "user_id": options.user_id, "stream": options.stream or None}
    fields |= {name: value for name, value in ids.items() if value is not None}
    media_type, body = app_calls.encode(fields, options.file)
    app = context.find_app()
    headers = {"Content-Type": media_type, **_key(context, app)}
    with _address(context, app) as address:
        call = app_calls.Call(address, "/v1/runs" if options.stream else "/", headers, body, options.timeout)
        with app_calls.sent(call) as answer:
            if answer.is_events:
                return _follow(context, answer, app.meta.name)
            status, content = answer.status, answer.read()
    _show(context, content)
    if status >= 400:
        context.err.lines([f"error: {safe(app.meta.name)} answered {status}{_hint(status, options.file)}"])
        return 1
    return 0


def _hint(status: int, files: list[str]) -> str:
    return ": its runtime is from before files, deploy it on a newer one" if files and status == NO_FORMS else ""


def _follow(context: CommandContext, answer: Answer, name: str) -> int:
    """Prints events as they come; returns the exit code. Raises Refusal if they end before the run does."""
    printed, last = _print_events(context, answer)
    if last is None:
        raise Refusal(f"{name} broke off its answer before the run had ended")
    if last["type"] in app_calls.BAD:
        context.err.lines([f"error: {safe(name)}: {safe(app_calls.error_of(last))}"])
        return 1
    if not printed:
        _show_data(context, app_calls.output_of(last))
    return 0


def _print_events(context: CommandContext, answer: Answer) -> tuple[bool, Mapping[str, Any] | None]:
    """Prints the text of events, or each as a line; returns whether there was any, and the last event of the run."""
    as_lines, has_text = context.options.output is not None, False
    try:
        for event in answer.events():
            if as_lines:
                context.out.lines([output.as_json(event, compact=True)])
            elif text := app_calls.text_of(event):
                context.out.write(safe(text, keep="\n\t"))
                has_text = True
            if event["type"] in (*app_calls.GOOD, *app_calls.BAD):
                return as_lines or has_text, event
    finally:
        if has_text:
            context.out.lines([""])
    return as_lines or has_text, None


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
            yield f"http://127.0.0.1:{port}"
        return
    if (url := exposure.address(app)) is None:
        raise Refusal(f"{app.meta.name} has no hostname: leave out --by-hostname")
    yield url


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


def _show(context: CommandContext, answer: bytes) -> None:
    """Prints the response: JSON as ASCII, other text escaped."""
    # Escaped, so that no response steers the terminal.
    try:
        data = json.loads(answer)
    except (ValueError, RecursionError):
        context.out.lines([safe(answer.decode(errors="replace").rstrip(), keep="\n\t")])
        return
    _show_data(context, data)


def _show_data(context: CommandContext, data: Any) -> None:
    how = context.options.output
    context.out.lines([output.formatted(data, how) if how is not None else output.as_json(data, compact=not context.out.is_terminal)])
