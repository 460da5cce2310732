"""The interpreter that has the SDK: another one than pytest's, whose packages it would not get along with."""

from __future__ import annotations

import pytest

from tests.support.cluster import REPOSITORY

PYTHON = REPOSITORY / ".venv-sdk" / "bin" / "python"


@pytest.fixture(scope="session")
def sdk() -> str:
    """The path of the interpreter."""
    if not PYTHON.exists():
        pytest.fail("there is no .venv-sdk: `make test-sdk` makes it and runs these tests")
    return str(PYTHON)
