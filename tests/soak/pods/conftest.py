"""One cluster with real pods for the long runs that need them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.clusters import Cluster
from tests.support.cluster import session_cluster


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A cluster of the node profile with our resources installed, or the one that the environment names."""
    with session_cluster("node", pytestconfig) as started:
        yield started
