"""The recorder is installed with its known names, with the tightest restrictions, and with exactly the rights that it uses."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from dynamiq_operator.cli.recorder import PROXY
from dynamiq_operator.model.base import GROUP
from dynamiq_operator.model.runs import RECORDER_NAMESPACE, RECORDER_SERVICE
from dynamiq_recorder import options
from dynamiq_recorder.pricing import Prices
from local import images
from tests.support.recorder_stage import OPERATOR_USER
from tests.unit.repository.test_manifests import MANIFESTS, documents, rights, roles

SQLITE, POSTGRES = "recorder/statefulset.yaml", "overlays/recorder-postgres/deployment.yaml"


def pod_of(path: str) -> dict[str, Any]:
    (workload,) = documents(path)
    found: dict[str, Any] = workload["spec"]["template"]["spec"]
    return found


def test_it_reviews_reads_and_writes_nothing() -> None:
    assert rights(roles("recorder/rbac.yaml")["dynamiq-recorder"]) == {
        ("authentication.k8s.io", "tokenreviews"): {"create"},
        ("authorization.k8s.io", "subjectaccessreviews"): {"create"},
        ("", "pods"): {"get", "list"},
        ("apps", "deployments"): {"get"},
        ("apps", "replicasets"): {"get"},
        (GROUP, "apps"): {"get", "list", "watch"},
        (GROUP, "deployments"): {"list", "watch"},
    }


def test_it_is_found_by_the_names_that_others_know() -> None:
    (service,) = documents("recorder/service.yaml")
    (account,) = documents("recorder/service-account.yaml")
    kustomization = yaml.safe_load((MANIFESTS / "recorder/kustomization.yaml").read_text())
    assert service["metadata"]["name"] == RECORDER_SERVICE
    assert kustomization["namespace"] == account["metadata"]["namespace"] == RECORDER_NAMESPACE
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == {"http": 8080}, "metrics have no Service"


def test_every_authenticated_user_reaches_only_the_recorder_through_the_api_server() -> None:
    (role,) = roles("recorder/proxy.yaml", "Role").values()
    assert rights(role) == {("", "services/proxy"): {"get", "create", "delete"}}
    assert [f"/{name}/proxy" in PROXY for name in role["rules"][0]["resourceNames"]] == [True]
    (binding,) = roles("recorder/proxy.yaml", "RoleBinding").values()
    assert binding["subjects"] == [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:authenticated"}]


@pytest.mark.parametrize("path", [SQLITE, POSTGRES])
def test_its_pods_are_restricted(path: str) -> None:
    pod = pod_of(path)
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["image"] == images.RECORDER.reference
    assert pod["enableServiceLinks"] is False, "a Service of this name would set DYNAMIQ_RECORDER_PORT to a URL"
    (namespace,) = documents("recorder/namespace.yaml")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("path", [SQLITE, POSTGRES])
def test_the_recorder_accepts_its_arguments_of_the_manifests(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (container,) = pod_of(path)["containers"]
    for each in container["env"]:
        monkeypatch.setenv(each["name"], each.get("value", "postgresql://user@host/runs"))
    given = options.parser().parse_args(container["args"])
    assert (given.operator_account, given.gate_account) == (OPERATOR_USER, None), "the gate is trusted by its rights, where it is installed"
    assert given.store.startswith("sqlite:///var/lib/dynamiq-recorder/" if path == SQLITE else "postgresql://")
    assert str(given.prices).startswith(next(each["mountPath"] for each in container["volumeMounts"] if each["name"] == "prices"))


@pytest.mark.parametrize("path", [SQLITE, POSTGRES])
def test_objects_of_one_store_do_not_select_pods_of_the_other(path: str) -> None:
    """Both stores may be installed, since `kubectl apply -k` removes nothing: only one of them then serves."""
    (workload,) = documents(path)
    (service,), (budget,) = documents("recorder/service.yaml"), documents("overlays/recorder-postgres/disruption-budget.yaml")
    (policy,) = documents("recorder/network-policy.yaml")
    overlay = yaml.safe_load((MANIFESTS / "overlays/recorder-postgres/kustomization.yaml").read_text())
    (patch,) = [made for each in overlay["patches"] if (made := yaml.safe_load(each["patch"]))["kind"] == "Service"]
    selectors = {SQLITE: service["spec"]["selector"], POSTGRES: service["spec"]["selector"] | patch["spec"]["selector"]}
    labels = workload["spec"]["template"]["metadata"]["labels"].items()
    assert {where for where, selector in selectors.items() if selector.items() <= labels} == {path}
    assert workload["spec"]["selector"]["matchLabels"].items() == labels
    assert (budget["spec"]["selector"]["matchLabels"].items() <= labels) is (path == POSTGRES)
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels


def test_sqlite_has_one_recorder() -> None:
    (workload,) = documents(SQLITE)
    assert (workload["kind"], workload["spec"]["replicas"]) == ("StatefulSet", 1)


def test_the_prices_that_come_along_can_be_read() -> None:
    (table,) = documents("recorder/prices.yaml")
    prices = Prices(table["data"]["prices.yaml"])
    assert prices.price("openai/gpt-4o-mini", 0) is not None
