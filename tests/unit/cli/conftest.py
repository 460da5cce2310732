"""The plugin over a script."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.scripted_plugin import ScriptedPlugin


@pytest.fixture
def plugin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedPlugin]:
    """`kubectl dynamiq` in the namespace `demo`."""
    with ScriptedPlugin(capsys, monkeypatch) as made:
        yield made
