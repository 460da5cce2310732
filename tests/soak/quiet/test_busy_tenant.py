"""Measures a tenant's deploys while another tenant makes 10,000 rows, and a pass of an App with 10,000 rows.

The log goes to docs/measured/busy-tenant.txt.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support import busy_tenant, long_history
from tests.support.measured import MEASURED, kept

LOG = MEASURED / "busy-tenant.txt"
ROWS = 10_000
SAMPLES = 40
RATIO_MOST = 2.0
LONG, SHORT = 10_000, 10
PASS_RATIO_MOST = 1.5


@pytest.mark.timeout(1800)
def test_a_tenant_with_ten_thousand_rows_delays_no_other(cluster: Cluster, tmp_path: Path) -> None:
    with kept(LOG) as say:
        passes = asyncio.run(long_history.ratio(tmp_path, LONG, SHORT, say))
        waits = busy_tenant.measure(cluster, tmp_path, ROWS, SAMPLES, say)
    assert waits.left > 0, "the busy tenant's rows had all ended before the last deploy was measured"
    assert waits.renewed, "the lease was renewed all along"
    assert waits.ratio <= RATIO_MOST
    assert passes <= PASS_RATIO_MOST
