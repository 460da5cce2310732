"""`invoke` with ids, files and events: what reaches an App, and what is printed of its answer."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.cli import app_calls
from dynamiq_operator.cli.commands import invoke
from dynamiq_runtime.callers import TEXT_LIMIT
from dynamiq_runtime.uploads import FORM_MOST
from tests.support.factories import NAME
from tests.support.runs_contract import READS
from tests.support.runtime import serving
from tests.support.scripted import Reply, Script
from tests.support.scripted_plugin import ScriptedPlugin
from tests.support.waiting import IN_TIME
from tests.unit.support.called_apps import DEFAULT
from tests.unit.support.mounts import mount

STARTED = ("run.started", {"object": "run"})
COMPLETED = ("run.completed", {"object": "run", "status": "completed", "output": {"answer": "sent on Monday"}})


def frame(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n".encode()


def streams(pods: Script, *frames: bytes) -> None:
    """Makes the App answer with these frames; the server adds the empty line after each."""
    pods.on("POST", "/v1/runs", Reply(headers={"Content-Type": "text/event-stream; charset=utf-8"}, stream=frames))


def of_a_run(*events: tuple[str, Any]) -> list[bytes]:
    """Returns frames of run events."""
    return [
        frame(name, {"id": "e", "type": name, "sequence": at, "timestamp": "now", "data": data})
        for at, (name, data) in enumerate(events, 1)
    ]


def delta(text: Any) -> tuple[str, Any]:
    return "agent.response.delta", {"object": "agent.response", "delta": text}


def test_ids_files_and_streams_reach_a_real_runtime(keyed: ScriptedPlugin, tmp_path: Path) -> None:
    sheet, text = tmp_path / "année.csv", tmp_path / "a b.txt"
    sheet.write_text("1,2")
    text.write_text("one\r\n--two")
    ids = ("--session", "s-81", "--user-id", "ada")
    files = ("--file", str(sheet), "--file", str(text))
    with serving(tmp_path, READS, DYNAMIQ_ACCESS_KEYS_DIR=str(mount(tmp_path / "keys", {"default": DEFAULT}))) as served:
        keyed.forwards(served.port)
        plain = keyed("invoke", NAME, '{"n": 1}', *ids)
        form = keyed("invoke", NAME, '{"n": 1}', *ids, *files)
        streamed = keyed("invoke", NAME, '{"n": 1}', *ids, *files, "--stream")
        failed = keyed("invoke", NAME, '{"fails": true}', "--stream")
    seen = {"n": 1, "user_id": "ada", "session_id": "s-81"}
    assert (plain.code, json.loads(plain.out)["result"], plain.err) == (0, seen, "")
    seen |= {"files": [["année.csv", "text/csv", "1,2"], ["a b.txt", "text/plain", "one\r\n--two"]]}
    for done in (form, streamed):
        assert (done.code, json.loads(done.out)["result"], done.err) == (0, seen, "")
    assert (failed.code, failed.out, "on purpose" in failed.err) == (1, "", True)


def test_the_limits_are_those_of_the_runtime() -> None:
    assert (app_calls.FORM_MOST, invoke.ID_MOST) == (FORM_MOST, TEXT_LIMIT)


@pytest.mark.parametrize("sizes", [(FORM_MOST + 1,), (FORM_MOST // 2, FORM_MOST // 2 + 1), (FORM_MOST - 100,)])
def test_files_that_are_too_large_together_are_not_sent(
    keyed: ScriptedPlugin, pods: Script, tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    paths = [tmp_path / str(number) for number in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        with path.open("wb") as file:
            file.truncate(size)
    done = keyed("invoke", NAME, "{}", *(word for path in paths for word in ("--file", str(path))))
    assert (done.code, done.err) == (1, "error: an App takes at most 8 MiB in one call, with all its files: nothing was sent\n")
    assert pods.sent == []


def test_a_file_that_cannot_be_sent_is_refused(keyed: ScriptedPlugin, pods: Script, tmp_path: Path) -> None:
    assert (
        keyed("invoke", NAME, "{}", "--file", f"{tmp_path}/none").err == f"error: cannot read {tmp_path}/none: No such file or directory\n"
    )
    assert keyed("invoke", NAME, "{}", "--file", str(tmp_path)).err == f"error: cannot read {tmp_path}: Is a directory\n"
    odd = tmp_path / 'a".txt'
    odd.touch()
    assert keyed("invoke", NAME, "{}", "--file", str(odd)).err == f"error: an App takes no file of this name: rename {odd}\n"
    assert pods.sent == []


def test_a_runtime_from_before_files_is_named(keyed: ScriptedPlugin, pods: Script, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    pods.on("POST", "/", Reply(415, {"error": {"code": "not_json"}}))
    done = keyed("invoke", NAME, "{}", "--file", str(tmp_path / "a.txt"))
    assert (done.code, json.loads(done.out)) == (1, {"error": {"code": "not_json"}})
    assert done.err == "error: chat answered 415: its runtime is from before files, deploy it on a newer one\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--session", ""), "argument --session: must have 1 to 256 printable characters"),
        (("--user-id", "a\nb"), "argument --user-id: must have 1 to 256 printable characters"),
        (("-o", "jsonl"), "-o jsonl needs --stream"),
        (("--stream", "-o", "yaml"), "--stream takes -o jsonl: an event is a line"),
        (("--stream", "-o", "jsonpath={.answer}"), "--stream takes -o jsonl: an event is a line"),
    ],
)
def test_wrong_arguments_are_refused(keyed: ScriptedPlugin, pods: Script, words: tuple[str, ...], says: str) -> None:
    done = keyed("invoke", NAME, "{}", *words)
    assert (done.code, done.err) == (2, f"error: {says}; see `kubectl dynamiq invoke --help`\n")
    assert pods.sent == []


def test_the_text_of_an_agent_is_printed_and_steers_no_terminal(keyed: ScriptedPlugin, pods: Script) -> None:
    thought = ("agent.reasoning.delta", {"object": "agent.reasoning", "delta": "hm", "iteration": 1})
    streams(pods, *of_a_run(STARTED, thought, delta("sent\n"), delta({"content": "on"}), delta("\x1b[2J\r"), COMPLETED))
    done = keyed("invoke", NAME, "{}", "--stream", terminal=True)
    assert (done.code, done.out, done.err) == (0, "sent\non\\x1b[2J\\r\n", "")
    assert pods.sent[0].body == {"input": {}, "stream": True}


def test_text_is_printed_as_it_arrives(keyed: ScriptedPlugin, pods: Script) -> None:
    first, *others = of_a_run(delta("first"), delta("second"), COMPLETED)
    printed = threading.Event()

    def answer() -> Iterator[bytes]:
        yield first
        assert printed.wait(IN_TIME)
        yield from (b": heartbeat\n", *others)

    pods.on("POST", "/v1/runs", Reply(headers={"Content-Type": "text/event-stream"}, stream=answer()))
    with keyed.started("invoke", NAME, "{}", "--stream") as process:
        assert process.stdout is not None
        assert process.stdout.read(len("first")) == "first"
        printed.set()
        assert (process.stdout.read(), process.wait(IN_TIME)) == ("second\n", 0)


def test_the_words_of_a_model_are_printed_and_without_any_the_output_is(keyed: ScriptedPlugin, pods: Script) -> None:
    chunk = {"choices": [{"delta": {"content": "sent"}}]}
    streams(pods, *of_a_run(STARTED, ("node.output.delta", {"object": "node.output", "delta": chunk}), COMPLETED))
    assert keyed("invoke", NAME, "{}", "--stream").out == "sent\n"
    streams(pods, *of_a_run(STARTED, ("node.output.delta", {"object": "node.output", "delta": {"n": 1}}), COMPLETED))
    assert keyed("invoke", NAME, "{}", "--stream").out == '{"answer": "sent on Monday"}\n'


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_each_event_is_a_line_of_json(keyed: ScriptedPlugin, pods: Script, form: str) -> None:
    frames = of_a_run(STARTED, delta("é"), COMPLETED)
    streams(pods, *frames)
    done = keyed("invoke", NAME, "{}", "--stream", "-o", form)
    assert [json.loads(line) for line in done.out.splitlines()] == [json.loads(each.partition(b"data: ")[2]) for each in frames]
    assert (done.code, done.out.isascii()) == (0, True)


@pytest.mark.parametrize("kind", ["run.failed", "run.canceled"])
def test_a_run_that_is_not_good_ends_with_1_and_its_message(keyed: ScriptedPlugin, pods: Script, kind: str) -> None:
    problem = {"object": "run", "status": "failed", "error": {"code": "node_failed", "message": "node agent: \x1b no"}}
    streams(pods, *of_a_run(STARTED, delta("se"), (kind, problem)))
    done = keyed("invoke", NAME, "{}", "--stream")
    assert (done.code, done.out, done.err) == (1, "se\n", "error: chat: node agent: \\x1b no\n")


def test_a_refusal_of_a_stream_is_shown_as_any_other(keyed: ScriptedPlugin, pods: Script) -> None:
    pods.on("POST", "/v1/runs", Reply(401, {"error": {"code": "unauthorized"}}))
    done = keyed("invoke", NAME, "{}", "--stream", "-o", "jsonl")
    assert (done.code, json.loads(done.out), done.err) == (1, {"error": {"code": "unauthorized"}}, "error: chat answered 401\n")


def test_a_refusal_before_the_whole_call_was_sent_is_shown(keyed: ScriptedPlugin, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a" * (FORM_MOST - 1000))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        keyed.forwards(server.getsockname()[1])
        done = keyed("invoke", NAME, "{}", "--file", str(tmp_path / "a.txt"))
        thread.join()
    assert (done.code, done.err) == (1, "error: chat answered 401\n")


def test_a_stream_that_breaks_off_or_takes_too_long_ends_with_1(keyed: ScriptedPlugin, pods: Script) -> None:
    streams(pods, *of_a_run(STARTED, delta("se")))
    done = keyed("invoke", NAME, "{}", "--stream")
    assert (done.code, done.out, done.err) == (1, "se\n", "error: chat broke off its answer before the run had ended\n")
    ended = threading.Event()

    def heartbeats() -> Iterator[bytes]:
        while not ended.wait(0.01):
            yield b": heartbeat\n"

    pods.on("POST", "/v1/runs", Reply(headers={"Content-Type": "text/event-stream"}, stream=heartbeats()))
    done = keyed("invoke", NAME, "{}", "--stream", "--timeout", "200ms")
    ended.set()
    assert (done.code, done.err) == (1, "error: no answer within 0.2 s: give more with --timeout\n")


def test_a_runtime_from_before_run_events_streams_as_well(keyed: ScriptedPlugin, pods: Script) -> None:
    def chunk(**delta: Any) -> bytes:
        return frame("chunk", {"event": "streaming", "data": {"choices": [{"delta": delta}]}})

    run = frame("result", {"data": {"id": "r", "status": "succeeded", "output": {"answer": "sent"}}})
    streams(pods, chunk(content="hm", step="reasoning"), chunk(content="se", step="answer"), chunk(content="nt"), run)
    assert keyed("invoke", NAME, "{}", "--stream").out == "sent\n"
    lines = [json.loads(line) for line in keyed("invoke", NAME, "{}", "--stream", "-o", "jsonl").out.splitlines()]
    assert [line["type"] for line in lines] == ["chunk", "chunk", "chunk", "result"]
    streams(pods, run)
    assert keyed("invoke", NAME, "{}", "--stream").out == '{"answer": "sent"}\n'
    streams(pods, frame("error", {"error": {"code": "node_failed", "message": "it failed"}}))
    done = keyed("invoke", NAME, "{}", "--stream")
    assert (done.code, done.err) == (1, "error: chat: it failed\n")
