"""Fixtures of this folder: the plugin over a scripted API server."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from dynamiq_operator.actions import follow
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.factories import NAME, NAMESPACE
from tests.support.scripted import Answer, Reply, Script, Sent
from tests.support.scripted_namespace import permitting
from tests.support.scripted_plugin import CtrlC, ScriptedPlugin, press_ctrl_c
from tests.unit.support.called_apps import DEFAULT, LIVE, SECRET, secret, served


@pytest.fixture
def plugin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedPlugin]:
    """Yields `kubectl dynamiq` in the namespace `demo`, for a user who may do everything."""
    monkeypatch.setattr(follow, "EVERY", 0.01)  # seconds between two readings of a rollout
    with ScriptedPlugin(capsys, monkeypatch) as made:
        permitting(made.script)
        yield made


@pytest.fixture
def keyed(plugin: ScriptedPlugin) -> ScriptedPlugin:
    """Returns a plugin on App chat with two keys."""
    plugin.app(given.stored(given.app_manifest(given.with_status(live=LIVE))))
    plugin.script.on("GET", SECRET, secret(default=DEFAULT, ci="short")).on("PATCH", SECRET, {})
    plugin.script.on("PATCH", APPS.path(NAMESPACE, NAME), {})
    return plugin


@pytest.fixture
def pods(keyed: ScriptedPlugin) -> Iterator[Script]:
    """Yields the App behind a port-forward."""
    with served() as (script, port):
        keyed.forwards(port)
        yield script


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
