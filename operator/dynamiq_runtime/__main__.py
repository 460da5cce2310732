"""`python -m dynamiq_runtime`: the command line. Starts a server or calls one, and reports a fatal error in one line."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dynamiq_runtime import __version__

if TYPE_CHECKING:
    import argparse

NOT_SERVABLE = 2
FAILED = 1
TERMINATION_LIMIT = 4096  # bytes the kubelet keeps
FLOW_LIMIT = 1 << 20

DESCRIPTION = """Serves one Dynamiq workflow over HTTP, with the engine "tiny" (Input, Python and Output nodes) or "sdk" (every node of
Dynamiq's SDK), or calls such a server."""

SERVE = """\
Configuration comes from the environment:
  DYNAMIQ_ENGINE            tiny or sdk                                         tiny
  DYNAMIQ_FLOW              file with the flow, YAML or JSON                    /etc/dynamiq/flow/flow
  DYNAMIQ_FLOW_HASH         sha256:<hex> of its bytes; another is refused       unset: any
  DYNAMIQ_ACCESS_KEYS_DIR   folder, one Access Key a file, read at each change  unset: a public App
  DYNAMIQ_APP, DYNAMIQ_APP_ID, DYNAMIQ_WORKFLOW_VERSION   what is served: for answers, metrics, logs and traces
  DYNAMIQ_POD_ANNOTATIONS   file of the pod's annotations, as the downward API  unset: never on standby
                            writes it: dynamiq.getdynamiq.ai/standby="true"
                            makes each answer close its connection
  DYNAMIQ_ORIGINS           origins of pages that may call it from a browser,   unset: none of another host
                            with spaces between; * for every one
  PORT                      8080 (0: any free one; the log says which)
  DYNAMIQ_METRICS_PORT      9090 (0: any free one; another than PORT): of /metrics and /activity, for the cluster alone
  DYNAMIQ_DRAIN_SECONDS     how long runs may still take after SIGTERM          30
  DYNAMIQ_RUN_TIMEOUT       seconds before a run is given up                    300
  DYNAMIQ_MAX_CONCURRENT_RUNS   runs at the same time                           32
  DYNAMIQ_MAX_QUEUED_RUNS   runs that wait for one of these; others get 429     ten for each of these
  DYNAMIQ_BODY_LIMIT        bytes of a request's body                           2097152
  OTEL_EXPORTER_OTLP_ENDPOINT   where traces go, OTLP over HTTP                 unset: none
  DYNAMIQ_RECORDER          where runs are recorded, a URL                      unset: nowhere
  DYNAMIQ_RECORDER_TOKEN    file with the token for it, read for each request   unset: none is sent
  DYNAMIQ_RECORDER_CA       file of its authorities, PEM, for https             unset: the system's
  DYNAMIQ_PINS              what the pod was made for: goes into each record
  DYNAMIQ_RUNS              {"content": true, "redact": {"fields": [...],       unset: no input, output or error text
                            "patterns": [...]}}: inputs, outputs and errors     leaves the pod
                            are recorded too, without these
  TERMINATION_LOG           where the reason of a failed start goes as well     /dev/termination-log

It answers POST / {"input": {...}} with the workflow's output and POST /v1/runs with the run around it; with "stream": true, or
the header Accept: text/event-stream, as events. Both take files, too, as multipart/form-data. POST /v1/traces goes on to the
recorder. GET /healthz and /readyz need no key. On the other port GET /metrics answers for Prometheus and GET /activity with JSON: how long the pod has been ready and idle, what is in flight, and how its runs ended.

Exit codes: 0 after a drain; 2 when this flow or configuration can't be served (one line says why); 1 for anything else.

Try it:
  echo '{"nodes": [{"id": "in", "type": "dynamiq.nodes.utils.Input"}, {"id": "out", "type": "dynamiq.nodes.utils.Output",
    "depends": [{"node": "in"}]}]}' > flow.json
  DYNAMIQ_FLOW=flow.json python -m dynamiq_runtime serve
  curl -H 'Content-Type: application/json' -d '{"input": {"n": 2}}' localhost:8080/"""

CALL = """\
Prints one line for each answer: time, status, body. With --every it sends at that pace, each call on a connection of its own
unless --keep-alive says otherwise, and ends with a summary as one JSON line: sent, left_out (where this process had no CPU for its
pace), ok, failed, by_status, by_output, errors (the first 5), latency_ms. SIGTERM ends it early, with the summary. Exit code 0 when
every answer was 2xx, else 1.

  python -m dynamiq_runtime call http://hello.demo/ --key-file key --input '{"n": 2}'
  python -m dynamiq_runtime call http://hello.demo/ --key-file key --input '{"n": 2}' --every 0.005 --for 30 --quiet"""


TRIGGER = """\
What the operator's CronJobs and Jobs run. The input is JSON in DYNAMIQ_TRIGGER_INPUT_1, _2, … (one text in pieces), and is made into
the run's by DYNAMIQ_TRIGGER_TRANSFORMER_1, …: {"path": …, "selector": {…}}. The run is known by the name in DYNAMIQ_TRIGGER. How it went is printed and left in TERMINATION_LOG, without
the answer. It tries again while it gets no connection, and never once it had one. Exit code 0 when the answer was 2xx, else 1."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns the exit code."""
    command_line = sys.argv[1:] if arguments is None else arguments
    if command_line == ["serve"]:
        return _serve()  # a caller may wait for this pod's start, so it loads no parser
    options = parser().parse_args(command_line)
    if options.command == "call":
        from dynamiq_runtime.call import run_calls  # each command loads only what it needs: a pod's start is waited for

        return asyncio.run(run_calls(options))
    if options.command == "trigger":
        from dynamiq_runtime.trigger import run_trigger

        result = run_trigger(options, os.environ)
        print(result.message, flush=True)
        _write_termination_message(result.as_json())
        return 0 if result.ok else FAILED
    return _serve()


def _serve() -> int:
    # As process 1 it would ignore a SIGTERM that arrives before the server's own handler is installed.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    gc.disable()  # imports leave no garbage, and collecting takes a fifteenth of the start
    from dynamiq_runtime.engine_choice import EngineError, load_engine, require_engine
    from dynamiq_runtime.keys import AccessKeys, KeysError
    from dynamiq_runtime.logs import take_over
    from dynamiq_runtime.ports import PortError
    from dynamiq_runtime.serving import serve
    from dynamiq_runtime.settings import SettingsError, from_environment
    from dynamiq_runtime.text import FlowError

    gc.freeze()
    gc.enable()
    take_over()
    try:
        settings = from_environment(os.environ)
        require_engine(settings.engine)
        text = _read_flow(settings.flow, settings.flow_hash)
        keys = None if settings.access_keys is None else AccessKeys(settings.access_keys)
        asyncio.run(serve(settings, lambda: load_engine(settings.engine, text, os.environ), keys))
    except (SettingsError, EngineError, FlowError, KeysError) as error:
        return _refuse(str(error), NOT_SERVABLE)
    except PortError as error:
        return _refuse(str(error), FAILED)
    sys.stdout.flush()
    os._exit(0)  # otherwise the exit would wait for threads of runs that were cut off


def _read_flow(path: Path, expected: str | None) -> str:
    """Returns the flow's text if it has the expected hash. Raises FlowError."""
    from dynamiq_runtime.text import FlowError

    try:
        with path.open("rb") as file:
            content = file.read(FLOW_LIMIT + 1)
        text = content.decode()
    except OSError as error:
        raise FlowError(f"the flow can't be read from {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise FlowError(f"the flow in {path} is not UTF-8") from None
    if expected is not None and len(content) <= FLOW_LIMIT and (actual := f"sha256:{hashlib.sha256(content).hexdigest()}") != expected:
        raise FlowError(f"the flow in {path} is another than was deployed: its hash is {actual}, and DYNAMIQ_FLOW_HASH is {expected}")
    return text


def _refuse(message: str, code: int) -> int:
    line = "dynamiq-runtime: " + " ".join(message.split())
    print(line, file=sys.stderr, flush=True)
    _write_termination_message(line)
    return code


def _write_termination_message(line: str) -> None:
    try:
        descriptor = os.open(os.environ.get("TERMINATION_LOG", "/dev/termination-log"), os.O_WRONLY | os.O_TRUNC)
    except OSError:
        return  # not in a pod
    with os.fdopen(descriptor, "wb") as file:
        file.write(line.encode("utf-8", "replace")[:TERMINATION_LIMIT])


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line, with its help."""
    import argparse

    made = argparse.ArgumentParser(prog="python -m dynamiq_runtime", description=DESCRIPTION)
    made.add_argument("--version", action="version", version=__version__)
    raw = argparse.RawDescriptionHelpFormatter
    commands = made.add_subparsers(dest="command", required=True, metavar="serve | call | trigger")
    commands.add_parser("serve", help="serve a flow over HTTP", epilog=SERVE, formatter_class=raw)
    call = commands.add_parser("call", help="call an App, once or at a steady pace", epilog=CALL, formatter_class=raw)
    call.add_argument("url", help="where the App answers, e.g. http://hello.demo/")
    call.add_argument("--key-file", type=Path, help="file with the Access Key, read anew for each call")
    call.add_argument("--input", default="{}", help="the run's input, a JSON object (default {})")
    call.add_argument("--host", help="the Host header, to call through an ingress by its address")
    call.add_argument("--every", type=float, metavar="S", help="seconds from one call to the next")
    call.add_argument("--for", dest="duration", type=float, metavar="S", help="seconds to go on (default: until SIGTERM)")
    call.add_argument("--keep-alive", type=int, default=0, metavar="N", help="keep N connections and share them (default: a new one each)")
    call.add_argument("--timed", action="store_true", help="lines with two times, sent and answered, in Unix seconds")
    call.add_argument("--timeout", type=float, default=30, metavar="S", help="seconds before a call has failed (default 30)")
    call.add_argument("--quiet", action="store_true", help="only the summary")
    trigger = commands.add_parser("trigger", help="call an App once, for one of its triggers", epilog=TRIGGER, formatter_class=raw)
    trigger.add_argument("url", help="where the App answers, e.g. http://hello.demo.svc/")
    trigger.add_argument("--keys", type=Path, help="folder of Access Keys: default, or else the first by name, is sent")
    trigger.add_argument("--not-after", metavar="TIME", help="RFC 3339: do not call after this time")
    trigger.add_argument("--connect-for", type=float, default=120, metavar="S", help="seconds to try to get a connection (default 120)")
    trigger.add_argument("--timeout", type=float, default=600, metavar="S", help="seconds to wait for the answer (default 600)")
    return made


if __name__ == "__main__":
    sys.exit(main())
