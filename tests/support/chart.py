"""The Helm chart and the real helm: what it renders and refuses, with values that leave out none, and what kustomize makes of the same sources."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local import builds, components
from tests.support.api import Manifest
from tests.support.cluster import REPOSITORY, SHORT_LIVED, parsed

CHART = REPOSITORY / "manifests" / "chart"
RELEASE = "dynamiq"
NAMESPACE = "dynamiq-system"
TIMEOUT = 600.0  # seconds: an installation waits until its pods are ready
HOOK = "helm.sh/hook"
OF_HELM = {"app.kubernetes.io/managed-by", "app.kubernetes.io/instance", "app.kubernetes.io/version", "helm.sh/chart"}
"""Labels by which Helm knows its own."""
DIGEST = f"sha256:{'d' * 64}"


def _component(name: str, number: int) -> Manifest:
    """Values of one program, each with the program's name in it."""
    return {
        "replicas": number,
        "resources": {"requests": {"cpu": f"{number}m"}, "limits": {"memory": f"{number}Gi"}},
        "nodeSelector": {f"{name}-pool": "yes"},
        "tolerations": [{"key": f"{name}-taint", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": f"{name}-rack"}]}},
        "priorityClassName": f"{name}-class",
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": f"{name}-row", "whenUnsatisfiable": "DoNotSchedule"}],
        "podLabels": {f"{name}-label": "set"},
        "podAnnotations": {f"{name}-annotation": "set"},
        "extraArgs": [f"--option-of-{name}"],
        "extraEnv": [{"name": f"{name.upper()}_MORE", "value": "set"}],
        "extraEnvFrom": [{"secretRef": {"name": f"{name}-variables"}}],
        "extraVolumes": [{"name": f"{name}-files", "secret": {"secretName": f"{name}-files"}}],
        "extraVolumeMounts": [{"name": f"{name}-files", "mountPath": f"/etc/{name}-files"}],
    }


EVERYTHING: Manifest = {
    "images": {
        "registry": "registry.test/team",
        "pullPolicy": "Always",
        "pullSecrets": ["pull-secret"],
        "operator": {"repository": "renamed-operator", "tag": "operator-tag"},
        "runtime": {"repository": "renamed-runtime", "digest": DIGEST},
        "recorder": {"repository": "renamed-recorder", "tag": "recorder-tag"},
    },
    "logLevel": "debug",
    "operator": _component("operator", 11),
    "api": {
        "enabled": True,
        **_component("api", 12),
        "service": {"type": "LoadBalancer", "annotations": {"service-annotation": "set"}},
        "ingress": {
            "hostname": "api.company.test",
            "className": "ingress-class-of-api",
            "tlsSecret": "certificate-secret",
            "annotations": {"ingress-annotation": "set"},
        },
    },
    "console": {
        "enabled": True,
        "url": "https://api.company.test",
        "oidc": {
            "issuer": "https://provider.company.test",
            "clientId": "console-client",
            "scopes": "openid groups",
            "name": "Provider of the company",
            "existingSecret": "provider-secret",
            "clientSecretKey": "client-secret-key",
            "caKey": "authority.crt",
        },
    },
    "gate": {
        "enabled": True,
        **_component("gate", 13),
        "namespace": "gates",
        "createNamespace": True,
        "terminationGracePeriodSeconds": 1801,
        "retire": {"enabled": True, "timeoutSeconds": 77},
    },
    "recorder": {
        "enabled": True,
        **_component("recorder", 14),
        "url": "https://recorder.company.test",
        "createNamespace": True,
        "store": "sqlite",
        "storage": {"size": "21Gi", "className": "storage-class"},
        "existingSecret": "database-secret",
        "prices": [{"model": "priced-model", "input": 2.5, "output": 10}],
    },
    "apps": {
        "domain": "apps.company.test",
        "publicScheme": "https",
        "publicPort": 8443,
        "ingressClass": "ingress-class-of-apps",
        "gateway": "gateways/public",
        "imagePolicy": "digest",
        "metricsFrom": ["scrapers", "others/app=scraper"],
    },
    "notifications": {"existingSecret": "sink-secret", "format": "Slack", "allowNetworks": ["10.20.0.0/16"]},
    "admission": {"mutating": True},
    "crds": {"check": True},
    "monitoring": {"enabled": True, "labels": {"release": "prometheus-of-company"}, "dashboardLabels": {"dashboard-label": "set"}},
}
"""Every value, none of them what it is by default, but for switches that would leave something out; where there are two ways, one."""
OF_ALL_PODS: Manifest = {
    "pods": {
        "nodeSelector": {"pool-of-all": "yes"},
        "tolerations": [{"key": "taint-of-all", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "rack-of-all"}]}},
        "priorityClassName": "class-of-all",
    },
}
ON_A_DATABASE: Manifest = {**EVERYTHING, "recorder": {**EVERYTHING["recorder"], "store": "postgresql"}}
BY_DIGEST: Manifest = {
    "images": {
        "operator": {"digest": DIGEST.replace("d", "a")},
        "runtime": {"tag": "runtime-tag"},
        "recorder": {"digest": DIGEST.replace("d", "e")},
    },
    "recorder": {"enabled": True},
}
LEAST: Manifest = {"api": {"enabled": False}, "gate": {"enabled": False}, "admission": {"mutating": False}, "crds": {"check": False}}
VALUE_SETS: Mapping[str, Manifest] = {
    "defaults": {},
    "everything": EVERYTHING,
    "on-a-database": ON_A_DATABASE,
    "of-all-pods": OF_ALL_PODS,
    "by-digest": BY_DIGEST,
    "least": LEAST,
    "whole": {"recorder": {"enabled": True}, "monitoring": {"enabled": True}},
}
"""Values that people may have, by a name for each."""


