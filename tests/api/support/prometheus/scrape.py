"""Makes a job of Prometheus from a PodMonitor, with the same relabelings in the same order as the Prometheus Operator.

It follows `generatePodMonitorConfig` of prometheus-operator v0.93.0 (pkg/prometheus/promcfg.go), for the fields that our monitors have.
Another field raises an error. Debian builds Prometheus without the discovery of Kubernetes (discovery/kubernetes/pod.go): this module makes
its labels from the pods of the API server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

KNOWN = {
    "jobLabel",
    "namespaceSelector",
    "selector",
    "podMetricsEndpoints",
    "sampleLimit",
    "labelLimit",
    "labelNameLengthLimit",
    "labelValueLengthLimit",
}
KNOWN_OF_ENDPOINT = {"port", "honorLabels", "relabelings"}
LIMITS = {
    "sampleLimit": "sample_limit",
    "labelLimit": "label_limit",
    "labelNameLengthLimit": "label_name_length_limit",
    "labelValueLengthLimit": "label_value_length_limit",
}
Relabeling = dict[str, Any]


def job(monitor: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the job of the first endpoint of a PodMonitor, over the pods in its namespaces."""
    meta, spec = monitor["metadata"], monitor["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    assert set(spec) <= KNOWN, set(spec) - KNOWN
    assert set(endpoint) <= KNOWN_OF_ENDPOINT, set(endpoint) - KNOWN_OF_ENDPOINT
    chosen = spec.get("namespaceSelector", {})
    namespaces = None if chosen.get("any") else chosen.get("matchNames", [meta["namespace"]])
    within = [pod for pod in pods if namespaces is None or pod["metadata"]["namespace"] in namespaces]
    return {
        "job_name": f"podMonitor/{meta['namespace']}/{meta['name']}/0",
        "honor_labels": endpoint.get("honorLabels", False),
        "static_configs": [found for pod in within for found in _discovered(pod)],
        "relabel_configs": list(_relabelings(meta, spec, endpoint)),
        **{theirs: spec[ours] for ours, theirs in LIMITS.items() if ours in spec},
    }


def _discovered(pod: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields a target for each port of each container of a pod, as Kubernetes discovery makes them."""
    meta, status = pod["metadata"], pod["status"]
    own = {
        "namespace": meta["namespace"],
        "pod_name": meta["name"],
        "pod_uid": meta["uid"],
        "pod_ip": status["podIP"],
        "pod_phase": status["phase"],
        **{f"pod_label_{_plain(name)}": value for name, value in meta.get("labels", {}).items()},
        **{f"pod_labelpresent_{_plain(name)}": "true" for name in meta.get("labels", {})},
    }
    for container in pod["spec"]["containers"]:
        for port in container.get("ports", ()):
            named = {"pod_container_name": container["name"], "pod_container_port_name": port.get("name", "")}
            labels = {f"__meta_kubernetes_{name}": value for name, value in {**own, **named}.items()}
            yield {"targets": [f"{status['podIP']}:{port['containerPort']}"], "labels": labels}


def _relabelings(meta: Mapping[str, Any], spec: Mapping[str, Any], endpoint: Mapping[str, Any]) -> Iterator[Relabeling]:
    yield {"source_labels": ["job"], "target_label": "__tmp_prometheus_job_name"}
    yield {"action": "drop", "source_labels": ["__meta_kubernetes_pod_phase"], "regex": "(Failed|Succeeded)"}
    yield from _selected(spec["selector"])
    yield {"action": "keep", "source_labels": ["__meta_kubernetes_pod_container_port_name"], "regex": endpoint["port"]}
    for source, target in (("namespace", "namespace"), ("pod_container_name", "container"), ("pod_name", "pod")):
        yield {"source_labels": [f"__meta_kubernetes_{source}"], "target_label": target}
    yield {"target_label": "job", "replacement": f"{meta['namespace']}/{meta['name']}"}
    if label := spec.get("jobLabel"):
        yield {"source_labels": [_label(label)], "target_label": "job", "regex": "(.+)", "replacement": "${1}"}
    yield {"target_label": "endpoint", "replacement": endpoint["port"]}
    for each in endpoint.get("relabelings", ()):
        yield {re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name): value for name, value in each.items()}


def _selected(selector: Mapping[str, Any]) -> Iterator[Relabeling]:
    for key, value in sorted(selector.get("matchLabels", {}).items()):
        yield {"action": "keep", "source_labels": [_label(key), _label(key, "labelpresent")], "regex": f"({value});true"}
    for each in selector.get("matchExpressions", ()):
        assert each["operator"] == "Exists", each
        yield {"action": "keep", "source_labels": [_label(each["key"], "labelpresent")], "regex": "true"}


def _label(name: str, kind: str = "label") -> str:
    return f"__meta_kubernetes_pod_{kind}_{_plain(name)}"


def _plain(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)
