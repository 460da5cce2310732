"""The network limits of an App on a cluster that enforces them: who reaches its pods, and whom they reach, by pod and by Service."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from dynamiq_operator.desired.exposure import METRICS_PORT
from dynamiq_operator.model import names
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from dynamiq_operator.model.objects import format_time
from local.clusters import Cluster
from tests.support.api import Manifest
from tests.support.factories import public, with_spec
from tests.support.stage import Stage, operator, stage
from tests.support.waiting import eventually

LIMITED, FREE, BOUND = "limited", "free", "bound"
FRIEND, STRANGER = "friend", "stranger"
TRIGGERED_WITHIN = 120.0  # seconds: a pod starts, imports, calls, and ends
ENFORCED_WITHIN = 90.0  # seconds: kube-router looks at every pod of the node for each change
PORT = 8080  # of an App, and of whom it calls
OTHER_PORT = 8081

SERVE = f"""
import http.server, threading
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
for port in ({PORT}, {OTHER_PORT}):
    threading.Thread(target=http.server.ThreadingHTTPServer(("", port), Answers).serve_forever).start()
"""


@dataclass(frozen=True)
class Town:
    """The stage, with pods that call and are called."""

    on: Stage

    def ways(self, app: str) -> list[str]:
        """The ways to an App's calls: its Service, and each of its pods."""
        service = f"{app}.{self.on.namespace}.svc:80"
        return [service, *(f"{pod['status']['podIP']}:{PORT}" for pod in self.on.pods(app))]

    def pod_of(self, app: str) -> str:
        (pod,) = self.on.pods(app)
        return str(pod["metadata"]["name"])

    def address(self, pod: str) -> str:
        return str(self.on.get("Pod", pod)["status"]["podIP"])

    def until_reached(self, pod: str, targets: list[str], wanted: list[str]) -> None:
        """Waits until of `targets` the pod reaches `wanted` and no other."""
        eventually(f"{pod} reaches {wanted} alone", lambda: self.on.reached(pod, *targets) == wanted, ENFORCED_WITHIN, 0.5)

    def limit(self, app: str, **network: Manifest | list[Manifest] | None) -> None:
        self.on.change("App", app, spec={"network": network})


@pytest.fixture(scope="module")
def town(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Three Apps: one that says who may call it, one that says whom it calls, one that says nothing."""
    with stage(cluster, "network") as on, operator(on, folder=tmp_path_factory.mktemp("network")):
        on.release("v1")
        on.runtime("fast", by_default=True)
        on.app(LIMITED, with_spec(network={"ingressFrom": [{"podSelector": {"matchLabels": {"role": FRIEND}}}]}))
        on.app(BOUND, public(), with_spec(network={"egress": []}))
        on.app(FREE, public())
        rows = [on.deploy(app, "v1") for app in (LIMITED, BOUND, FREE)]
        on.pod(FRIEND, "python3", "-c", SERVE, labels={"role": FRIEND})
        on.pod(STRANGER, "python3", "-c", SERVE, labels={"role": STRANGER})
        for name in (FRIEND, STRANGER):
            ports = [{"name": f"p{port}", "port": port} for port in (PORT, OTHER_PORT)]
            on.create({**on.named("Service", name), "spec": {"selector": {"role": name}, "ports": ports}})
        for row in rows:
            on.until(row, "Live")
        yield Town(on)


@pytest.fixture
def operators_pod(town: Town) -> Iterator[str]:
    """A pod where the operator's are, with their labels: the operator of these tests is a process outside of the cluster."""
    on, name = town.on, f"operator-of-{town.on.namespace}"
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR_NAMESPACE}}
    created = on.api.create(made)  # stays: `kubectl apply -k manifests/` of another test may have made it
    assert created.ok or created.status == 409, created.message
    on.pod(name, labels=names.OPERATOR_PODS, namespace=OPERATOR_NAMESPACE)
    yield name
    on.kubectl("delete", "pod", name, "--now", namespace=OPERATOR_NAMESPACE)


def test_an_app_is_called_by_those_that_it_names_alone(town: Town) -> None:
    ways = town.ways(LIMITED)
    assert len(ways) > 1
    town.until_reached(STRANGER, ways, [])
    town.until_reached(FRIEND, ways, ways)
    free = town.ways(FREE)
    town.until_reached(STRANGER, free, free)  # and of others nobody speaks; the node may hear of a Service a moment after its App is Live
    stranger = {"podSelector": {"matchLabels": {"role": STRANGER}}}
    town.limit(LIMITED, ingressFrom=[stranger])
    town.until_reached(STRANGER, ways, ways)
    town.until_reached(FRIEND, ways, [])
    town.limit(LIMITED, ingressFrom=[])
    town.until_reached(STRANGER, ways, [])
    town.limit(LIMITED, ingressFrom=[{"podSelector": {"matchLabels": {"role": FRIEND}}}])
    town.until_reached(FRIEND, ways, ways)


