"""The installation grants the operator exactly the rights of its code, and runs it under the strictest pod security."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dynamiq_operator.arguments import parser
from dynamiq_operator.desired.child_kinds import CHILD_KINDS
from dynamiq_operator.kube import resources
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model import names
from dynamiq_operator.model.base import GROUP
from dynamiq_operator.model.gates import PORTS
from dynamiq_operator.model.kinds import KINDS
from dynamiq_operator.model.settings import TRIGGER_IMAGE
from dynamiq_operator.rest.kube.id_index import INDEXED
from dynamiq_operator.rest.reads import rights as rest_rights
from local import images, operators

MANIFESTS = Path(__file__).parents[3] / "manifests"
GATE = "dynamiq-gate"
RUNS = (GROUP, "apps/runs")
"""A resource in the reviews of rights by recorder and journal. The API server serves nothing there."""
LEASE = ("coordination.k8s.io", "leases")
Rights = dict[tuple[str, str], set[str]]
"""Verbs by API group and resource."""


def documents(path: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all((MANIFESTS / path).read_text()) if document]


def rights(role: dict[str, Any]) -> Rights:
    found: Rights = defaultdict(set)
    for rule in role["rules"]:
        assert "nonResourceURLs" not in rule
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found[(group, resource)] |= set(rule["verbs"])
    return dict(found)


def roles(path: str, kind: str = "ClusterRole") -> dict[str, dict[str, Any]]:
    return {document["metadata"]["name"]: document for document in documents(path) if document["kind"] == kind}


def needed() -> Rights:
    """Returns the rights that the code needs, from its own tables where it has them."""
    wanted: Rights = defaultdict(set)

    def ask(resource: ApiResource, *verbs: str, subresource: str = "") -> None:
        wanted[(resource.group, resource.plural + subresource)] |= set(verbs)

    for resource in resources.WATCHED:
        ask(resource, "list", "watch")
    for entry in CHILD_KINDS:
        resource = resources.BY_KIND[entry.kind]
        ask(resource, "get", "create", *(["patch"] if entry.written else []), *(["delete"] if entry.removable else []))
        if entry.scaled:
            ask(resource, "patch", subresource="/scale")
    ask(resources.ROWS, "get", "create", "patch", "delete")
    ask(resources.APPROVALS, "delete")
    ask(resources.APP_CHANGES, "get", "list", "create", "patch", "delete")
    ask(resources.ROWS, "patch", subresource="/status")
    ask(resources.APPS, "patch", subresource="/status")
    ask(resources.APPS, "get", "list", "update", subresource="/runs")
    ask(resources.APPS, "get")
    ask(resources.VERSIONS, "get")
    ask(resources.PODS, "patch")
    ask(resources.EVENTS, "create", "get")
    for resource in resources.POLICIES:
        ask(resource, "get", "list")
    for resource in resources.VALIDATING_POLICIES:
        ask(resource, "list")
    ask(resources.DEFINITIONS, "get")
    return dict(wanted)


def test_every_file_is_part_of_an_installation() -> None:
    """A file that no kustomization names is never applied. Samples for health checks are beside the checks, where Argo CD expects them."""
    named: set[Path] = set()
    for path in MANIFESTS.rglob("kustomization.yaml"):
        loaded = yaml.safe_load(path.read_text())
        files = [*loaded.get("resources", ()), *(each["path"] for each in loaded.get("patches", ()) if "path" in each)]
        named |= {path, *((path.parent / each).resolve() for each in files)}
    elsewhere = {
        path for path in MANIFESTS.rglob("*.yaml") if path.is_relative_to(MANIFESTS / "helm") or "resource_customizations" in path.parts
    }
    assert set(MANIFESTS.rglob("*.yaml")) - elsewhere <= named


def test_the_operator_has_the_rights_that_it_uses_and_no_other() -> None:
    assert rights(roles("rbac/operator.yaml")["dynamiq-operator"]) == needed()


def test_the_lease_is_the_only_one_and_in_its_own_namespace() -> None:
    role = roles("rbac/operator.yaml", "Role")["dynamiq-operator-lease"]
    assert rights(role) == {LEASE: {"get", "create", "update", "watch"}}
    named = [rule for rule in role["rules"] if set(rule["verbs"]) != {"create"}]
    assert all(rule["resourceNames"] == ["dynamiq-operator"] for rule in named)
    assert role["metadata"]["namespace"] == names.OPERATOR_NAMESPACE


def test_the_account_of_the_operator_is_in_one_object_and_no_policy() -> None:
    """An overlay's `namespace:` does not change a namespace that is written into an expression."""
    (binding,) = (each for each in roles("rbac/operator.yaml", "ClusterRoleBinding").values())
    (gate,) = (each for each in roles("gate/rbac.yaml", "ClusterRoleBinding").values())
    (of_gate,) = documents("gate/service-account.yaml")
    assert gate["metadata"]["name"] == GATE
    assert gate["subjects"] == [{"kind": "ServiceAccount", **{key: of_gate["metadata"][key] for key in ("name", "namespace")}}]
    (account,) = documents("base/service-account.yaml")
    assert binding["subjects"] == [{"kind": "ServiceAccount", **{key: account["metadata"][key] for key in ("name", "namespace")}}]
    denying = set()
    for path in sorted((MANIFESTS / "admission").glob("*-*.yaml")):
        assert names.OPERATOR_NAMESPACE not in path.read_text()
        found = documents(str(path.relative_to(MANIFESTS)))
        wanting = {each["metadata"]["name"] for each in found if "paramKind" in each["spec"]}
        params = {each["spec"]["policyName"]: each["spec"]["paramRef"] for each in found if "paramRef" in each["spec"]}
        assert wanting == set(params)
        assert {each["name"] for each in params.values()} <= {binding["metadata"]["name"], GATE}
        denying |= {name for name, how in params.items() if how["parameterNotFoundAction"] == "Deny"}
    rows = {"dynamiq-rows", "dynamiq-rows-delete", "dynamiq-rows-rights"}
    apps = {"dynamiq-apps", "dynamiq-apps-deploy", "dynamiq-apps-rights", "dynamiq-apps-settings"}
    assert denying == rows | apps | {"dynamiq-approvals", "dynamiq-rejections", "dynamiq-changes", "dynamiq-status", "dynamiq-flows"}


