"""A gateway's requirements of a cluster, and the message if the cluster does not meet them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from local import components, controlplane, gateway
from local.clusters import Cluster
from local.errors import LocalError


def test_a_cluster_whose_pods_are_simulated_is_refused() -> None:
    cluster = Cluster("sim", "control-plane", Path("kubeconfig"), Path("kubectl"), False, None)
    with pytest.raises(LocalError, match="the control-plane profile has none that is ours"):
        gateway.start(cluster)


def test_the_configuration_names_the_gateway_that_is_made() -> None:
    values = {"gateway_ip": gateway.INSIDE_IP, "node_ip": "10.0.0.1", "http": gateway.INSIDE_HTTP, "https": gateway.INSIDE_HTTPS}
    made = {each["kind"]: each for each in controlplane.render_objects("gateway.yaml", **values)}
    named = yaml.safe_load((controlplane.CONFIG / "contour.yaml").read_text())["gateway"]["gatewayRef"]
    assert f"{named['namespace']}/{named['name']}" == gateway.PARENT
    assert (made["Gateway"]["metadata"]["namespace"], made["Gateway"]["metadata"]["name"]) == (named["namespace"], named["name"])
    assert made["IngressClass"]["metadata"]["name"] == gateway.INGRESS_CLASS


def test_the_gateway_api_is_of_the_version_that_contour_is_built_with() -> None:
    contour = (components.MODULES / "contour" / "go.mod").read_text()
    assert f"sigs.k8s.io/gateway-api v{components.GATEWAY_API.version} " in contour


def test_components_of_the_gateway_are_not_built_for_a_cluster_without_one() -> None:
    assert not set(components.GATEWAY) & {*components.NODE, *components.CONTROL_PLANE}
