"""The management API as it is installed: its pods run under the strictest pod security and answer through their Service."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local import images
from local.clusters import Cluster
from tests.support import stage as stages
from tests.support.api import Api
from tests.support.cluster import REPOSITORY, Kubectl
from tests.support.operator import install_rights
from tests.support.stage import Stage
from tests.support.waiting import eventually

READY_WITHIN = 180  # seconds


@pytest.fixture
def on(cluster: Cluster) -> Iterator[Stage]:
    with stages.stage(cluster, "rest") as made:
        yield made


@pytest.fixture
def installed(cluster: Cluster, on: Stage, api: Api) -> Iterator[None]:
    """The API of this checkout, gone at the end."""
    cluster.load_images(images.ensure([images.OPERATOR]).values())
    install_rights(cluster)
    kubectl = Kubectl(cluster)
    manifests = str(REPOSITORY / "manifests" / "api")
    kubectl("apply", "--server-side", "--force-conflicts", "-k", manifests)
    try:
        kubectl(
            "rollout",
            "status",
            "deployment/dynamiq-api",
            f"--timeout={READY_WITHIN}s",
            namespace=OPERATOR_NAMESPACE,
            timeout=READY_WITHIN + 5,
        )
        yield
    finally:
        kubectl("delete", "--ignore-not-found", "-k", manifests, timeout=READY_WITHIN)


def test_it_answers_through_its_service(on: Stage, installed: None) -> None:
    on.kubectl("create", "serviceaccount", "anna", namespace=on.namespace)
    on.kubectl("create", "rolebinding", "anna", "--clusterrole=view", f"--serviceaccount={on.namespace}:anna", namespace=on.namespace)
    token = on.kubectl("create", "token", "anna", namespace=on.namespace).stdout.strip()

    def get(path: str, token: str) -> tuple[int, str]:
        return on.asked(f"http://dynamiq-api.{OPERATOR_NAMESPACE}.svc{path}", None, {"Authorization": f"Bearer {token}"})

    eventually("the Service leads to a pod", lambda: get("/readyz", token)[0] == 200)
    status, body = get("/v1/projects", token)
    assert (status, [project["name"] for project in json.loads(body)["data"]]) == (200, [on.namespace])
    assert get("/v1/projects", "wrong")[0] == 401
