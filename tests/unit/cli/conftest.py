"""Fixtures of this folder: the plugin over a scripted API server."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from dynamiq_operator.actions import follow
from dynamiq_operator.model.objects import Manifest
from tests.support.scripted import Answer, Reply, Sent
from tests.support.scripted_namespace import permitting
from tests.support.scripted_plugin import CtrlC, ScriptedPlugin, press_ctrl_c


@pytest.fixture
def plugin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedPlugin]:
    """Yields `kubectl dynamiq` in the namespace `demo`, for a user who may do everything."""
    monkeypatch.setattr(follow, "EVERY", 0.01)  # seconds between two readings of a rollout
    with ScriptedPlugin(capsys, monkeypatch) as made:
        permitting(made.script)
        yield made


@pytest.fixture
def ctrl_c() -> Iterator[CtrlC]:
    """Yields a maker of answers during which the user presses Ctrl-C."""
    # The process that started the tests may have had interrupts ignored.

    def answer(reply: Reply | Manifest) -> Answer:
        def press(_: Sent) -> Reply | Manifest:
            press_ctrl_c()
            return reply

        return press

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield answer
    signal.signal(signal.SIGINT, before)
