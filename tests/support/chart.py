"""Renders the Helm chart with the real helm: its objects and refusals, sets of values that cover each value, and kustomize's objects for
comparison.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local import builds, components
from local.chart.build import build
from tests.support.api import Manifest
from tests.support.cluster import SHORT_LIVED, parsed

RELEASE = "dynamiq"
NAMESPACE = "dynamiq-system"
TIMEOUT = 600.0  # seconds: an installation waits until its pods are ready
HOOK = "helm.sh/hook"
OF_HELM = {"app.kubernetes.io/managed-by", "app.kubernetes.io/instance", "app.kubernetes.io/version", "helm.sh/chart"}
"""Helm's own labels."""
DIGEST = f"sha256:{'d' * 64}"


def _component(name: str, number: int) -> Manifest:
    """Returns values of one program, each with the program's name in it."""
    return {
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
    "operator": {"replicas": 11, **_component("operator", 11)},
    "api": {
        "enabled": True,
        "replicas": 12,
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
        "replicas": 13,
        **_component("gate", 13),
        "namespace": "gates",
        "createNamespace": True,
        "terminationGracePeriodSeconds": 1801,
        "retire": {"enabled": True, "timeoutSeconds": 77},
    },
    "recorder": {
        "enabled": True,
        "replicas": 14,
        **_component("recorder", 14),
        "url": "https://recorder.company.test",
        "createNamespace": True,
        "store": "sqlite",
        "storage": {"size": "21Gi", "className": "storage-class"},
        "existingSecret": "database-secret",
        "prices": [{"model": "priced-model", "input": 2.5, "output": 10}],
    },
    "journal": {
        "enabled": True,
        "replicas": 16,
        **_component("journal", 15),
        "createNamespace": True,
        "store": "sqlite",
        "existingSecret": "journal-database-secret",
        "storage": {"size": "22Gi", "className": "storage-class-of-journal"},
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
"""Every value, each different from its default, without switches that would remove a part; of two alternatives, one."""
OF_ALL_PODS: Manifest = {
    "pods": {
        "nodeSelector": {"pool-of-all": "yes"},
        "tolerations": [{"key": "taint-of-all", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "rack-of-all"}]}},
        "priorityClassName": "class-of-all",
    },
}
ON_A_DATABASE: Manifest = {
    **EVERYTHING,
    "recorder": {**EVERYTHING["recorder"], "store": "postgresql"},
    "journal": {**EVERYTHING["journal"], "store": "postgresql"},
}
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
"""Possible values of users, by a name for each."""


@dataclass(frozen=True)
class Helm:
    """Runs helm, which keeps its files in `home`; without a kubeconfig it has no cluster. `chart`: built if it is not there."""

    home: Path
    kubeconfig: Path | None = None
    program: Path = field(default_factory=lambda: program())
    chart: Path = field(default_factory=build)
    _rendered: dict[str, list[Manifest]] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, *arguments: str, values: Manifest | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs helm with arguments. Raises AssertionError with helm's own message if it fails, unless `check=False`."""
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

    def rendered(self, values: Manifest, *arguments: str, chart: Path | None = None, namespace: str = NAMESPACE) -> list[Manifest]:
        """Returns the objects that it would install, including those of hooks and the definitions. It caches them by values."""
        command = ("template", RELEASE, str(chart or self.chart), "--namespace", namespace, "--include-crds", *arguments)
        key = json.dumps([command, values])
        if key not in self._rendered:
            self._rendered[key] = parsed(self(*command, values=values).stdout)
        return list(self._rendered[key])

    def refused(self, values: Manifest, *arguments: str, chart: Path | None = None, namespace: str = NAMESPACE) -> str:
        """Returns helm's refusal of these values. Raises AssertionError if it accepts them."""
        done = self("template", RELEASE, str(chart or self.chart), "--namespace", namespace, *arguments, values=values, check=False)
        assert done.returncode != 0, f"these values are taken: {values}"
        return done.stderr


def program() -> Path:
    """Returns Helm, built if the cache does not have it: half a minute if Kubernetes is compiled, else longer."""
    return builds.ensure([components.HELM])["helm"]


def by_name(objects: Sequence[Manifest]) -> dict[str, Manifest]:
    """Returns objects by kind, namespace and name, without Helm's own labels, and without hooks, which an installation does not have."""
    objects_by_name: dict[str, Manifest] = {}
    for each in objects:
        meta = each["metadata"]
        if HOOK in (meta.get("annotations") or {}):
            continue
        labels = {name: value for name, value in (meta.get("labels") or {}).items() if name not in OF_HELM}
        name = "/".join([each["kind"], *([meta["namespace"]] if "namespace" in meta else []), meta["name"]])
        assert name not in objects_by_name, f"{name} is there twice"
        objects_by_name[name] = {**each, "metadata": {**meta, "labels": labels}}
    return objects_by_name


def differences(left: Any, right: Any, path: str = "") -> Iterator[str]:
    """Yields the differing paths of two objects; items of a list are matched by their names, if any. Line breaks of a text do not count."""
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
        for number, (first, other) in enumerate(zip(left, right, strict=True)):
            yield from differences(first, other, f"{path}[{number}]")
    elif _words(left) != _words(right):
        yield path


def _named(items: list[Any]) -> dict[str, Any] | None:
    if not all(isinstance(each, Mapping) and "name" in each for each in items):
        return None
    return {each["name"]: each for each in items}


def _words(value: Any) -> Any:
    """Normalizes text: kustomize prints folded text with indented lines with one more empty line between them."""
    return value.replace("\n\n", "\n") if isinstance(value, str) else value


def leaves(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each value by its dotted name: all that is no mapping, or an empty one."""
    if isinstance(values, Mapping) and values:
        for key, value in values.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, values


def scalars(value: Any) -> Iterator[Any]:
    """Yields every key and every scalar in it."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield key
            yield from scalars(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from scalars(each)
    else:
        yield value
