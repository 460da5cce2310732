"""Other tenants do not have to wait while a tenant's very many rows end.

`make soak` measures how much longer others wait beside far more rows, and whether the lease is renewed meanwhile.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support import busy_tenant

ROWS = 600
"""Number of rows. A machine ends some twenty a second, so they last until the other tenant's pods are Ready."""
SAMPLES = 2


@pytest.mark.timeout(600)
def test_another_tenant_deploys_beside_very_many_waiting_rows(cluster: Cluster, tmp_path: Path) -> None:
    waits = busy_tenant.measure(cluster, tmp_path, ROWS, SAMPLES, print)
    assert waits.left > 0, "the busy tenant's rows had all ended before the last deploy was measured"
