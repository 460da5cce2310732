from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gate_stage import GateStage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[GateStage]:
    async with GateStage(tmp_path) as made:
        yield made