@dataclass(frozen=True)
class Helm:
    """Runs helm, which keeps its files in `home`; without a kubeconfig it knows of no cluster."""

    home: Path
    kubeconfig: Path | None = None
    program: Path = field(default_factory=lambda: program())
    _rendered: dict[str, list[Manifest]] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, *arguments: str, values: Manifest | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Raises AssertionError with helm's own words where it fails, unless `check=False`."""
        folders = {f"HELM_{name}_HOME": str(self.home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        environment = {**os.environ, **folders, **SHORT_LIVED, "KUBECONFIG": str(self.kubeconfig or self.home / "no-kubeconfig")}
        command = [str(self.program), *arguments, *([] if values is None else ["--values", "-"])]
        done = subprocess.run(
            command,
            env=environment,
            input=json.dumps(values) if values is not None else None,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == 0 or not check, f"helm {' '.join(arguments)}: {done.stderr.strip()}\n{done.stdout.strip()}"
        return done

    def rendered(self, values: Manifest, *arguments: str, chart: Path = CHART, namespace: str = NAMESPACE) -> list[Manifest]:
        """The objects that it would install, those of hooks and the definitions included. What is rendered of the same values once is kept."""
        command = ("template", RELEASE, str(chart), "--namespace", namespace, "--include-crds", *arguments)
        key = json.dumps([command, values])
        if key not in self._rendered:
            self._rendered[key] = parsed(self(*command, values=values).stdout)
        return list(self._rendered[key])

    def refused(self, values: Manifest, *arguments: str, chart: Path = CHART, namespace: str = NAMESPACE) -> str:
        """Why it would install nothing. Raises AssertionError where it would."""
        done = self("template", RELEASE, str(chart), "--namespace", namespace, *arguments, values=values, check=False)
        assert done.returncode != 0, f"these values are taken: {values}"
        return done.stderr


def program() -> Path:
    """Helm, built where the cache does not have it: half a minute where Kubernetes has been compiled, and some more where it has not."""
    return builds.ensure([components.HELM])["helm"]


def by_name(objects: Sequence[Manifest]) -> dict[str, Manifest]:
    """Objects by kind, namespace and name, without Helm's own labels. Those of hooks, which an installation does not have, are left out."""
    found: dict[str, Manifest] = {}
    for each in objects:
        meta = each["metadata"]
        if HOOK in (meta.get("annotations") or {}):
            continue
        labels = {name: value for name, value in (meta.get("labels") or {}).items() if name not in OF_HELM}
        name = "/".join([each["kind"], *([meta["namespace"]] if "namespace" in meta else []), meta["name"]])
        assert name not in found, f"{name} is there twice"
        found[name] = {**each, "metadata": {**meta, "labels": labels}}
    return found


def differences(left: Any, right: Any, path: str = "") -> Iterator[str]:
    """Where two objects differ, as paths; items of a list by their names, where they have some. How a text is broken into lines is no difference."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for key in sorted({*left, *right}):
            if key in left and key in right:
                yield from differences(left[key], right[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif (
        isinstance(left, list)
        and isinstance(right, list)
        and (left_named := _named(left)) is not None
        and (right_named := _named(right)) is not None
    ):
        for name in [*left_named, *(name for name in right_named if name not in left_named)]:
            if name in left_named and name in right_named:
                yield from differences(left_named[name], right_named[name], f"{path}[{name}]")
            else:
                yield f"{path}[{name}]"
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from differences(one, other, f"{path}[{number}]")
    elif _words(left) != _words(right):
        yield path


def _named(items: list[Any]) -> dict[str, Any] | None:
    if not all(isinstance(each, Mapping) and "name" in each for each in items):
        return None
    return {each["name"]: each for each in items}


def _words(value: Any) -> Any:
    """kustomize prints a folded text whose lines are indented with an empty line more between them."""
    return value.replace("\n\n", "\n") if isinstance(value, str) else value


def leaves(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each value by its dotted name: what is no mapping, or an empty one."""
    if isinstance(values, Mapping) and values:
        for key, value in values.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, values


def scalars(value: Any) -> Iterator[Any]:
    """Every key and every scalar in it."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield key
            yield from scalars(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from scalars(each)
    else:
        yield value
