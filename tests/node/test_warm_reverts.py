"""A bad version is taken back under its callers: by strategy Switch to pods that are warm still, so that it starts none."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.support import factories
from tests.support.load.versions import failing
from tests.support.stage import operator, stage, uids
from tests.support.waiting import eventually

APP = "shop"
REVERTS = factories.with_spec(
    rollout={"strategy": "Switch", "revert": {"seconds": 300, "maxFailedPercent": 20, "minRuns": 20}}, access={"type": "private"}
)


@pytest.mark.timeout(600)
def test_bad_version_is_taken_back_to_warm_pods_while_callers_call(cluster: Cluster, tmp_path: Path) -> None:
    with stage(cluster, "warm-reverts") as on, operator(on, folder=tmp_path):
        on.runtime("fast", by_default=True)
        on.release("v1")
        on.release("v2", text=failing("v2", 0.6))
        on.app(APP, REVERTS)
        on.live(APP, "v1")
        warm = uids(on.pods(APP))
        on.until_reached(APP)
        with on.load(APP, every=0.05) as heard:
            bad = on.deploy(APP, "v2")
            back = names.revert_row(APP, bad)
            row = eventually("a row takes it back", lambda: on.find("Deployment", back), 180)
            on.until(back, "Live")
            on.until_answer(APP, "v1", on.key(APP))
            pods = uids(on.pods(APP))
    print(f"\n{row['spec']['message']}\n{heard['sent']} calls: {heard['by_status']}, {heard['by_output']}")
    assert warm <= pods, "what ran before serves on in the pods that it had"
    assert set(heard["by_status"]) == {"200", "500"}, "what failed is what the bad version failed"
