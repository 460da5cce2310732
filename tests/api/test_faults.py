"""A few kinds of fault of the API server, for a few seconds each, in parallel. tests/soak/test_faults.py has all of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local.clusters import Cluster
from tests.support.api import Api
from tests.support.faults import matrix
from tests.support.operator import install_rights

KINDS = ("an empty object", "watches fall silent", "410 for lists")
LASTS = 8.0  # seconds


def test_after_a_fault_it_is_back_and_all_is_as_it_was(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    install_rights(cluster)
    with ThreadPoolExecutor(len(KINDS)) as pool:
        outcomes = list(pool.map(lambda kind: matrix.run(cluster, api, kind, LASTS, tmp_path / kind.replace(" ", "-")), KINDS))
    assert [str(outcome) for outcome in outcomes if not outcome.is_good] == []