def test_policies_that_know_restorers_know_their_group_and_their_object() -> None:
    """A policy that knew the group alone would refuse or stamp what a program restores. Namespaces are created without our binding, too."""
    knows = re.compile(re.escape(f"'{names.RESTORERS}' in request.userInfo"))
    named = f"params.?metadata.?annotations[?'{names.RESTORERS_ANNOTATION}'].orValue('').split(',').exists(u, u.trim() == request.userInfo.username)"
    found = set()
    for path in sorted((MANIFESTS / "admission").glob("*-*.yaml")):
        for policy in documents(str(path.relative_to(MANIFESTS))):
            text = " ".join(_strings(policy["spec"]))
            if knows.search(text) and policy["metadata"]["name"] != "dynamiq-namespaces":
                found.add((policy["kind"], policy["metadata"]["name"]))
                assert text.count(named) == len(knows.findall(text)), policy["metadata"]["name"]
    validating = ("approvals", "apps-deploy", "apps-rights", "apps-settings", "changes", "rejections", "rows", "rows-rights", "workloads")
    mutating = ("approvals", "apps", "apps-settings", "rejections", "restored", "rows")
    assert found == {
        *(("ValidatingAdmissionPolicy", f"dynamiq-{name}") for name in validating),
        *(("MutatingAdmissionPolicy", f"dynamiq-{name}") for name in mutating),
    }


def _strings(found: Any) -> Iterator[str]:
    """Yields every text of a document, on one line."""
    if isinstance(found, str):
        yield " ".join(found.split())
    elif isinstance(found, dict | list):
        for each in found.values() if isinstance(found, dict) else found:
            yield from _strings(each)


