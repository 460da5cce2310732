"""Installs mutating admission policies as platforms have them, for the objects of one namespace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.support.api import Api, Manifest
from tests.support.waiting import eventually

GROUP = "admissionregistration.k8s.io/v1"
PATHS = {kind: f"/apis/{GROUP}/{kind}" for kind in ("mutatingadmissionpolicies", "mutatingadmissionpolicybindings")}
MIRROR = "mirror.test/"
SIDECAR = "mesh"
PROBE = "is-mutated"


@dataclass(frozen=True)
class Mutation:
    """A change that a policy makes to a resource of a group, as a JSON patch in CEL."""

    group: str
    resource: str
    expression: str


def _text(value: str) -> str:
    return f'"{value}"'


def _replace(path: str, value: str) -> str:
    return f'JSONPatch{{op: "replace", path: "{path}", value: {value}}}'


def _add(path: str, value: str) -> str:
    return f'JSONPatch{{op: "add", path: "{path}", value: {value}}}'


_OBJECT = "Object.spec.template.spec.containers"
_RESTRICTED = (
    f'{_OBJECT}.securityContext{{allowPrivilegeEscalation: false, capabilities: {_OBJECT}.securityContext.capabilities{{drop: ["ALL"]}}}}'
)
SIDECARS = Mutation(
    "apps",
    "deployments",
    f'object.spec.template.spec.containers.exists(each, each.name == "{SIDECAR}") ? [] : ['
    + _add("/spec/template/spec/containers/-", f'{_OBJECT}{{name: "{SIDECAR}", image: "{SIDECAR}:1", securityContext: {_RESTRICTED}}}')
    + "]",
)
IMAGES = Mutation(
    "apps",
    "deployments",
    "["
    + _replace(
        "/spec/template/spec/containers/0/image",
        f'"{MIRROR}" + object.spec.template.spec.containers[0].image.replace("{MIRROR}", "")',
    )
    + "]",
)
RESOURCES = Mutation(
    "apps",
    "deployments",
    "["
    + ", ".join(
        [
            _add("/spec/template/spec/containers/0/resources/limits/cpu", '"500m"'),
            _add("/spec/template/spec/containers/0/resources/limits/memory", '"3Gi"'),
            _add("/spec/template/metadata/labels/cost", '"a"'),
            _add("/metadata/labels/cost", '"a"'),
        ]
    )
    + "]",
)
OF_WORKLOADS: Mapping[str, tuple[Mutation, ...]] = {"sidecar": (SIDECARS,), "image": (IMAGES,), "resources": (RESOURCES,)}

_LABELLED = _add("/metadata/labels/cost", '"a"')
OF_OTHERS = (
    Mutation("", "services", f"[{_LABELLED}, {_add('/spec/internalTrafficPolicy', _text('Local'))}]"),
    Mutation("", "configmaps", f"[{_LABELLED}]"),
    Mutation("autoscaling", "horizontalpodautoscalers", f"[{_LABELLED}, {_replace('/spec/maxReplicas', '3')}]"),
    Mutation("policy", "poddisruptionbudgets", f"[{_LABELLED}, {_replace('/spec/maxUnavailable', '2')}]"),
    Mutation("networking.k8s.io", "ingresses", f"[{_LABELLED}, {_add('/spec/ingressClassName', _text('inner'))}]"),
    Mutation("networking.k8s.io", "networkpolicies", f"[{_LABELLED}]"),
    Mutation(
        "batch",
        "cronjobs",
        "["
        + ", ".join(
            [
                _LABELLED,
                _replace("/spec/timeZone", '"Europe/Berlin"'),
                _replace(
                    "/spec/jobTemplate/spec/template/spec/containers/0/image",
                    f'"{MIRROR}" + object.spec.jobTemplate.spec.template.spec.containers[0].image.replace("{MIRROR}", "")',
                ),
            ]
        )
        + "]",
    ),
)
"""Mutations that add fields, and change the value of fields of ours."""


@contextlib.contextmanager
def at_work(api: Api, namespace: str, *mutations: Mutation) -> Iterator[None]:
    """Applies these mutations to everything that is created or updated in a namespace, while the block runs."""
    made = [(f"{namespace}-{number}", mutation) for number, mutation in enumerate(mutations)]
    probe = f"{namespace}-probe"
    try:
        for name, mutation in (*made, (probe, Mutation("", "configmaps", f"[{_add('/data/mutated', _text('yes'))}]"))):
            _create(api, name, namespace, mutation, only=PROBE if name == probe else None)
        eventually("the policies work", lambda: _probed(api, namespace))
        yield
    finally:
        for name, _ in (*made, (probe, None)):
            for path in PATHS.values():
                api.request("DELETE", f"{path}/{name}")


def _probed(api: Api, namespace: str) -> bool:
    meta = {"name": PROBE, "namespace": namespace, "annotations": {"a": "b"}, "labels": {"a": "b"}}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "b"}}
    answer = api.create(config_map, dry_run=True)
    return answer.ok and "mutated" in answer.body["data"]


def _create(api: Api, name: str, namespace: str, mutation: Mutation, only: str | None) -> None:
    rule = {"apiGroups": [mutation.group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": [mutation.resource]}
    spec: Manifest = {
        "matchConstraints": {
            "resourceRules": [{**rule, **({"resourceNames": [only]} if only else {})}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        },
        "reinvocationPolicy": "Never",
        "failurePolicy": "Fail",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": mutation.expression}}],
    }
    meta = {"name": name}
    policy = {"apiVersion": GROUP, "kind": "MutatingAdmissionPolicy", "metadata": meta, "spec": spec}
    binding = {"apiVersion": GROUP, "kind": "MutatingAdmissionPolicyBinding", "metadata": meta, "spec": {"policyName": name}}
    for path, manifest in zip(PATHS.values(), (policy, binding), strict=True):
        answer = api.request("POST", path, manifest)
        assert answer.ok, answer.message
