"""Runs end faster than a recorder accepts them: the oldest are dropped, each is counted, and memory is bounded."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dynamiq_runtime.callers import SESSION, TAGS, TRIGGER, USER
from dynamiq_runtime.content import ERROR_LIMIT, RUN_LIMIT, Content, Excerpt, Redaction
from dynamiq_runtime.engine import NodeRun
from dynamiq_runtime.fields import RunRequest
from dynamiq_runtime.recording import Recording
from dynamiq_runtime.records import BYTES_LIMIT, RECORD_LIMIT, RUNS_LIMIT
from dynamiq_runtime.run import Run
from dynamiq_runtime.settings import from_environment
from tests.support.recorder import Recorder, Told, attributes_of, recording
from tests.support.runtime import DEADLINE
from tests.support.waiting import eventually

MORE = 1500
DROPPED = 100
"""Dropped runs that show that the queue is full: its memory grows no further."""


def ended_run(number: int, content: Content | None = None) -> Run:
    """Returns a successful run of three nodes. `content`: as much content as one run may have."""
    run = Run(RunRequest({}, stream=False), {})
    run.outcome, run.ended = "succeeded", run.began + number
    run.report.nodes += [NodeRun(name, name, "dynamiq.nodes.tools.Python", run.began, name, ended=run.ended) for name in "abc"]
    run.report.content = content
    while content is not None and content.bytes < RUN_LIMIT:
        run.report.nodes[0].input = content.of("x" * RUN_LIMIT)
    return run


@contextmanager
def sending(recorder: Recorder, dropped: list[int], **variables: str) -> Iterator[Recording]:
    settings = from_environment({"DYNAMIQ_RECORDER": recorder.url, **variables})
    assert settings.recorder is not None
    sender = Recording(settings, settings.recorder, dropped.append)
    sender.start()
    try:
        yield sender
    finally:
        sender.close()


def arrived(recorder: Recorder, number: int) -> bool:
    """Returns True if the last batch has the run of this number."""
    return any(attributes_of(span).get("dynamiq.run.seq") == number for post in recorder.posts[-1:] for span in post.spans)


def test_the_newest_of_too_many_runs_are_kept_and_every_gap_is_counted() -> None:
    dropped: list[int] = []
    run = ended_run(0)
    run.report.nodes.clear()
    with recording() as recorder:
        recorder.told = Told(503, {"Retry-After": "1"})
        with sending(recorder, dropped) as sender:
            sender.add(run, None)
            eventually("a batch is under way", lambda: bool(recorder.refused), DEADLINE)
            for _ in range(1, RUNS_LIMIT + MORE):
                sender.add(run, None)
            recorder.told = Told()
            eventually("the newest arrives", lambda: arrived(recorder, RUNS_LIMIT + MORE), DEADLINE)
        last = recorder.posts[-1].resource
        numbers = [record["dynamiq.run.seq"] for record in recorder.records]
    assert sum(dropped) == MORE - 1 == last["dynamiq.instance.dropped"]
    assert numbers == [1, *range(MORE + 1, RUNS_LIMIT + MORE + 1)]
    assert len(numbers) + last["dynamiq.instance.dropped"] == last["dynamiq.instance.last_seq"]


def test_content_is_bounded_by_its_size() -> None:
    dropped: list[int] = []
    fitting = BYTES_LIMIT // (2 * RUN_LIMIT)
    with recording() as recorder:
        recorder.told = Told(503, {"Retry-After": "1"})
        with sending(recorder, dropped) as sender:
            sender.add(ended_run(0), None)
            eventually("a batch is under way", lambda: bool(recorder.refused), DEADLINE)
            for number in range(1, 3 * fitting):
                sender.add(ended_run(number, Content(Redaction())), None)
            recorder.told = Told()
            eventually("the newest arrives", lambda: arrived(recorder, 3 * fitting), DEADLINE)
    assert fitting - 2 <= len(recorder.records) <= fitting + 1
    assert len(recorder.records) + sum(dropped) == 3 * fitting


def saying(number: int, text: str) -> Run:
    """Returns a run whose caller's headers are as long as allowed."""
    run = ended_run(number)
    run.headers = {SESSION: text * 500, USER: text * 500, TRIGGER: text * 500, TAGS: ",".join(f"{at:04}{text * 100}" for at in range(40))}
    return run


@pytest.mark.parametrize("text", ["x", "\N{GRINNING FACE}"])
def test_attributes_of_callers_count_towards_the_bound(text: str) -> None:
    """The bound counts bytes in memory, not characters."""
    queued: list[int] = []
    with recording() as recorder:
        settings = from_environment({"DYNAMIQ_RECORDER": recorder.url})
        assert settings.recorder is not None
        sender = Recording(settings, settings.recorder, queued.append)  # it is not started: nothing is taken
        tracemalloc.start()
        number = 0
        while sum(queued) < DROPPED and number < RUNS_LIMIT // 2:
            sender.add(saying(number := number + 1, text), None)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert held < 1.5 * BYTES_LIMIT
    assert sum(queued) >= DROPPED


def test_a_run_that_is_too_large_loses_its_content_and_puts_out_no_other() -> None:
    dropped: list[int] = []
    with recording() as recorder:
        recorder.told = Told(503, {"Retry-After": "1"})
        with sending(recorder, dropped) as sender:
            for number in range(100):
                sender.add(ended_run(number), None)
            content = Content(Redaction())
            large = ended_run(100)
            large.report.nodes[0].input, large.error, large.report.content = Excerpt("x" * RECORD_LIMIT, False), "wrong", content
            content.bytes = RECORD_LIMIT
            sender.add(large, None)
            recorder.told = Told()
            eventually("all arrive", lambda: len(recorder.records) == 101, DEADLINE)
    assert not dropped
    assert "dynamiq.error" not in recorder.records[-1]


def test_errors_of_a_run_are_content_of_it() -> None:
    content = Content(Redaction())
    errors = [content.error("e" * ERROR_LIMIT) for _ in range(5000)]
    assert errors[0] is not None
    assert errors[-1] is None
    assert sum(len(error) for error in errors if error) <= RUN_LIMIT + ERROR_LIMIT


def test_a_run_is_added_without_waiting_for_the_recorder() -> None:
    """tests/bench/test_runtime.py measures how long it takes."""
    with recording() as recorder:
        recorder.told = Told(seconds=DEADLINE)
        with sending(recorder, []) as sender:
            run = ended_run(0)
            for _ in range(RUNS_LIMIT + MORE):
                sender.add(run, None)
            assert len({post.body for post in recorder.posts}) <= 1, (
                "the first batch is not answered yet, and is sent once more at the most"
            )
            recorder.ending.set()
