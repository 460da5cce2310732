"""Provides one cluster with real pods and a gateway to the tests of this folder."""

from __future__ import annotations

import pytest

from local.clusters import Cluster
from tests.support.api import Api
from tests.support.real_pods import at as at
from tests.support.real_pods import guarded_cluster as guarded_cluster
from tests.support.waiting import eventually

GONE_WITHIN = 300.0  # seconds


@pytest.fixture(scope="module", autouse=True)
def begins_alone(cluster: Cluster) -> None:
    """Starts each file after the end of the previous one's pods: while 50 Apps end at once, a small machine answers nobody for seconds."""
    api = Api.of(cluster)

    def are_gone() -> bool:
        return not any("deletionTimestamp" in each["metadata"] for each in api.get("Namespace", "", "").body["items"])

    eventually("the namespaces of the tests before are gone", are_gone, GONE_WITHIN, 0.5)