def test_metrics_are_read_by_the_operator_alone_where_an_app_names_its_callers(town: Town, operators_pod: str) -> None:
    """Of an App that names none everybody in the cluster reads them, who knows a pod's address."""
    on = town.on
    (pod,), (free,) = on.pods(LIMITED), on.pods(FREE)
    limited, of_free = f"{pod['status']['podIP']}:{METRICS_PORT}", f"{free['status']['podIP']}:{METRICS_PORT}"
    by_service = [f"{app}.{on.namespace}.svc:{METRICS_PORT}" for app in (LIMITED, FREE)]
    town.until_reached(FRIEND, [limited, of_free, *town.ways(LIMITED), *by_service], [of_free, *town.ways(LIMITED)])
    town.until_reached(STRANGER, [limited, of_free, *by_service], [of_free])
    eventually(
        "the operator reads them", lambda: town.on.reached(operators_pod, limited, namespace=OPERATOR_NAMESPACE), ENFORCED_WITHIN, 0.5
    )
    assert town.on.reached(operators_pod, *town.ways(LIMITED), namespace=OPERATOR_NAMESPACE) == [], "and is no caller"
    prometheus = {"from": [{"podSelector": {"matchLabels": {"role": STRANGER}}}], "ports": [{"port": METRICS_PORT}]}
    selected = {"matchLabels": {names.APP_LABEL: LIMITED}}
    on.create({**on.named("NetworkPolicy", "prometheus"), "spec": {"podSelector": selected, "ingress": [prometheus]}})
    town.until_reached(STRANGER, [limited, *town.ways(LIMITED)], [limited])
    on.delete("NetworkPolicy", "prometheus")


def test_the_trigger_of_an_app_that_names_nobody_calls_it(town: Town) -> None:
    on = town.on
    on.app("alone", public(), with_spec(network={"ingressFrom": []}, triggers=[{"name": "once", "runAt": format_time(datetime.now(UTC))}]))
    on.live("alone", "v1")
    town.until_reached(FRIEND, town.ways("alone"), [])

    def ran() -> list[Manifest]:
        return [run for run in on.get("App", "alone").get("status", {}).get("triggers", ()) if "endedAt" in run]

    (run,) = eventually("the trigger has run", ran, TRIGGERED_WITHIN, 0.5)
    assert run["outcome"] == "Succeeded"


def test_an_app_calls_those_that_it_names_alone_and_asks_dns(town: Town) -> None:
    on, pod = town.on, town.pod_of(BOUND)
    by_name = {f"{name}.{on.namespace}.svc:{port}": name for name in (FRIEND, STRANGER) for port in (PORT, OTHER_PORT)}
    by_pod = [f"{town.address(name)}:{port}" for name in (FRIEND, STRANGER) for port in (PORT, OTHER_PORT)]
    everywhere = [*by_name, *by_pod, "kubernetes.default.svc:443", *town.ways(FREE)]
    town.until_reached(town.pod_of(FREE), everywhere, everywhere)
    town.until_reached(pod, everywhere, [])
    friend = {"to": [{"podSelector": {"matchLabels": {"role": FRIEND}}}], "ports": [{"port": PORT}]}
    town.limit(BOUND, egress=[friend])
    town.until_reached(pod, everywhere, [f"{FRIEND}.{on.namespace}.svc:{PORT}", f"{town.address(FRIEND)}:{PORT}"])
    town.until_reached(FRIEND, town.ways(BOUND), town.ways(BOUND))
    town.limit(BOUND, egress=[friend, {"to": [{"ipBlock": {"cidr": f"{town.address(STRANGER)}/32"}}]}])
    strangers = [f"{STRANGER}.{on.namespace}.svc:{port}" for port in (PORT, OTHER_PORT)]
    strangers += [f"{town.address(STRANGER)}:{port}" for port in (PORT, OTHER_PORT)]
    eventually("the range is reached", lambda: set(strangers) <= set(town.on.reached(pod, *everywhere)), ENFORCED_WITHIN, 0.5)


def test_a_limited_app_answers_all_along_while_it_is_deployed_again(town: Town) -> None:
    """By addresses, since of a caller's labels the node hears a moment after its first call."""
    on = town.on
    on.release("v2")
    pods = on.api.get("Node", f"{on.cluster.name}-node", "").body["spec"]["podCIDR"]
    town.limit(LIMITED, ingressFrom=[{"ipBlock": {"cidr": pods}}])
    town.until_reached(STRANGER, town.ways(LIMITED), town.ways(LIMITED))
    with on.load(LIMITED) as heard:
        on.live(LIMITED, "v2")
        on.live(LIMITED, "v1")
    assert (heard["failed"], heard["sent"] > 20) == (0, True), heard["errors"]
