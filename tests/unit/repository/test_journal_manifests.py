"""The journal is installed with its known names, with the tightest restrictions, and with exactly the rights that it uses."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from dynamiq_operator.cli.recorder import JOURNAL
from dynamiq_operator.model.base import GROUP
from dynamiq_operator.model.journal import JOURNAL_AUDIENCE, JOURNAL_NAMESPACE, JOURNAL_SERVICE
from dynamiq_operator.model.runs import RECORDER_AUDIENCE
from dynamiq_recorder import options
from dynamiq_recorder.journal.epoch import CONFIG_MAP
from local import images, journal, recorder
from tests.unit.repository.test_manifests import MANIFESTS, documents, rights, roles

SQLITE, POSTGRES = "journal/statefulset.yaml", "overlays/journal-postgres/deployment.yaml"


def pod_of(path: str) -> dict[str, Any]:
    (workload,) = documents(path)
    found: dict[str, Any] = workload["spec"]["template"]["spec"]
    return found


def token_of(pod: dict[str, Any], name: str) -> tuple[str, str]:
    """Returns the audience of a volume's token, and the token's path in the container."""
    (container,) = pod["containers"]
    (volume,) = [each for each in pod["volumes"] if each["name"] == name]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == name]
    (source,) = volume["projected"]["sources"]
    return source["serviceAccountToken"]["audience"], f"{mount['mountPath']}/{source['serviceAccountToken']['path']}"


def variables(pod: dict[str, Any]) -> dict[str, str]:
    (container,) = pod["containers"]
    return {each["name"]: each.get("value", "") for each in container["env"]}


def test_it_reviews_reads_and_writes_nothing_of_the_cluster() -> None:
    assert rights(roles("journal/rbac.yaml")["dynamiq-journal"]) == {
        ("authentication.k8s.io", "tokenreviews"): {"create"},
        ("authorization.k8s.io", "subjectaccessreviews"): {"create"},
        ("", "pods"): {"get"},
        ("apps", "deployments"): {"get"},
        ("apps", "replicasets"): {"get"},
        (GROUP, "apps"): {"get", "list", "watch"},
    }


def test_it_reads_and_writes_one_config_map_whose_entry_no_upgrade_resets() -> None:
    (role,) = roles("journal/epoch.yaml", "Role").values()
    assert rights(role) == {("", "configmaps"): {"get", "patch"}}
    (made,) = [each for each in documents("journal/epoch.yaml") if each["kind"] == "ConfigMap"]
    assert [made["metadata"]["name"]] == role["rules"][0]["resourceNames"] == [CONFIG_MAP]
    assert "data" not in made
    (container,) = pod_of("journal/statefulset.yaml")["containers"]
    (field,) = [each["valueFrom"] for each in container["env"] if each["name"] == "POD_NAMESPACE"]
    assert field == {"fieldRef": {"fieldPath": "metadata.namespace"}}


def test_it_is_found_by_the_names_that_others_know() -> None:
    (service,) = documents("journal/service.yaml")
    (account,) = documents("journal/service-account.yaml")
    kustomization = yaml.safe_load((MANIFESTS / "journal/kustomization.yaml").read_text())
    assert service["metadata"]["name"] == JOURNAL_SERVICE
    assert kustomization["namespace"] == account["metadata"]["namespace"] == journal.NAMESPACE == JOURNAL_NAMESPACE
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == {"http": 80}, "metrics have no Service"
    assert f"http://{JOURNAL_SERVICE}.{JOURNAL_NAMESPACE}.svc" == journal.URL
    assert f"system:serviceaccount:{account['metadata']['namespace']}:{account['metadata']['name']}" == journal.ACCOUNT


def test_every_authenticated_user_reaches_only_the_journal_through_the_api_server() -> None:
    (role,) = roles("journal/proxy.yaml", "Role").values()
    assert rights(role) == {("", "services/proxy"): {"get", "create"}}
    assert [JOURNAL.proxy.endswith(f"/{name}/proxy") for name in role["rules"][0]["resourceNames"]] == [True]
    (binding,) = roles("journal/proxy.yaml", "RoleBinding").values()
    assert binding["subjects"] == [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:authenticated"}]


@pytest.mark.parametrize(("path", "kind", "replicas"), [(SQLITE, "StatefulSet", 1), (POSTGRES, "Deployment", 2)])
def test_its_pods_are_restricted_and_with_sqlite_there_is_one(path: str, kind: str, replicas: int) -> None:
    (workload,) = documents(path)
    pod = pod_of(path)
    (container,) = pod["containers"]
    assert (workload["kind"], workload["spec"]["replicas"]) == (kind, replicas)
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["image"] == images.RECORDER.reference
    assert pod["enableServiceLinks"] is False, "a Service of this name would set DYNAMIQ_JOURNAL_PORT to a URL"
    (namespace,) = documents("journal/namespace.yaml")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("path", [SQLITE, POSTGRES])
def test_tokens_are_where_the_variables_name_them(path: str) -> None:
    its_pod = pod_of(path)
    assert token_of(its_pod, "recorder") == (RECORDER_AUDIENCE, variables(its_pod)["DYNAMIQ_JOURNAL_RECORDER_TOKEN"])
    for reader in (pod_of("base/deployment.yaml"), pod_of("gate/deployment.yaml")):
        assert token_of(reader, "journal") == (JOURNAL_AUDIENCE, variables(reader)["DYNAMIQ_JOURNAL_TOKEN"])
    assert variables(its_pod)["DYNAMIQ_JOURNAL_RECORDER"] == recorder.URL


@pytest.mark.parametrize("path", ["recorder/statefulset.yaml", "overlays/recorder-postgres/deployment.yaml"])
def test_a_recorder_trusts_no_journal_unless_one_is_installed(path: str) -> None:
    """Without an installed journal, anyone may own a namespace of that name."""
    assert "DYNAMIQ_RECORDER_JOURNAL_ACCOUNT" not in variables(pod_of(path))


@pytest.mark.parametrize(("path", "store"), [(SQLITE, "sqlite:///var/lib/dynamiq-journal/"), (POSTGRES, "postgresql://")])
def test_the_journal_accepts_its_arguments_of_the_manifests(path: str, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (container,) = pod_of(path)["containers"]
    for each in container["env"]:
        monkeypatch.setenv(each["name"], each.get("value", "postgresql://user@host/journal"))
    given = options.parser().parse_args(container["args"])
    assert str(given.store).startswith(store)


def test_its_objects_select_the_pods_of_both_stores_of_which_one_is_installed() -> None:
    """Two workloads may be there at the same time, since `kubectl apply -k` removes nothing: neither takes the other's pods."""
    (service,), (policy,) = documents("journal/service.yaml"), documents("journal/network-policy.yaml")
    (budget,) = documents("overlays/journal-postgres/disruption-budget.yaml")
    for path in (SQLITE, POSTGRES):
        (workload,) = documents(path)
        labels = workload["spec"]["template"]["metadata"]["labels"].items()
        assert workload["spec"]["selector"]["matchLabels"].items() == labels
        assert service["spec"]["selector"].items() <= labels
        assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels
        assert (budget["spec"]["selector"]["matchLabels"].items() <= labels) is (path == POSTGRES)
