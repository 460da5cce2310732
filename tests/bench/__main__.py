"""Measures on a separate cluster, and prints the figures: `python -m tests.bench`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main([str(Path(__file__).parent), "--capture=no", "--quiet", "--no-header", *sys.argv[1:]]))
