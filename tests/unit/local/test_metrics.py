"""The requirements of metrics-server of a cluster, and the message if the cluster does not meet them."""

from __future__ import annotations

from pathlib import Path

import pytest

from local import components, controlplane, metrics
from local.clusters import Cluster
from local.errors import LocalError


@pytest.mark.parametrize("profile", ["control-plane", "kind", "context"])
def test_a_cluster_without_a_node_of_ours_is_refused(profile: str) -> None:
    cluster = Cluster("other", profile, Path("kubeconfig"), Path("kubectl"), profile != "control-plane", None)  # type: ignore[arg-type]
    with pytest.raises(LocalError, match=f"the {profile} profile has none: where pods are real"):
        metrics.start(cluster)


def test_the_api_is_registered_last_and_checked_by_the_clusters_authority() -> None:
    *objects, service = controlplane.render_objects("metrics.yaml", node_ip="10.0.0.1", port=metrics.PORT, authority="QQ==")
    assert metrics.SERVICE.endswith(f"/{service['metadata']['name']}")
    assert (service["spec"]["caBundle"], service["spec"].get("insecureSkipTLSVerify")) == ("QQ==", None)
    made = {each["kind"]: each for each in objects}
    named = service["spec"]["service"]
    assert made["Service"]["metadata"] == {"name": named["name"], "namespace": named["namespace"]}
    assert made["EndpointSlice"]["metadata"]["labels"]["kubernetes.io/service-name"] == named["name"]


def test_it_is_not_built_for_a_cluster_without_it() -> None:
    assert components.METRICS_SERVER not in {*components.NODE, *components.CONTROL_PLANE, *components.GATEWAY}