def test_the_operators_pods_are_those_that_reach_metrics() -> None:
    (deployment,) = documents("base/deployment.yaml")
    assert names.OPERATOR_PODS.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("folder", ["base", "api", "gate"])
def test_an_account_has_its_own_namespace(folder: str) -> None:
    """Only with it do the bindings that name the account follow an overlay's `namespace:`."""
    (account,) = documents(f"{folder}/service-account.yaml")
    assert account["metadata"]["namespace"] == (names.GATE_NAMESPACE if folder == "gate" else names.OPERATOR_NAMESPACE)
    assert operators.NAMESPACE == names.OPERATOR_NAMESPACE


def test_the_operator_looks_for_every_policy_that_is_installed() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted((MANIFESTS / "admission").glob("*-*.yaml")):
        for each in documents(str(path.relative_to(MANIFESTS))):
            found[each["kind"]].add(each["metadata"]["name"])
    validating, mutating = set(names.VALIDATING_POLICIES), set(names.MUTATING_POLICIES)
    assert found == {
        **{f"ValidatingAdmissionPolicy{end}": validating for end in ("", "Binding")},
        **{f"MutatingAdmissionPolicy{end}": mutating for end in ("", "Binding")},
    }
    (rule,) = (each for each in roles("rbac/operator.yaml")["dynamiq-operator"]["rules"] if each["apiGroups"] == ["apiextensions.k8s.io"])
    assert rule["resourceNames"] == sorted(names.FROZEN_DEFINITIONS)


def test_no_role_has_a_wildcard() -> None:
    for path in ("rbac/operator.yaml", "rbac/users.yaml", "api/rbac.yaml", "gate/rbac.yaml", "gate/operator.yaml"):
        for kind in ("ClusterRole", "Role"):
            for role in roles(path, kind).values():
                for (group, resource), verbs in rights(role).items():
                    assert "*" not in {group, resource, *verbs}
                    assert not verbs & {"bind", "escalate", "impersonate"}
                    assert resource not in {
                        "pods/exec",
                        "serviceaccounts/token",
                        "roles",
                        "clusterroles",
                        "rolebindings",
                        "clusterrolebindings",
                    }


def test_the_gate_lists_slices_and_its_own_secrets_and_writes_what_policies_narrow() -> None:
    assert rights(roles("gate/rbac.yaml")[GATE]) == {
        ("discovery.k8s.io", "endpointslices"): {"list", "watch", "patch"},
        ("apps", "deployments/scale"): {"patch"},
        (GROUP, "apps/runs"): {"create", "list"},
    }
    (own,) = roles("gate/rbac.yaml", "Role").values()
    assert (rights(own), own["metadata"]["namespace"]) == ({("", "secrets"): {"list", "watch"}}, names.GATE_NAMESPACE)


def test_the_gates_own_slices_are_watched_by_the_labels_of_its_service() -> None:
    (service,) = documents("gate/service.yaml")
    assert (service["metadata"]["name"], service["spec"]["clusterIP"]) == (names.GATE_SERVICE, "None")
    labels = {names.MANAGED_BY: names.FIELD_MANAGER, names.ENDPOINTS_LABEL: names.WATCHED_ENDPOINTS}
    assert labels.items() <= service["metadata"]["labels"].items()


def test_callers_reach_every_port_that_a_sleeping_app_may_have() -> None:
    (policy,) = documents("gate/network-policy.yaml")
    assert {"port": PORTS[0], "endPort": PORTS[-1], "protocol": "TCP"} in policy["spec"]["ingress"][0]["ports"]


@pytest.mark.parametrize(
    "pods",
    [
        *(f"{folder}/deployment.yaml" for folder in ("base", "api", "gate")),
        *(f"{folder}/statefulset.yaml" for folder in ("recorder", "journal")),
    ],
)
def test_prometheus_finds_and_reaches_the_port_of_metrics(pods: str) -> None:
    (template,) = (each["spec"]["template"] for each in documents(pods))
    (container,) = template["spec"]["containers"]
    assert {"name": "metrics", "containerPort": 9090, "protocol": "TCP"} in container["ports"]
    (policy,) = documents(f"{pods.partition('/')[0]}/network-policy.yaml")
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (rule,) = policy["spec"]["ingress"]
    assert "from" not in rule
    assert {"port": "metrics", "protocol": "TCP"} in rule["ports"]


