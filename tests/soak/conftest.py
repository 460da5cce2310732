"""Provides one real control plane with simulated pods to the long runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.clusters import Cluster
from tests.support.cluster import session_cluster


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Provides a cluster of the control-plane profile with our resources installed, or the one that the environment names."""
    with session_cluster("control-plane", pytestconfig) as started:
        yield started
