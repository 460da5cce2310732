"""The NetworkPolicy states in full who may call the pods of an App, and whom they may call."""

from __future__ import annotations

from dynamiq_operator.desired.inputs import Inputs
from dynamiq_operator.desired.network_policy import network_policy
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings import Settings
from tests.support import factories as given

CALLERS = {"podSelector": {"matchLabels": {"dynamiq.getdynamiq.ai/trigger-of": given.NAME}}}
TEAM = {"namespaceSelector": {"matchLabels": {"team": "web"}}}
DNS = {
    "to": [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "169.254.20.10/32"}}],
    "ports": [{"protocol": protocol, "port": port} for port in (53, 5353) for protocol in ("UDP", "TCP")],
}
CALLS = [{"protocol": "TCP", "port": "http"}]


def made(settings: Settings | None = None, **network: object) -> list[Manifest]:
    return network_policy(Inputs(given.an_app(given.with_spec(network=network)), settings or Settings()))


def metrics_to(namespace: str) -> Manifest:
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "dynamiq-operator"}},
    }
    return {"from": [operator], "ports": [{"protocol": "TCP", "port": 9090}]}


def test_an_app_that_limits_nothing_has_none() -> None:
    assert network_policy(Inputs(given.an_app())) == made() == []


def test_callers_are_those_that_are_named_and_the_apps_own_triggers() -> None:
    (policy,) = made(ingressFrom=[TEAM])
    assert policy["spec"] == {
        "podSelector": {"matchLabels": {"dynamiq.getdynamiq.ai/app": given.NAME}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [CALLERS, TEAM], "ports": CALLS}, metrics_to("dynamiq-system")],
    }


def test_metrics_are_for_the_operator_where_it_is_installed() -> None:
    (policy,) = made(Settings(operator_namespace="tools"), ingressFrom=[TEAM])
    assert policy["spec"]["ingress"][1:] == [metrics_to("tools")]


def test_calls_go_to_what_is_named_and_to_dns_in_the_cluster() -> None:
    (policy,) = made(
        egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443}]}, {"ports": [{"protocol": "UDP", "port": 123}]}]
    )
    assert policy["spec"]["policyTypes"] == ["Egress"]
    assert policy["spec"]["egress"] == [
        DNS,
        {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"protocol": "TCP", "port": 443}]},
        {"ports": [{"protocol": "UDP", "port": 123}]},
    ]


def test_nobody_but_triggers_may_call_and_nothing_but_dns_is_called_where_the_lists_are_empty() -> None:
    (policy,) = made(ingressFrom=[], egress=[])
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert (policy["spec"]["ingress"], policy["spec"]["egress"]) == (
        [{"from": [CALLERS], "ports": CALLS}, metrics_to("dynamiq-system")],
        [DNS],
    )
