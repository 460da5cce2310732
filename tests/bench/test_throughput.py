"""200 Apps deployed at once, until all are Live, beside the plain creation of the same objects by as many connections."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support.api import Api
from tests.support.at_once import deployed_at_once

APPS = 200
RATIO_MOST = 15.0


@pytest.mark.timeout(900)
def test_apps_deployed_at_once(cluster: Cluster, api: Api, namespace: str, tmp_path: Path) -> None:
    found = deployed_at_once(cluster, api, namespace, tmp_path, APPS)
    print("\n" + "\n".join(found.lines()))
    assert found.failed == {}
    assert found.ratio < RATIO_MOST
