"""A caller beside connections that take as long as they may. `make soak` measures 500 of them, see tests/soak/quiet/test_slow_connections.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support import slow_connections as slow

SOME, MOST = 150, 2.0


@pytest.mark.timeout(300)
def test_slow_connections_keep_nobody_out(cluster: Cluster, tmp_path: Path) -> None:
    """Every call is answered, and half of them in twice the time at most. Few calls beside other suites say too little of a p95."""
    found = slow.measure(cluster, tmp_path, SOME)
    print(found)
    assert found.beside[0] / found.alone[0] <= MOST
