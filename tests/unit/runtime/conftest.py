"""A receiver of callbacks that pods trust, the key by which they are signed, and pods of an App with conversations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.callbacks import KEY, Receiver, own_address
from tests.support.runtime import Served
from tests.support.sessions_journal import SessionsJournal, Stage, digest, staged
from tests.support.turns import A, B, started
from tests.unit.support.certificates import serving_context


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made, authority = serving_context(tmp_path, own_address())
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    return made


@pytest.fixture
def receiver(context: Any) -> Iterator[Receiver]:
    with Receiver(context, own_address()) as served:
        yield served


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "callback-key"
    file.write_text(KEY)
    return file


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path, SessionsJournal()) as made:
        yield made


@pytest.fixture
def entry(stage: Stage) -> Served:
    """A pod of pins A. Conversation `chat` is on B."""
    stage.journal.whose[digest("chat")] = B
    return started(stage, A)
