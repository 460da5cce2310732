"""Fixtures of folders whose tests share one cluster with real pods and its gateway: a conftest.py imports those that it wants."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local import gateway
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.cluster import session_cluster


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A cluster of the node profile with our resources installed, or the one that the environment names."""
    with session_cluster("node", pytestconfig) as started:
        yield started


@pytest.fixture(scope="session")
def at(cluster: Cluster) -> Gateway:
    """The cluster's gateway, started by the first test that asks for it."""
    return gateway.start(cluster)
