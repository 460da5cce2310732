"""Installs, upgrades, rolls back and uninstalls the chart on a cluster without ours, while one App is called and another sleeps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.model.kinds import KINDS
from local import clusters
from local.clusters import Cluster
from tests.support import audited, release
from tests.support.api import Manifest
from tests.support.chart import NAMESPACE
from tests.support.load.sleepers import serverless, until_asleep
from tests.support.release import Release
from tests.support.stage import Stage, stage, uids
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.long(
        "a release on a cluster of its own, which starts for it; what the chart renders: tests/system/test_chart.py, tests/api/test_chart.py"
    ),
    pytest.mark.usefixtures("root"),
    pytest.mark.timeout(1200),
]
ANSWERED = 200


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    name = f"t{os.getpid()}-chart"
    try:
        yield clusters.start(name, "node", env={})
    finally:
        audited.stop(name)


def test_no_app_notices_an_upgrade_a_rollback_or_the_end_of_the_release(cluster: Cluster, tmp_path: Path) -> None:
    installed = release.on(cluster, tmp_path)
    installed.install()
    installed.test()
    with stage(cluster, "chart") as on:
        first = _deployed(on)
        objects_before = installed.objects()
        with on.load("answers") as calls:
            installed.upgrade({"operator": {"podAnnotations": {"upgraded": "yes"}}, "api": {"replicas": 1}})
            on.live("answers", "v2")
            installed.rollback(1)
            assert _annotations(installed) == "", "the rollback took back what the upgrade had changed"
            until_asleep(on, "sleeps")
            on.until(first, "Superseded")  # the operator may have been replaced before it wrote this
            pods, rows = uids(on.until_settled("answers")), _specs(on)
            installed.uninstall()
            # Nothing remains that wakes it. The node learns a moment later that its calls do not go to the gate any more.
            eventually("it was woken before", lambda: on.call("sleeps", on.key("sleeps"))[0] == ANSWERED)
        assert calls["failed"] == 0, calls["errors"]
        installed.until_gone(objects_before, f"namespace/{names.GATE_NAMESPACE}")
        assert installed.definitions() == {kind.crd_name for kind in KINDS}
        assert (uids(on.pods("answers")), _specs(on)) == (pods, rows)


def _specs(on: Stage) -> dict[str, Manifest]:
    """Returns the rows' specs by uid: statuses may be rewritten without a difference."""
    return {row["metadata"]["uid"]: row["spec"] for row in on.rows("answers")}


def _deployed(on: Stage) -> str:
    """Makes an App that is called the whole time, whose row is returned, and one that will sleep."""
    on.release("v1", "v2")
    on.runtime("fast", by_default=True)
    for app in ("answers", "sleeps"):
        on.app(app)
    row = on.deploy("sleeps", "v1", config=serverless())
    first = on.live("answers", "v1")
    on.until(row, "Live")
    on.until_reached("answers")
    return first


def _annotations(installed: Release) -> str:
    """Returns the annotations of the operator's pods, from its Deployment; empty if they have none."""
    path = "jsonpath={.spec.template.metadata.annotations}"
    return installed.kubectl("get", "deployment.apps/dynamiq-operator", "-o", path, namespace=NAMESPACE).stdout
