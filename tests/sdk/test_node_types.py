"""Compares the list of node types by which releases are checked with the SDK's."""

from __future__ import annotations

import subprocess

import pytest

from local import node_types
from tests.support.cluster import REPOSITORY

PROGRAM = "from local import node_types; print(node_types.written(node_types.types()), end='')"


@pytest.mark.long("it imports every module of the SDK, which takes half a minute")
def test_the_list_of_node_types_is_the_sdks(python: str) -> None:
    """`.venv-sdk/bin/python -m local.node_types` writes the list again."""
    done = subprocess.run([python, "-c", PROGRAM], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout[done.stdout.index('"""Lists') :] == node_types.FILE.read_text()
