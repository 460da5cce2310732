"""The NetworkPolicy lists completely who may call the pods of an App, and whom they may call."""

from __future__ import annotations

import pytest

from dynamiq_operator.desired.inputs import Inputs
from dynamiq_operator.desired.network_policy import network_policy
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings import MetricsPeer, Settings
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


def test_empty_lists_allow_calls_of_triggers_and_calls_to_dns_only() -> None:
    (policy,) = made(ingressFrom=[], egress=[])
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert (policy["spec"]["ingress"], policy["spec"]["egress"]) == (
        [{"from": [CALLERS], "ports": CALLS}, metrics_to("dynamiq-system")],
        [DNS],
    )


def pods(namespace: str, **labels: str) -> Manifest:
    selector = {"podSelector": {"matchLabels": labels}} if labels else {}
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}, **selector}


def test_metrics_are_for_whom_the_operators_settings_name_and_calls_are_not() -> None:
    peers = (MetricsPeer(namespace="monitoring", label=("app", "prometheus")), MetricsPeer(namespace="tools"))
    (policy,) = made(Settings(metrics_from=peers), ingressFrom=[])
    calls, metrics = policy["spec"]["ingress"]
    assert calls == {"from": [CALLERS], "ports": CALLS}
    assert metrics["from"] == [*metrics_to("dynamiq-system")["from"], pods("monitoring", app="prometheus"), pods("tools")]
    assert metrics["ports"] == [{"protocol": "TCP", "port": 9090}]


@pytest.mark.parametrize(
    ("url", "namespace", "name", "port"),
    [
        ("http://dynamiq-recorder.dynamiq-recorder.svc:8080", "dynamiq-recorder", "dynamiq-recorder", 8080),
        ("http://dynamiq-recorder.runs:8080", "runs", "dynamiq-recorder", 8080),
        ("https://dynamiq-recorder.runs.svc.cluster.local:8443", "runs", "dynamiq-recorder", 8443),
        ("http://otel-collector.tools.svc", "tools", "otel-collector", 80),
    ],
)
def test_pods_that_may_call_little_may_send_their_runs_to_the_recorder_of_the_cluster(
    url: str, namespace: str, name: str, port: int
) -> None:
    (policy,) = made(Settings(recorder=url), egress=[])
    to = pods(namespace, **{"app.kubernetes.io/name": name})
    assert policy["spec"]["egress"] == [DNS, {"to": [to], "ports": [{"protocol": "TCP", "port": port}]}]
    assert made(Settings(recorder=url), ingressFrom=[])[0]["spec"] == made(ingressFrom=[])[0]["spec"]


@pytest.mark.parametrize(("access", "lets"), [("private", True), ("public", False)])
def test_pods_that_may_call_little_may_take_background_runs_if_their_app_has_keys(access: str, lets: bool) -> None:
    """The Service answers at port 80 and its pods at 8080: a network plugin may match either."""
    app = given.an_app(given.with_spec(network={"egress": []}, access={"type": access}))
    (policy,) = network_policy(Inputs(app, Settings(journal="http://dynamiq-journal.dynamiq-journal.svc")))
    to = pods("dynamiq-journal", **{"app.kubernetes.io/name": "dynamiq-journal"})
    rule = {"to": [to], "ports": [{"protocol": "TCP", "port": port} for port in (80, 8080)]}
    assert policy["spec"]["egress"] == [DNS, *([rule] if lets else [])]


def test_a_recorder_outside_of_the_cluster_is_for_the_app_to_let_through() -> None:
    assert made(Settings(recorder="https://runs.example.com"), egress=[]) == made(egress=[])


def test_smoke_tests_may_call_new_pods_while_they_are_configured() -> None:
    app = given.an_app(given.with_spec(network={"ingressFrom": [TEAM]}))
    (policy,) = network_policy(Inputs(app, verifies=True))
    operator = metrics_to("dynamiq-system")["from"][0]
    evaluation = {
        "podSelector": {
            "matchLabels": {"app.kubernetes.io/managed-by": "dynamiq-operator", "dynamiq.getdynamiq.ai/verification-of": given.NAME}
        }
    }
    assert policy["spec"]["ingress"][0] == {"from": [CALLERS, operator, evaluation, TEAM], "ports": CALLS}
