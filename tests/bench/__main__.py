"""`python -m tests.bench`: measures, on a cluster of its own, and prints the figures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main([str(Path(__file__).parent), "--capture=no", "--quiet", "--no-header", *sys.argv[1:]]))
