"""Provides the interpreter that has the SDK: not pytest's, whose packages would conflict with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import REPOSITORY
from tests.support.preloaded import Preloaded, preloaded

PYTHON = REPOSITORY / ".venv-sdk" / "bin" / "python"


@pytest.fixture(scope="session")
def python() -> str:
    """Provides the path of the interpreter."""
    if not PYTHON.exists():
        pytest.fail("there is no .venv-sdk: `make test-sdk` makes it and runs these tests")
    return str(PYTHON)


@pytest.fixture(scope="session")
def sdk(python: str) -> Iterator[Preloaded]:
    """Provides the interpreter with the SDK loaded, once for all tests."""
    with preloaded(python) as loaded:
        yield loaded
