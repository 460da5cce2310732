"""The caller of a trigger: at most one call, retried only while there is no connection. Its last message hides the call's content."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model.digests import flow_hash
from tests.support.background import Caller, asking, pod, waiting_flow
from tests.support.flows import a_flow
from tests.support.journal import JournalStage
from tests.support.ports import free_port
from tests.support.preloaded import ForkedProcess
from tests.support.recorder import recording
from tests.support.runtime import DEADLINE, ECHO, forked, serving
from tests.support.waiting import eventually

HASH = flow_hash(ECHO)


@dataclass(frozen=True)
class Ended:
    """The end of a call. `told`: the pod's termination message."""

    code: int
    printed: str
    told: dict[str, Any]

    @property
    def message(self) -> str:
        return str(self.told["message"])


def started(folder: Path, url: str, *options: str, **variables: str) -> ForkedProcess:
    (folder / "termination-log").touch()
    return forked(folder, "trigger", url, *options, **variables)


def ended(folder: Path, process: ForkedProcess) -> Ended:
    code, printed = process.wait(DEADLINE), (folder / "printed").read_text()
    assert len(printed.splitlines()) == 1, printed
    return Ended(code, printed, json.loads((folder / "termination-log").read_text()))


def triggered(folder: Path, url: str, *options: str, **variables: str) -> Ended:
    return ended(folder, started(folder, url, *options, **variables))


def keys(folder: Path, **contents: str) -> str:
    """Makes a mounted Secret, and returns its path."""
    made = folder / "keys"
    (made / "..data").mkdir(parents=True)
    for name, content in contents.items():
        (made / name).write_text(content)
    return str(made)


def test_a_trigger_calls_the_app_with_its_input_and_names_the_flow(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO, DYNAMIQ_FLOW_HASH=HASH) as served:
        done = triggered(
            tmp_path, f"http://127.0.0.1:{served.port}/", DYNAMIQ_TRIGGER_INPUT_1='{"quest', DYNAMIQ_TRIGGER_INPUT_2='ion": "?"}'
        )
        assert done.code == 0
        assert done.message.startswith("the App answered 200 after ")
        assert done.told["workflowHash"] == HASH
        assert '"succeeded"' in served.log.read_text()
    assert "question" not in done.printed + str(done.told)


@pytest.mark.parametrize(
    ("given", "transformer", "sent"),
    [
        ("", "", {}),
        ('{"a": {"b": 1}}', '{"path": "$.a"}', {"b": 1}),
        ('{"a": [1, 2]}', '{"selector": {"first": "$.a[0]", "said": "as it is"}}', {"first": 1, "said": "as it is"}),
        ('[{"a": "é"}]', '{"path": "$[0]", "selector": {"x": "$.a"}}', {"x": "é"}),
    ],
)
def test_the_input_is_made_as_a_nodes_is(tmp_path: Path, given: str, transformer: str, sent: dict[str, Any]) -> None:
    with listening() as heard:
        done = triggered(tmp_path, heard.url, DYNAMIQ_TRIGGER_INPUT_1=given, DYNAMIQ_TRIGGER_TRANSFORMER_1=transformer)
    assert done.code == 0
    assert heard.bodies == [{"input": sent}]


@pytest.mark.parametrize("name", ["nightly", "", "né\n"])
def test_a_run_is_known_by_its_triggers_name(tmp_path: Path, name: str) -> None:
    with recording() as recorder, serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url) as served:
        (tmp_path / "trigger").mkdir()
        assert triggered(tmp_path / "trigger", f"http://127.0.0.1:{served.port}/", DYNAMIQ_TRIGGER=name).code == 0
        eventually("it is recorded", lambda: len(recorder.runs) == 1, DEADLINE)
    assert recorder.records[0].get("dynamiq.trigger", "") == (name if name.isalnum() and name.isascii() else "")


@pytest.mark.parametrize(
    ("given", "transformer", "why"),
    [
        ("{", "", "the trigger's input is not JSON"),
        ("[1]", "", "a run's input is an object, and the trigger gives list"),
        ("{}", '{"path": "$..a"}', "inputTransformer: the path '$..a' is not supported"),
        ("1", '{"selector": {"a": "$.b"}}', "inputTransformer: a selector needs an object"),
    ],
)
def test_a_wrong_input_is_not_sent(tmp_path: Path, given: str, transformer: str, why: str) -> None:
    with listening() as heard:
        done = triggered(tmp_path, heard.url, DYNAMIQ_TRIGGER_INPUT_1=given, DYNAMIQ_TRIGGER_TRANSFORMER_1=transformer)
    assert done.code == 1
    assert done.message.startswith(f"not sent: {why}")
    assert heard.bodies == []


@pytest.mark.parametrize(
    ("there", "sent"),
    [({"default": "mine\n", "a": "other"}, "mine"), ({"b": "second", "a": "first"}, "first"), ({"a": "", "b": "full"}, "full")],
)
def test_it_logs_in_with_a_key_of_the_app(tmp_path: Path, there: dict[str, str], sent: str) -> None:
    with listening() as heard:
        done = triggered(tmp_path, heard.url, "--keys", keys(tmp_path, **there))
    assert done.code == 0
    assert heard.keys == [f"Bearer {sent}"]
    assert sent not in done.printed


def test_a_private_app_without_keys_is_not_called(tmp_path: Path) -> None:
    with listening() as heard:
        done = triggered(tmp_path, heard.url, "--keys", keys(tmp_path))
    assert (done.code, done.message) == (1, "not sent: the App is private and its Secret holds no Access Key")
    assert heard.connections == 1
    assert heard.bodies == []