def test_the_probes_of_the_operator_are_the_kubelets_alone() -> None:
    """kopf's own server answers them, and keeps a megabyte of each unfinished head: with access, any pod could end the operator."""
    (policy,) = documents("base/network-policy.yaml")
    assert [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]] == ["metrics"]


def test_a_gate_that_ends_has_time_for_the_calls_that_it_lets_end() -> None:
    (deployment,) = documents("gate/deployment.yaml")
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > float(parser().parse_args(["gate"]).finish_within)


def test_secrets_are_never_listed() -> None:
    assert rights(roles("rbac/operator.yaml")["dynamiq-operator"])[("", "secrets")] == {"get", "create"}


def test_people_read_our_kinds_and_create_rows_and_never_write_one_again() -> None:
    people = roles("rbac/users.yaml")
    viewer, editor = rights(people["dynamiq-view"]), rights(people["dynamiq-edit"])
    ours = {(GROUP, kind.plural): {"get", "list", "watch"} for kind in KINDS}
    beside = {
        ("", "events"): {"get", "list"},
        ("", "pods"): {"get", "list"},
        ("", "services"): {"get"},
        ("apps", "deployments"): {"get", "list"},
    }
    assert viewer == {**ours, **beside, RUNS: {"get", "list"}}
    assert (editor[(GROUP, "deployments")], editor[(GROUP, "approvals")]) == ({"create", "deploy"}, {"create"})
    assert {(group, resource): verbs for (group, resource), verbs in editor.items() if "/" in resource} == {RUNS: {"delete"}}
    assert not {(GROUP, plural) for plural in ("runtimes", "deploypolicies", "rejections")} & editor.keys()
    label = "rbac.authorization.k8s.io/aggregate-to-"
    assert [people[f"dynamiq-{who}"]["metadata"]["labels"] for who in ("view", "edit")] == [
        {f"{label}{who}": "true"} for who in ("view", "edit")
    ]


def test_the_management_api_lists_and_watches_what_it_indexes_and_nothing_else() -> None:
    expected = {(resource.group, resource.plural): {"list", "watch"} for resource in INDEXED}
    assert rights(roles("api/rbac.yaml")["dynamiq-api"]) == expected


def test_the_role_that_the_management_api_names_for_a_right_has_it() -> None:
    people = {name: rights(role) for name, role in roles("rbac/users.yaml").items()}
    named = [each for each in vars(rest_rights).values() if isinstance(each, rest_rights.Right)]
    assert named
    for right in named:
        plural = f"{right.resource.plural}/{right.subresource}" if right.subresource else right.resource.plural
        assert right.verb in people[right.role][(right.resource.group, plural)], right


def test_only_who_may_have_access_keys_reads_secrets() -> None:
    people = {name: rights(role) for name, role in roles("rbac/users.yaml").items()}
    assert {name for name, role in people.items() if ("", "secrets") in role} == {"dynamiq-keys"}
    assert people["dynamiq-keys"] == {("", "secrets"): {"get", "patch"}}
    assert "labels" not in roles("rbac/users.yaml")["dynamiq-keys"]["metadata"], "no view and no edit of the cluster's gets it by itself"


