"""Inputs, outputs and errors leave the pod only if the App records content, and then without redacted parts."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dynamiq_runtime.content import ERROR_LIMIT, RUN_LIMIT, VALUE_LIMIT, Content, Redaction
from dynamiq_runtime.engine import Failure, RunFailedError
from dynamiq_runtime.errors import HttpError
from dynamiq_runtime.execution import RunExecutor
from dynamiq_runtime.fields import RunRequest
from dynamiq_runtime.metrics import Metrics
from dynamiq_runtime.recording import Recording
from dynamiq_runtime.run import Run
from dynamiq_runtime.settings import from_environment
from dynamiq_runtime.threads import RunThreads
from tests.support.flows import a_flow
from tests.support.recorder import Recorder, attributes_of, recording
from tests.support.runtime import DEADLINE, serving
from tests.support.waiting import eventually

CARD = r"\b\d{4}[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}\b"
FLOW = a_flow(
    "def run(d):\n    if d.get('wrong'):\n        raise ValueError('card ' + d['card'])\n    return {'content': d['card'], 'Token': 'wizard'}\n"
)
ASKED = {"content": True, "redact": {"fields": ["password", "TOKEN"], "patterns": [CARD]}}
GIVEN = {"card": "4111 1111 1111 1111", "deep": [{"Password": {"a": 1}}], "text": 'žluť "x" \ud83d\ude00', "n": 4111111111111111}

SECRETS = (b"4111 1111", b"41111111", b"wizard")
"""Parts of inputs and outputs that cannot occur by chance in an id or a time."""


def leaked(recorder: Recorder, *texts: bytes) -> list[bytes]:
    """Returns the secrets, and those of these texts, that are in a body which the recorder got."""
    return [text for text in (*SECRETS, *texts) if any(text in post.body for post in recorder.posts)]


def shown(value: Any, redaction: Redaction) -> Any:
    """Returns the content of one value that leaves the pod."""
    excerpt = Content(redaction).of(value)
    assert excerpt is not None
    assert not excerpt.cut
    return json.loads(excerpt.text)


def test_recorded_content_is_sent_on_request_and_redacted(tmp_path: Path) -> None:
    with recording() as recorder, serving(tmp_path, FLOW, DYNAMIQ_RECORDER=recorder.url, DYNAMIQ_RUNS=json.dumps(ASKED)) as served:
        assert served.run(GIVEN).body == {"result": GIVEN["card"]}
        assert served.run(GIVEN | {"wrong": True}).body["error"]["message"].endswith("card 4111 1111 1111 1111")
        eventually("both are recorded", lambda: len(recorder.runs) == 2, DEADLINE)
        good, bad = recorder.runs
        kept = {"card": "[redacted]", "deep": [{"Password": "[redacted]"}], "text": 'žluť "x" 😀', "n": "[redacted]"}
        record = attributes_of(good)
        assert json.loads(record["dynamiq.input"]) == kept
        assert json.loads(record["dynamiq.output"]) == {"result": "[redacted]"}
        code = attributes_of(recorder.nodes_of(good)[1])
        assert json.loads(code["dynamiq.input"]) == kept
        assert json.loads(code["dynamiq.output"]) == {"content": "[redacted]", "Token": "[redacted]"}
        assert attributes_of(bad)["dynamiq.error"] == 'node "code" failed: ValueError: card [redacted]'
        assert attributes_of(recorder.nodes_of(bad)[1])["dynamiq.error"] == "Code execution error: card [redacted]"
    assert leaked(recorder) == []


@pytest.mark.parametrize("asked", [None, {"content": False, "redact": {"fields": ["a"]}}, {"redact": {}}])
def test_no_content_is_sent_by_default(tmp_path: Path, asked: dict[str, Any] | None) -> None:
    variables = {"DYNAMIQ_RUNS": json.dumps(asked)} if asked else {}
    with recording() as recorder, serving(tmp_path, FLOW, DYNAMIQ_RECORDER=recorder.url, **variables) as served:
        served.run(GIVEN)
        served.run(GIVEN | {"wrong": True})
        eventually("both are recorded", lambda: len(recorder.runs) == 2, DEADLINE)
    spans = [attributes_of(span) for post in recorder.posts for span in post.spans]
    assert not any({"dynamiq.input", "dynamiq.output", "dynamiq.error"} & set(span) for span in spans)
    assert leaked(recorder) == []


def test_a_value_is_cut_at_its_limit_and_marked_so() -> None:
    excerpt = Content(Redaction()).of({"text": "ž" * VALUE_LIMIT})
    assert excerpt is not None
    assert excerpt.cut
    assert VALUE_LIMIT - 3 < len(excerpt.text.encode()) <= VALUE_LIMIT
    many = Content(Redaction()).of({str(number): "x" * 100 for number in range(100_000)})
    assert many is not None
    assert many.cut
    assert len(many.text.encode()) <= VALUE_LIMIT


def test_a_run_has_so_much_content_and_no_more() -> None:
    content = Content(Redaction())
    excerpts = [content.of("x" * VALUE_LIMIT) for _ in range(100)]
    assert sum(len(excerpt.text) for excerpt in excerpts if excerpt) <= RUN_LIMIT + VALUE_LIMIT
    assert excerpts[-1] is None


TOLD = '{"email": "anna@example.com", "n": 1.10}'
IN_A_TEXT = [
    (TOLD, '{"email":"[redacted]","n":1.1}'),
    (f" [{TOLD}, 2]", '[{"email":"[redacted]","n":1.1},2]'),
    (json.dumps({"arguments": TOLD}), json.dumps({"arguments": '{"email":"[redacted]","n":1.1}'}, separators=(",", ":"))),
    (json.dumps(json.dumps(TOLD)), json.dumps(json.dumps('{"email":"[redacted]","n":1.1}'))),
    ('{"email": "anna@example.com", "text": "two\nlines"}', '{"email":"[redacted]","text":"two\\nlines"}'),
    ('"n" : "is" {}"', '"n" : "is" {}"'),
    ('{"n": 1.10, "a" : [ ]}', '{"n": 1.10, "a" : [ ]}'),
    (f"{TOLD} and more", f"{TOLD} and more"),
    ("{email} is missing", "{email} is missing"),
    ('{"a": {"email": 1}, "a": 2}', "[redacted]"),
    (f'{{"email": 1, "n": {"9" * 5000}}}', "[redacted]"),
    ("[" * 20_000 + "]" * 20_000, "[redacted]"),
]
"""Texts, and their content that leaves the pod when `email` is redacted."""


@pytest.mark.parametrize(("text", "leaves"), IN_A_TEXT)
def test_fields_are_taken_out_of_a_text_that_is_json(text: str, leaves: str) -> None:
    """Every model's API has a tool's arguments as JSON in a text. A text without a redaction is unchanged."""
    assert shown({"function": {"arguments": text}}, Redaction(fields=["Email"])) == {"function": {"arguments": leaves}}
    assert shown([text[:100]], Redaction()) == [text[:100]]
    assert Content(Redaction(fields=["Email"])).error(text[:8000]) is not None


def test_a_text_that_is_json_is_looked_into_as_deep_and_as_far_as_its_limits_and_taken_out_beyond() -> None:
    nested = TOLD
    for _ in range(10):
        nested = json.dumps({"arguments": nested})
    left = Content(Redaction(fields=["email"])).of([nested])
    assert left is not None
    assert "anna" not in left.text
    long = Content(Redaction(fields=["email"])).of([json.dumps({"email": "anna", "more": "x" * VALUE_LIMIT})])
    assert long is not None
    assert (long.text, long.cut) == ('["[redacted]"]', True)
    error = json.dumps({"email": "anna", "more": "x" * ERROR_LIMIT})
    assert Content(Redaction(fields=["email"])).error(error) == "[redacted]"


@pytest.mark.parametrize("before", [0, 1500, 2040, 30_000])
def test_a_match_is_taken_out_wherever_it_stands_in_a_long_text(before: int) -> None:
    text = "x" * before + " 4111-1111-1111-1111 " + "y" * 5000
    assert shown([text], Redaction(patterns=[CARD])) == [text.replace("4111-1111-1111-1111", "[redacted]")]


def test_the_start_of_a_match_before_a_cut_is_not_sent() -> None:
    text = "x" * (VALUE_LIMIT - 10) + " 4111-1111-1111-1111"
    excerpt = Content(Redaction(patterns=[CARD])).of(text)
    assert excerpt is not None
    assert excerpt.cut
    assert "4" not in excerpt.text


@pytest.mark.parametrize("room", [0, 1, 10, 19, 20, 512])
def test_a_secret_across_the_cut_of_an_error_does_not_leave(room: int) -> None:
    text = "x" * (ERROR_LIMIT - room) + " 4111-1111-1111-1111 " + "z" * 1000
    shortened = "4111 1111 1111 1111 " * 400 + text
    for given in (text, shortened, shortened[: ERROR_LIMIT + room]):
        shown = Content(Redaction(patterns=[CARD])).error(given) or ""
        assert "4" not in shown
        assert len(shown) <= ERROR_LIMIT
    assert Content(Redaction()).error("x" * ERROR_LIMIT) == "x" * ERROR_LIMIT


def test_values_that_json_does_not_have_are_named_and_none_fails() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    round_one: list[Any] = []
    round_one.append(round_one)
    value = {"odd": Odd(), "large": 10**9000, "bytes": b"secret", "nan": float("nan"), 7: (1, None, True), "half": "\udc80"}
    assert shown(value, Redaction()) == {
        "odd": "<Odd>",
        "large": "<int>",
        "bytes": "<bytes>",
        "nan": "<float>",
        "7": [1, None, True],
        "half": "?",
    }
    assert Content(Redaction()).of(round_one) is not None


def test_a_pattern_that_is_slow_after_all_takes_out_every_text_and_ends_in_time() -> None:
    redaction = Redaction(patterns=[r"(xy|yx|xyyx){1,16}z"])
    began = time.thread_time()
    assert shown(["xyyx" * 500, "x"], redaction) == ["[redacted]", "[redacted]"]
    assert time.thread_time() - began < 60
    assert shown({"y": "z"}, redaction) == {"[redacted]": "[redacted]"}


REFUSED = [
    ("(", "'(' is not a regular expression"),
    ("(a+)+b", "'(a+)+b' repeats a repeat"),
    ("(x|xx){1,31}y", "takes too long"),
    ("[[:digit:]]{16}", "has a POSIX class"),
    ("[x[:^alpha:]]", "has a POSIX class"),
    (r"\pL+", "bad escape"),
    (r"\d{16}\z", "bad escape"),
    (r"\Q4111\E", "bad escape"),
    ("(?U)[0-9]+", "unknown extension"),
    ("[[a]", "Possible nested set"),
]


@pytest.mark.parametrize(("pattern", "said"), REFUSED)
def test_with_an_unusable_pattern_no_content_is_sent_and_the_pod_runs(pattern: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    runs = {"content": True, "redact": {"patterns": [CARD, pattern]}}
    assert from_environment({"DYNAMIQ_RUNS": json.dumps(runs)}).redaction is None
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["level"], line["message"].endswith("no input, output or error text is recorded")) == ("error", True)
    assert said in line["reason"]
    assert from_environment({"DYNAMIQ_RUNS": json.dumps(runs | {"content": False})}).redaction is None
    assert not capsys.readouterr().out, "without content nothing is looked for"


def test_a_pod_with_a_pattern_that_cannot_be_used_records_its_runs_without_content(tmp_path: Path) -> None:
    runs = json.dumps({"content": True, "redact": {"patterns": ["[[:digit:]]{4}"]}})
    with recording() as recorder, serving(tmp_path, FLOW, DYNAMIQ_RECORDER=recorder.url, DYNAMIQ_RUNS=runs) as served:
        assert served.run(GIVEN).status == 200
        eventually("it is recorded", lambda: len(recorder.runs) == 1, DEADLINE)
    assert leaked(recorder, b"dynamiq.input") == []


class _Noting(Redaction):
    """A redaction that notes the threads in which it runs."""

    def __init__(self) -> None:
        super().__init__(patterns=[CARD])
        self.threads: set[str] = set()

    def text(self, text: str) -> str:
        self.threads.add(threading.current_thread().name)
        return super().text(text)


class _Failing:
    nodes = outputs = 1
    workflow = "told"
    waits = False

    def execute(self, given: Any, report: Any) -> Any:
        raise RunFailedError([Failure("pay", "pay", "card 4111 1111 1111 1111")])


async def test_the_text_of_an_error_is_looked_at_in_its_runs_thread() -> None:
    """Patterns take time, and every other run waits for the event loop."""
    redaction = _Noting()
    settings = replace(from_environment({"DYNAMIQ_RECORDER": "http://127.0.0.1:9"}), redaction=redaction)
    assert settings.recorder is not None
    sender = Recording(settings, settings.recorder, lambda _: None)
    executor = RunExecutor(settings, RunThreads(DEADLINE, 1, 1), Metrics(settings, lambda: 0), None, sender)
    run = Run(RunRequest({}, stream=False), {})
    with pytest.raises(HttpError):
        async with executor.start(run, _Failing()) as answer:
            await answer
    assert (run.error, redaction.threads) == ('node "pay" failed: card [redacted]', {"run"})
