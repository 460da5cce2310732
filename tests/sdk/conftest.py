"""The interpreter that has the SDK: another one than pytest's, whose packages it would not get along with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import REPOSITORY
from tests.support.preloaded import Preloaded, preloaded

PYTHON = REPOSITORY / ".venv-sdk" / "bin" / "python"


@pytest.fixture(scope="session")
def python() -> str:
    """The path of the interpreter."""
    if not PYTHON.exists():
        pytest.fail("there is no .venv-sdk: `make test-sdk` makes it and runs these tests")
    return str(PYTHON)


@pytest.fixture(scope="session")
def sdk(python: str) -> Iterator[Preloaded]:
    """The interpreter once it has loaded the SDK, which it does once for all tests."""
    with preloaded(python) as made:
        yield made
