"""Checks the rights that the tests of this folder need on this machine."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def root() -> None:
    """Requires root, for tests that start real pods or change their root folder."""
    assert os.geteuid() == 0, "real pods and images need root: run tests/system as root, or leave it to a machine where you are"