def test_a_deployer_creates_rows_alone_and_a_promoter_makes_what_is_missing() -> None:
    people = {name: rights(role) for name, role in roles("rbac/users.yaml").items()}
    read = {"get", "list", "watch"}
    viewer, deployer, promoter = (people[f"dynamiq-{who}"] for who in ("view", "deployer", "promoter"))
    flows = {("", "configmaps"): {"get"}, ("", "namespaces"): {"get"}}
    beside: Rights = {**flows, ("", "pods/log"): {"get"}, (GROUP, "deployments"): read | {"create", "deploy"}}
    beside |= {(GROUP, "approvals"): read | {"create"}}
    assert deployer == {**viewer, **beside, RUNS: {"get", "list", "update"}, (GROUP, "apps/runcontents"): {"get"}}
    assert promoter == {
        **viewer,
        **beside,
        (GROUP, "workflowversions"): read | {"create"},
        (GROUP, "apps"): read | {"create", "patch"},
    }


def test_approvers_cannot_deploy_and_on_call_can_neither_deploy_nor_approve() -> None:
    people = {name: rights(role) for name, role in roles("rbac/users.yaml").items()}
    verbs = {name: role.get((GROUP, "deployments"), set()) - {"get", "list", "watch"} for name, role in people.items()}
    assert {name: found for name, found in verbs.items() if found} == {
        **{f"dynamiq-{who}": {"create", "deploy"} for who in ("edit", "deployer", "promoter")},
        "dynamiq-on-call": {"create"},
        "dynamiq-approver": {"approve"},
        "dynamiq-bypass": {"bypass"},
    }
    bypasses = {verb for what, granted in people["dynamiq-bypass"].items() for verb in granted}
    assert bypasses == {"bypass", "get", "list", "watch"}, "it reads what it goes past, and writes nothing else"
    assert {name for name, role in people.items() if "create" in role.get((GROUP, "rejections"), set())} == {"dynamiq-approver"}
    read = {"get", "list", "watch"}
    assert people["dynamiq-policies"] == {
        (GROUP, "deploypolicies"): read | {"create", "update", "patch", "delete"},
        (GROUP, "approvals"): read | {"delete"},
    }
    for name in ("on-call", "approver", "answerer", "bypass", "policies"):
        labels = roles("rbac/users.yaml")[f"dynamiq-{name}"]["metadata"].get("labels", {})
        assert not labels, f"{name}: whoever administers a namespace would have it, or could give it"


def test_only_deployers_and_answerers_read_contents_of_runs_and_only_run_writers_send_runs() -> None:
    people = {name: rights(role) for name, role in roles("rbac/users.yaml").items()}
    contents = {name: role[GROUP, "apps/runcontents"] for name, role in people.items() if (GROUP, "apps/runcontents") in role}
    assert contents == {"dynamiq-deployer": {"get"}, "dynamiq-answerer": {"get", "update"}}
    assert [name for name, role in people.items() if "create" in role.get(RUNS, set())] == ["dynamiq-run-writer"]
    assert people["dynamiq-run-writer"] == {RUNS: {"create"}}
    assert "labels" not in roles("rbac/users.yaml")["dynamiq-run-writer"]["metadata"]


def test_the_role_that_identifies_clusters_reads_one_namespace_by_its_name() -> None:
    role = roles("rbac/users.yaml")["dynamiq-clusters"]
    assert role["rules"] == [{"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]}]
    assert "labels" not in role["metadata"]


@pytest.mark.parametrize("path", ["base/deployment.yaml", "api/deployment.yaml"])
def test_programs_that_run_triggers_have_their_image_as_first_variable(path: str) -> None:
    (deployment,) = documents(path)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    first = container["env"][0]  # README.md's overlay names it by this place
    assert first == {"name": "DYNAMIQ_TRIGGER_IMAGE", "value": TRIGGER_IMAGE}
    assert images.RUNTIME.reference == TRIGGER_IMAGE


@pytest.mark.parametrize("folder", ["base", "api", "gate"])
def test_our_pods_are_restricted_and_not_taken_for_an_apps(folder: str) -> None:
    (deployment,) = documents(f"{folder}/deployment.yaml")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"]
    assert container["resources"]["limits"]["memory"]
    assert names.MANAGED_BY not in deployment["spec"]["template"]["metadata"]["labels"]
    (namespace,) = documents(f"{'gate' if folder == 'gate' else 'base'}/namespace.yaml")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
