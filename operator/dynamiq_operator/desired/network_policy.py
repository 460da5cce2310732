"""Builds the NetworkPolicy of an App that limits its network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dynamiq_operator.desired.base import NETWORK_POLICY, child
from dynamiq_operator.desired.exposure import HTTP, METRICS_PORT, SERVICE_PORT
from dynamiq_operator.desired.inputs import Inputs
from dynamiq_operator.model import names
from dynamiq_operator.model.network import Egress, Protocol
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.recording import service_of
from dynamiq_operator.model.settings import MetricsPeer, Settings

DNS_PORTS = (53, 5353)
"""Ports of the DNS server's pod, which a policy matches. Some distributions use 5353 behind a Service at 53."""
NODE_LOCAL_DNS = "169.254.20.10/32"
"""Address of the DNS cache on each node. It is no pod, so no selector matches it."""

NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""The label in which the API server gives each namespace its name."""

JOURNAL_PORT = 8080
"""The port of the journal's pods behind its Service's port 80. Network plugins match the pod's port or the Service's."""


def network_policy(inputs: Inputs) -> list[Manifest]:
    """Returns the policy, and that of pods that only finish background runs; empty for an App that limits nothing."""
    app, network = inputs.app, inputs.app.spec.network
    if network is None or not network.limits:
        return []
    # Everything is stated in full: in a policy, a field that another manager adds can allow more, and so can a missing one.
    spec: dict[str, Any] = {"podSelector": {"matchLabels": names.pod_selector(app.meta.name)}, "policyTypes": []}
    if network.ingress_from is not None:
        spec["policyTypes"].append("Ingress")
        verifying = [_operator(inputs.settings), {"podSelector": {"matchLabels": names.evaluation_labels(app.meta.name)}}]
        callers = [*(verifying if inputs.verifies else []), *(peer.as_json() for peer in network.ingress_from)]
        spec["ingress"] = [_calls(app, [*callers, *_own_pods(app)]), _metrics(inputs.settings)]
    if network.egress is not None:
        spec["policyTypes"].append("Egress")
        spec["egress"] = [_dns(), *_stores(app, inputs.settings), *_hops(app), *map(_rule, network.egress)]
    made = [child(app, NETWORK_POLICY, names.network_policy(app.meta.name), spec=spec)]
    if not inputs.finishes:
        return made
    # Nobody calls these pods, so of what may come in only metrics are left.
    finishing = {**spec, "podSelector": {"matchLabels": {names.FINISHING_OF_LABEL: app.meta.name}}}
    finishing |= {"ingress": [_metrics(inputs.settings)]} if "ingress" in spec else {}
    return [*made, child(app, NETWORK_POLICY, names.finishing_policy(app.meta.name), spec=finishing)]


def _calls(app: App, callers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Allows calls by the port's name: during a deploy, pods of two runtimes may have two numbers for it."""
    triggers = {"podSelector": {"matchLabels": {names.TRIGGER_OF_LABEL: app.meta.name}}}
    return {"from": [triggers, *callers], "ports": [{"protocol": Protocol.TCP.value, "port": HTTP}]}


def _own_pods(app: App) -> list[dict[str, Any]]:
    """Selects the App's pods, which send turns of conversations to each other; nothing for an App without them."""
    return [{"podSelector": {"matchLabels": names.pod_selector(app.meta.name)}}] if app.spec.sessions is not None else []


def _hops(app: App) -> list[dict[str, Any]]:
    """Allows these turns to leave a pod. Network plugins match the pod's port or the Service's."""
    ports = [{"protocol": Protocol.TCP.value, "port": port} for port in (HTTP, SERVICE_PORT)]
    return [{"to": peers, "ports": ports}] if (peers := _own_pods(app)) else []


def _metrics(settings: Settings) -> dict[str, Any]:
    """Allows the operator and the configured scrapers to read metrics. Callers of the App may not: metrics need no key."""
    peers = [_operator(settings), *map(_scraper, settings.metrics_from)]
    return {"from": peers, "ports": [{"protocol": Protocol.TCP.value, "port": METRICS_PORT}]}


def _operator(settings: Settings) -> dict[str, Any]:
    return _pods(settings.operator_namespace, dict(names.OPERATOR_PODS))


def _stores(app: App, settings: Settings) -> list[dict[str, Any]]:
    """Allows the pods of recorder and journal where they are Services of this cluster, so that a limited App has both, too."""
    journal = settings.journal if app.spec.is_private else None
    return [*_store(settings.recorder), *_store(journal, JOURNAL_PORT)]


def _store(url: str | None, *ports: int) -> list[dict[str, Any]]:
    service = service_of(url) if url is not None else None
    if service is None:
        return []
    numbers = dict.fromkeys((service.port, *ports))
    pods = _pods(service.namespace, {names.NAME_LABEL: service.name})
    return [{"to": [pods], "ports": [{"protocol": Protocol.TCP.value, "port": port} for port in numbers]}]


def _scraper(peer: MetricsPeer) -> dict[str, Any]:
    return _pods(peer.namespace, dict([peer.label]) if peer.label is not None else None)


def _pods(namespace: str, labels: dict[str, str] | None) -> dict[str, Any]:
    """Selects the pods of a namespace: all, or those with these labels."""
    made: dict[str, Any] = {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: namespace}}}
    return made if labels is None else {**made, "podSelector": {"matchLabels": labels}}


def _dns() -> dict[str, Any]:
    """Allows DNS inside the cluster only: port 53 at any address would be a way out."""
    return {
        "to": [{"namespaceSelector": {}}, {"ipBlock": {"cidr": NODE_LOCAL_DNS}}],
        "ports": [{"protocol": protocol, "port": port} for port in DNS_PORTS for protocol in ("UDP", "TCP")],
    }


def _rule(rule: Egress) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if rule.to is not None:
        made["to"] = [peer.as_json() for peer in rule.to]
    if rule.ports is not None:
        made["ports"] = [{"protocol": Protocol.TCP.value, **port.as_json()} for port in rule.ports]
    return made
