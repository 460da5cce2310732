"""Runs workflows that fork, or fill their disk or memory, and attacks a pod with forms.

A workflow harms its own pod alone, forms harm none, and a neighbour on the same node answers every call.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.support.api import Manifest
from tests.support.cluster import REPOSITORY
from tests.support.factories import public
from tests.support.flows import answering
from tests.support.inside import node_of
from tests.support.stage import ONE_POD, Stage, condition, operator, restarts, stage
from tests.support.waiting import eventually

NEIGHBOUR = "neighbour"
FORMS = "forms"
WILD = "wild"
"""An App that answers; `kubectl exec` acts inside its pod, since the tiny engine allows no flow to do so."""
GREEDY = "greedy"
EATS = "eats"
"""A workflow whose runs need more memory than there is."""
SMALL = {"resources": {"requests": {"memory": "32Mi"}, "limits": {"memory": "160Mi"}}}

FILL = """
import errno, json, os, time
def filled(path):
    written = 0
    try:
        with open(path, "wb", buffering=0) as file:
            while written < 1 << 31:
                written += file.write(bytes(1 << 20))
        return [written, "no end"]
    except OSError as error:
        return [written, errno.errorcode[error.errno]]
    finally:
        if os.path.exists(path):
            os.unlink(path)
until = time.monotonic() + 5
places = {}
while not places or time.monotonic() < until:
    places = {place: filled(place + "/filled") for place in ("/tmp", "/", "/etc", "/home", "/var/tmp", "/run")}
print(json.dumps(places))
"""
# The pod cannot start a process for three seconds, in which a probe of the kubelet and calls of the neighbour occur.
FORK = """
import json, os, signal, time
children = []
try:
    while len(children) < 5000:
        child = os.fork()
        if not child:
            signal.pause()
        children.append(child)
    said = "no end"
except OSError as error:
    said = type(error).__name__
print(json.dumps([len(children), said]), flush=True)
time.sleep(3)
for child in children:
    os.kill(child, signal.SIGKILL)
"""
LEFT = """
import json, pathlib, time
def ended():
    return sum(each.read_text().rpartition(")")[2].split()[0] == "Z" for each in pathlib.Path("/proc").glob("[0-9]*/stat"))
until = time.monotonic() + 60
while (count := ended()) and time.monotonic() < until:
    time.sleep(0.1)
print(json.dumps(count))
"""
TOKENS = """
import json, os
print(json.dumps([os.path.exists("/var/run/secrets/kubernetes.io"), os.getuid()]))
"""


@dataclass(frozen=True)
class Street:
    """The stage of the tests of this file."""

    on: Stage

    def inside(self, app: str, program: str) -> Any:
        """Returns the output of a program in the App's container."""
        (pod,) = self.on.pods(app)
        done = self.on.kubectl(
            "exec", pod["metadata"]["name"], "--", "python3", "-c", program, namespace=self.on.namespace, check=False, timeout=120
        )
        assert done.stdout, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def street(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """Provides three Apps on one node, one of which is called the whole time, and answers each call."""
    with stage(cluster, "isolation") as on, operator(on, folder=tmp_path_factory.mktemp("isolation")):
        on.release("v1")
        on.release("v1", workflow=EATS, text=answering("").replace("return ''", "return len('x' * (1 << 30))"))
        on.runtime("fast", by_default=True)
        on.app(NEIGHBOUR)
        on.app(WILD, public())
        on.app(GREEDY, public(), workflow=EATS)
        rows = [on.deploy(app, "v1", config=ONE_POD) for app in (NEIGHBOUR, WILD)]
        rows.append(on.deploy(GREEDY, "v1", config={**ONE_POD, **SMALL}))
        for row in rows:
            on.until(row, "Live")
        on.until_reached(NEIGHBOUR)
        with on.load(NEIGHBOUR) as calls:
            yield Street(on)
        assert calls["failed"] == 0, calls["errors"]
        assert restarts(on.pods(NEIGHBOUR)) == 0


def test_a_workflow_that_fills_its_disk_gets_an_error(street: Street) -> None:
    places = street.inside(WILD, FILL)
    written, why = places.pop("/tmp")  # noqa: S108 - the pod's own
    assert (why, written <= 64 << 20) == ("ENOSPC", True)
    assert {each[1] for each in places.values()} <= {"EROFS", "EACCES", "ENOENT"}, places
    street.on.until_answer(WILD, "v1")  # its readiness probe may have failed meanwhile
    assert restarts(street.on.pods(WILD)) == 0


def test_a_workflow_that_forks_runs_out_of_processes_by_itself(street: Street) -> None:
    forked, message = street.inside(WILD, FORK)
    assert message == "BlockingIOError"
    assert forked < 1024
    street.on.until_answer(WILD, "v1")
    assert street.inside(WILD, LEFT) == 0, "a process that has ended still counts as one of the pod's"


def test_a_workflow_that_takes_all_memory_is_killed_and_the_app_reports_it(street: Street) -> None:
    on = street.on

    def killed() -> Manifest | None:
        on.call(GREEDY)
        app = on.get("App", GREEDY)  # once: the pod may restart
        available, ready = condition(app, "Available"), condition(app, "Ready")
        return available if available["reason"] == ready["reason"] == "OOMKilled" else None

    reason = eventually("the App says what became of its pod", killed)
    assert "used more memory than its limit" in reason["message"]
    (pod,) = on.pods(GREEDY)
    (status,) = pod["status"]["containerStatuses"]
    assert "OOMKilled" in {state.get("terminated", {}).get("reason") for state in (status["state"], status["lastState"])}


def test_a_small_pod_withstands_forms_that_attack_it(street: Street) -> None:
    on = street.on
    on.app(FORMS, public())
    on.live(FORMS, "v1", config={**ONE_POD, **SMALL})
    (pod,) = on.pods(FORMS)
    program = [*node_of(on.cluster).enter, sys.executable, "-m", "tests.support.forms", f"http://{pod['status']['podIP']}:8080/"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    bad, good = json.loads(done.stdout)
    assert set(bad) <= {0, 400, 429}
    assert set(good) <= {0, 200, 429}
    assert 400 in bad
    assert 200 in good
    assert restarts(on.pods(FORMS)) == 0
    on.until_answer(FORMS, "v1")


def test_a_pod_has_no_token_and_no_root(street: Street) -> None:
    has_token, user = street.inside(WILD, TOKENS)
    assert (has_token, user > 0) == (False, True)


def test_a_namespace_takes_no_pod_that_is_not_restricted(street: Street) -> None:
    """All pods of the operator are restricted, and an edited workload cannot create others."""
    on = street.on
    root = {"containers": [{"name": "root", "image": "registry.test/x:1", "securityContext": {"runAsUser": 0}}]}
    refused = on.api.create(on.named("Pod", "root") | {"spec": root})
    assert (refused.status, "violates PodSecurity" in refused.message) == (403, True)
    assert all(pod["metadata"]["labels"].get(names.APP_LABEL) for app in (NEIGHBOUR, WILD) for pod in on.pods(app))
