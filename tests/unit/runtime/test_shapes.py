"""The shapes of inputs that a recorder receives: names and types as the caller sent them, no value, and whose key it was."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynamiq_recorder.journal.outbox import Recorder as Address
from dynamiq_runtime.records import bytes_of
from dynamiq_runtime.shapes import shape_of
from tests.support.background import KEY, Caller, pod, steps_flow
from tests.support.flows import a_flow
from tests.support.forms import END, HEAD, TYPE, part
from tests.support.journal import APP, JournalStage
from tests.support.recorder import Recorder, recording
from tests.support.runtime import DEADLINE, ECHO, Served, serving
from tests.support.waiting import eventually

CHANGES = a_flow("def run(d):\n    d['added'] = d.pop('n')\n    d['text'] = 7\n    return 'done'\n")


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as answering:
        yield answering


@pytest.fixture
def served(tmp_path: Path, recorder: Recorder) -> Iterator[Served]:
    with serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url) as made:
        yield made


def shapes(recorder: Recorder, runs: int) -> list[dict[str, str]]:
    """Returns the shapes of so many runs, once they are recorded."""
    eventually(f"{runs} runs are recorded", lambda: len(recorder.runs) >= runs, DEADLINE)
    return [json.loads(record["dynamiq.run.shape"]) for record in recorder.records]


def test_a_run_is_recorded_with_names_and_types_and_without_a_value(served: Served, recorder: Recorder) -> None:
    given = {"text": "s3cr3t", "n": 12345, "part": 1.5, "yes": True, "none": None, "list": ["s3cr3t"], "map": {"s3cr3t": 1}, 'ü"\\': ""}
    assert served.run(given).status == served.run({}).status == served.run(given, stream=True).status == 200
    types = ["string", "number", "number", "boolean", "null", "array", "object", "string"]
    assert shapes(recorder, 3) == [dict(zip(given, types, strict=True)), {}, dict(zip(given, types, strict=True))]
    assert not any("dynamiq.key" in record for record in recorder.records)
    assert not any(b"s3cr3t" in post.body or b"12345" in post.body for post in recorder.posts)


def test_what_a_flow_does_to_its_input_is_no_part_of_the_shape(tmp_path: Path, recorder: Recorder) -> None:
    with serving(tmp_path, CHANGES, DYNAMIQ_RECORDER=recorder.url) as served:
        assert served.run({"n": 1, "text": "a"}).body == {"result": "done"}
        assert shapes(recorder, 1) == [{"n": "number", "text": "string"}]


def test_a_failed_run_has_its_shape(tmp_path: Path, recorder: Recorder) -> None:
    with serving(tmp_path, a_flow("def run(d):\n    return d['missing']\n"), DYNAMIQ_RECORDER=recorder.url) as served:
        assert served.run({"n": 1}).status == 500
        assert shapes(recorder, 1) == [{"n": "number"}]


@pytest.mark.parametrize(("count", "sent"), [(64, 64), (65, 65), (70_000, 65)])
def test_sixty_four_names_are_sent_and_that_there_were_more(served: Served, recorder: Recorder, count: int, sent: int) -> None:
    names = [f"n{number}" for number in range(count)]
    assert served.run(dict.fromkeys(names, 1)).status == 200
    (shape,) = shapes(recorder, 1)
    assert list(shape.items())[:64] == [(name, "number") for name in names[:64]]
    assert (len(shape), shape.get("…")) == (sent, "" if count > 64 else None)


def test_long_names_are_cut(served: Served, recorder: Recorder) -> None:
    given: dict[str, Any] = {"a" * 64: 1, "b" * 65: 1, "c" * 500_000: "x", "…": 1}
    assert served.run(given).status == 200
    assert shapes(recorder, 1) == [{"a" * 64: "number", "b" * 63 + "…": "number", "c" * 63 + "…": "string", "…": "number"}]


@pytest.mark.parametrize("name", ["field_of_an_input", "f" * 64])
def test_the_memory_of_shapes_that_wait_is_counted(name: str) -> None:
    text = json.dumps({f"{name}{number}"[-64:]: 1 for number in range(8)})
    tracemalloc.start()
    waiting = [shape_of(json.loads(text)) for _ in range(1_000)]
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    counted = len(waiting) * (bytes_of(0, (), waiting[0], 0) - bytes_of(0, (), None, 0))
    assert 0.7 < counted / used < 1.4


def test_files_and_fields_that_a_flow_finds_in_its_input_belong_to_it(tmp_path: Path, recorder: Recorder) -> None:
    flow = a_flow("def run(d):\n    return len(d['files'])\n")
    form = HEAD + part("a.txt", b"s3cr3t") + END
    with serving(tmp_path, flow, DYNAMIQ_RECORDER=recorder.url) as served:
        assert served.request("POST", "/", form, {"Content-Type": TYPE}).body == {"result": 1}
        body = {"input": {"files": [], "q": "x"}, "user_id": "ann", "chat_history": []}
        assert served.request("POST", "/", json.dumps(body).encode(), {"Content-Type": "application/json"}).status == 200
        first, second = shapes(recorder, 2)
    assert first["files"] == "array"
    assert second == {"files": "array", "q": "string", "user_id": "string", "chat_history": "array"}
    assert not any(b"a.txt" in post.body or b"s3cr3t" in post.body for post in recorder.posts)


def test_the_key_is_named_by_which_a_call_was_authorized(tmp_path: Path, recorder: Recorder) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    for name in ("web", "bot.2"):
        (keys / name).write_text(f"key-of-{name}")
    with serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url, DYNAMIQ_ACCESS_KEYS_DIR=str(keys)) as served:
        assert [served.run({}, key=f"key-of-{name}").status for name in ("bot.2", "web", "wrong")] == [200, 200, 401]
        shapes(recorder, 2)
    assert [record["dynamiq.key"] for record in recorder.records] == ["bot.2", "web"]
    assert not any(b"key-of" in post.body for post in recorder.posts)


def test_a_background_run_has_the_shape_of_what_was_accepted_and_its_callers_key(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    token = tmp_path / "recorder-token"
    token.write_text("token")
    with recording() as recorder, JournalStage(tmp_path / "journal", recorder=Address(recorder.url, token)) as journal:
        variables = {"DYNAMIQ_RECORDER": recorder.url, "DYNAMIQ_APP_ID": APP.app_uid}
        with pod(tmp_path / "pod", steps_flow("a", code="    inputs['extra'] = 1\n"), journal, **variables) as served:
            caller = Caller(served, KEY)
            caller.ended(caller.begin({"log": str(tmp_path / "log"), "s3cr3t": None}))
            assert shapes(recorder, 1) == [{"log": "string", "s3cr3t": "null"}]
    assert recorder.records[0]["dynamiq.key"] == "ann"
