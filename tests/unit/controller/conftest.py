"""Fixtures of this folder: a replica of the operator over a scripted API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dynamiq_operator.kube.client import Client
from tests.support.controller import Process, connected
from tests.support.scripted import Script


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def client(script: Script, tmp_path: Path) -> AsyncIterator[Client]:
    async with connected(script, tmp_path) as made:
        yield made


@pytest.fixture
def process(client: Client, script: Script) -> Process:
    return Process(client, script)
