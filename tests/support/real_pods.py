"""Defines fixtures of folders whose tests share one cluster with real pods and its gateway: a conftest.py imports those that it needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local import gateway
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support import shared_cluster
from tests.support.cluster import session_cluster


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Provides a cluster of the node profile with our resources installed, or the one that the environment names."""
    with session_cluster("node", pytestconfig) as started:
        yield started


@pytest.fixture(scope="session", name="cluster")
def guarded_cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Provides the fixture `cluster` with the admission policies, as it is installed; one for all workers of a run."""
    with shared_cluster.guarded("node", pytestconfig) as started:
        yield started


@pytest.fixture(scope="session")
def at(cluster: Cluster) -> Gateway:
    """Provides the cluster's gateway, which the first test that uses it starts."""
    return gateway.start(cluster)
