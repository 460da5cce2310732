"""Tests a cluster of our own with simulated pods, started and stopped by a user without privileges."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import builds, components, processes
from local.clusters import Cluster
from tests.support.cluster import REPOSITORY

pytestmark = pytest.mark.usefixtures("root")
NOBODY = 65534
SIMULATED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: simulated}
spec:
  replicas: 2
  selector: {matchLabels: {app: simulated}}
  template:
    metadata: {labels: {app: simulated}}
    spec: {containers: [{name: simulated, image: nowhere.test/nothing:1}]}
"""


def kubectl(cluster: Cluster, *arguments: str, text: str | None = None) -> str:
    """Runs kubectl without leaving files in the cluster's folder, which belongs to another user."""
    command = [str(cluster.kubectl), "--kubeconfig", str(cluster.kubeconfig), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def nobodys_cache() -> Iterator[Path]:
    """Provides a cache with our builds that user nobody owns, where nobody can reach it."""
    builds.ensure(components.CONTROL_PLANE)
    cache = Path(tempfile.mkdtemp(prefix="dynamiq-"))
    subprocess.run(["cp", "-al", str(builds.cache_root() / "bin"), str(cache / "bin")], check=True)
    os.chown(cache, NOBODY, NOBODY)
    yield cache
    shutil.rmtree(cache)


def test_simulated_pods_need_no_privilege(nobodys_cache: Path) -> None:
    # the interpreter may be in root's home: only reading has root's rights
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    user += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]
    environment = os.environ | {"DYNAMIQ_CACHE": str(nobodys_cache), "HOME": str(nobodys_cache)}

    def local(*arguments: str) -> str:
        command = [*user, sys.executable, "-B", "-m", "local", *arguments, "--name", "sim"]
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        assert "pods are simulated" in local("up", "--profile", "control-plane")
        kubeconfig = nobodys_cache / "clusters" / "sim" / "kubeconfig"
        cluster = Cluster("sim", "control-plane", kubeconfig, builds.ensure(components.CONTROL_PLANE)["kubectl"], False, None)
        kubectl(cluster, "apply", "-f", "-", text=SIMULATED)
        assert "successfully rolled out" in kubectl(cluster, "rollout", "status", "deployment/simulated", "--timeout=240s")
        token = json.loads((kubeconfig.parent / "state.json").read_text())["token"]
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in processes.find(token)} == {NOBODY}
    finally:
        assert "stopped" in local("down")
    assert not kubeconfig.parent.exists()