def test_an_error_is_reported_by_status_and_code_only(tmp_path: Path) -> None:
    with serving(tmp_path, a_flow("def run(inputs):\n    raise ValueError('the secret of ' + inputs['who'])\n")) as served:
        done = triggered(tmp_path, f"http://127.0.0.1:{served.port}/", DYNAMIQ_TRIGGER_INPUT_1='{"who": "anna"}')
    assert done.code == 1
    assert done.message.startswith("the App answered 500 (node_failed) after ")
    assert "secret" not in done.printed


def test_a_trigger_waits_for_an_app_without_pods(tmp_path: Path) -> None:
    port = free_port()
    process = started(tmp_path, f"http://127.0.0.1:{port}/")
    time.sleep(1.5)  # nothing is waited for: that it goes on trying is the test
    assert process.poll() is None
    with listening(port) as heard:
        assert ended(tmp_path, process).code == 0
    assert len(heard.bodies) == 1


def test_a_signal_ends_a_trigger_before_its_request_and_waits_for_the_response_after_it(tmp_path: Path) -> None:
    port = free_port()
    process = started(tmp_path, f"http://127.0.0.1:{port}/")
    eventually("it handles SIGTERM", lambda: _handles(process, signal.SIGTERM))
    process.terminate()
    done = ended(tmp_path, process)
    assert (done.code, done.message) == (1, "not sent: its pod was told to end")
    with listening(answer=None) as heard:
        process = started(tmp_path, heard.url, "--timeout=2")
        eventually("it was called", lambda: bool(heard.bodies))
        process.terminate()
        assert ended(tmp_path, process).message.startswith("the App did not answer within 2 s")


def _handles(process: ForkedProcess, number: signal.Signals) -> bool:
    """Returns True if the process handles a signal: as process 1 of a pod it would ignore the signal without a handler."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-app.invalid"])
def test_a_trigger_gives_up_if_no_pod_ever_serves(tmp_path: Path, host: str) -> None:
    port = free_port()
    done = triggered(tmp_path, f"http://{host}:{port}/", "--connect-for=0.2")
    assert done.code == 1
    assert done.message.startswith("not sent: no connection within 0.2 s: ")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"], ids=["no answer", "half an answer"])
def test_a_request_that_may_have_been_sent_is_never_sent_again(tmp_path: Path, answer: bytes) -> None:
    with listening(answer=answer) as heard:
        done = triggered(tmp_path, heard.url)
        assert done.code == 1
        assert "it may have run to its end" in done.message
        assert heard.connections == 1


def test_an_app_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with listening(answer=None) as heard:
        done = triggered(tmp_path, heard.url, "--timeout=3")
    assert done.code == 1
    assert done.message.startswith("the App did not answer within 3 s")
    assert heard.connections == 1


def test_a_trigger_sends_no_request_after_its_deadline(tmp_path: Path) -> None:
    passed = (datetime.now(UTC) - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    with listening() as heard:
        done = triggered(tmp_path, heard.url, f"--not-after={passed}")
    assert (done.code, done.message) == (1, f"not sent: no run after {passed}")
    assert heard.connections == 0


@dataclass
class Heard:
    """The received requests."""

    url: str
    connections: int = 0
    bodies: list[Any] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextlib.contextmanager
def listening(port: int = 0, answer: bytes | None = OK) -> Iterator[Heard]:
    """Answers each request with these bytes while the block runs; None: without an answer."""
    with contextlib.closing(socket.create_server(("127.0.0.1", port))) as server:
        heard = Heard(f"http://127.0.0.1:{server.getsockname()[1]}/")
        over = threading.Event()
        thread = threading.Thread(target=_serve, args=(server, heard, answer, over), daemon=True)
        thread.start()
        try:
            yield heard
        finally:
            over.set()
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join(DEADLINE)


def _serve(server: socket.socket, heard: Heard, answer: bytes | None, over: threading.Event) -> None:
    while not over.is_set():
        try:
            connection, _ = server.accept()
        except OSError:
            return
        heard.connections += 1
        with connection, connection.makefile("rb") as lines:
            _hear(lines.readline, lines.read, heard)
            if answer is None:
                over.wait(DEADLINE)
            else:
                connection.sendall(answer)


def _hear(line: Callable[[], bytes], read: Callable[[int], bytes], heard: Heard) -> None:
    length = 0
    while text := line().decode().strip():
        name, _, value = text.partition(": ")
        if name.lower() == "content-length":
            length = int(value)
        elif name == "Authorization":
            heard.keys.append(value)
    if length:
        heard.bodies.append(json.loads(read(length)))


def test_a_run_that_waits_for_a_person_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    flow = waiting_flow(asking("ask", "in"), output="ask")
    with JournalStage(tmp_path / "journal") as journal, pod(tmp_path / "pod", flow, journal) as served:
        done = triggered(
            tmp_path, f"http://127.0.0.1:{served.port}/", "--keys", str(tmp_path / "pod" / "keys"), DYNAMIQ_TRIGGER_INPUT_1='{"input": "?"}'
        )
        (run,) = Caller(served).ask("GET", "/v1/runs").body["data"]
    assert (done.code, done.message) == (
        0,
        f"Waiting: run {run['id']} asks a person, or waits for a time, and goes on by itself afterwards",
    )
