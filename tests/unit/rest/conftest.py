from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.rest_stage import RestStage


@pytest.fixture
def stage() -> Iterator[RestStage]:
    with RestStage() as made:
        yield made
