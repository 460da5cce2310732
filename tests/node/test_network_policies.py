"""Tests NetworkPolicies on a cluster that enforces them: an App's callers, its own calls by pod and by Service, and callers of our
programs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from dynamiq_operator.desired.exposure import METRICS_PORT
from dynamiq_operator.desired.network_policy import NAMESPACE_NAME
from dynamiq_operator.model import names
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from dynamiq_operator.model.objects import format_time
from local.clusters import Cluster
from tests.support.api import Manifest, fresh_namespace
from tests.support.cluster import REPOSITORY
from tests.support.factories import public, with_spec
from tests.support.stage import Stage, operator, stage
from tests.support.waiting import IN_TIME, eventually

LIMITED, FREE, BOUND = "limited", "free", "bound"
FRIEND, STRANGER, RECORDER = "friend", "stranger", "dynamiq-recorder"
PROGRAMS = {"base": "deployment", "api": "deployment", "gate": "deployment", "recorder": "statefulset", "journal": "statefulset"}
"""Folders of manifests with a NetworkPolicy, and the file of its pods."""
MANIFESTS = REPOSITORY / "manifests"
TRIGGERED_WITHIN = IN_TIME  # seconds: a pod starts, imports, calls, and ends
ENFORCED_WITHIN = IN_TIME  # seconds: kube-router reads every pod of the node for each change
PORT = 8080  # of an App, and of the servers that it calls
OTHER_PORT = 8081


def serve(*ports: int) -> tuple[str, ...]:
    """Returns the command of a pod that answers at these ports."""
    program = f"""
import http.server, threading
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
for port in {ports}:
    threading.Thread(target=http.server.ThreadingHTTPServer(("", port), Answers).serve_forever).start()
"""
    return "python3", "-c", program


SERVE = serve(PORT, OTHER_PORT)
AT_HOME = {"podSelector": {"matchLabels": {"role": FRIEND}}}
"""The friend of the App's own namespace."""


@dataclass(frozen=True)
class Town:
    """The stage, with pods that call and are called. `abroad`: a namespace with a friend of the same labels, and the recorder's stand-in."""

    on: Stage
    abroad: str

    def ways(self, app: str) -> list[str]:
        """Returns the addresses of an App's calls: its Service, and each of its pods."""
        service = f"{app}.{self.on.namespace}.svc:80"
        return [service, *(f"{pod['status']['podIP']}:{PORT}" for pod in self.on.pods(app))]

    def pod_of(self, app: str) -> str:
        (pod,) = self.on.pods(app)
        return str(pod["metadata"]["name"])

    def address(self, pod: str, namespace: str | None = None) -> str:
        return str(self.on.api.get("Pod", pod, namespace or self.on.namespace).body["status"]["podIP"])

    def until_reached(self, pod: str, targets: list[str], expected: list[str], namespace: str | None = None) -> None:
        """Waits until the pod reaches exactly `expected` of `targets`."""
        eventually(
            f"{pod} reaches {expected} alone", lambda: self.on.reached(pod, *targets, namespace=namespace) == expected, ENFORCED_WITHIN, 0.5
        )

    def limit(self, app: str, **network: Manifest | list[Manifest] | None) -> None:
        self.on.change("App", app, spec={"network": network})


def told(abroad: str) -> list[str]:
    """Returns the operator's options: a recorder, and a reader of metrics."""
    return [f"--recorder=http://{RECORDER}.{abroad}.svc:{PORT}", f"--metrics-from={abroad}/role={FRIEND}"]


@pytest.fixture(scope="module")
def town(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Provides three Apps: one with limited callers, one with limited targets, and one without limits."""
    folder = tmp_path_factory.mktemp("network")
    with stage(cluster, "network") as on, fresh_namespace(on.api, "abroad") as abroad, operator(on, folder=folder, options=told(abroad)):
        on.release("v1")
        on.runtime("fast", by_default=True)
        on.app(LIMITED, with_spec(network={"ingressFrom": [AT_HOME]}))
        on.app(BOUND, public(), with_spec(network={"egress": []}))
        on.app(FREE, public())
        rows = [on.deploy(app, "v1") for app in (LIMITED, BOUND, FREE)]
        on.pod(FRIEND, *SERVE, labels={"role": FRIEND})
        on.pod(STRANGER, *SERVE, labels={"role": STRANGER})
        on.pod(FRIEND, *SERVE, labels={"role": FRIEND}, namespace=abroad)
        on.pod(RECORDER, *SERVE, labels={names.NAME_LABEL: RECORDER}, namespace=abroad)
        for name in (FRIEND, STRANGER):
            ports = [{"name": f"p{port}", "port": port} for port in (PORT, OTHER_PORT)]
            on.create({**on.named("Service", name), "spec": {"selector": {"role": name}, "ports": ports}})
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": RECORDER, "namespace": abroad}}
        on.create({**service, "spec": {"selector": {names.NAME_LABEL: RECORDER}, "ports": [{"port": PORT}]}})
        for row in rows:
            on.until(row, "Live")
        yield Town(on, abroad)


@pytest.fixture(scope="module")
def operators_pod(town: Town) -> Iterator[str]:
    """Provides a pod in the operator's namespace, with its labels: the operator of these tests is a process outside of the cluster."""
    on, name = town.on, f"operator-of-{town.on.namespace}"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR_NAMESPACE}}
    created = on.api.create(namespace)  # stays: `kubectl apply -k manifests/` of another test may have created it
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
    town.until_reached(STRANGER, free, free)  # no policy limits the others; the node may learn of a Service a moment after its App is Live
    stranger = {"podSelector": {"matchLabels": {"role": STRANGER}}}
    town.limit(LIMITED, ingressFrom=[stranger])
    town.until_reached(STRANGER, ways, ways)
    town.until_reached(FRIEND, ways, [])
    town.limit(LIMITED, ingressFrom=[])
    town.until_reached(STRANGER, ways, [])
    town.limit(LIMITED, ingressFrom=[AT_HOME])
    town.until_reached(FRIEND, ways, ways)


def test_a_caller_of_another_namespace_is_let_through_where_that_is_named(town: Town) -> None:
    """A caller with the same labels in another namespace is not allowed; if that namespace is named, the ones at home are not."""
    ways, free = town.ways(LIMITED), town.ways(FREE)
    town.until_reached(FRIEND, free, free, town.abroad)  # no other policy blocks it
    town.limit(LIMITED, ingressFrom=[AT_HOME])
    town.until_reached(FRIEND, ways, ways)
    town.until_reached(FRIEND, ways, [], town.abroad)
    town.limit(LIMITED, ingressFrom=[{"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: town.abroad}}, **AT_HOME}])
    town.until_reached(FRIEND, ways, ways, town.abroad)
    town.until_reached(FRIEND, ways, [])
    assert town.on.reached(RECORDER, *ways, namespace=town.abroad) == [], "another pod of that namespace"
    town.limit(LIMITED, ingressFrom=[AT_HOME])
    town.until_reached(FRIEND, ways, ways)


def test_an_app_calls_another_one_if_both_allow_it(town: Town) -> None:
    ways = town.ways(LIMITED)
    towards, by = (
        {"to": [{"podSelector": {"matchLabels": names.pod_selector(LIMITED)}}]},
        {"podSelector": {"matchLabels": names.pod_selector(BOUND)}},
    )
    bound, free = town.pod_of(BOUND), town.pod_of(FREE)
    town.limit(BOUND, egress=[towards])
    town.limit(LIMITED, ingressFrom=[AT_HOME])
    town.until_reached(bound, ways, [])
    town.limit(LIMITED, ingressFrom=[AT_HOME, by])
    town.until_reached(bound, ways, ways)
    town.until_reached(free, ways, [])
    town.limit(BOUND, egress=[])
    town.limit(LIMITED, ingressFrom=[AT_HOME])


def test_runs_and_metrics_pass_whatever_an_app_limits(town: Town) -> None:
    """Runs reach the recorder, and metrics reach the readers that the operator's options name."""
    on, abroad = town.on, town.abroad
    recorder = [f"{RECORDER}.{abroad}.svc:{PORT}", f"{town.address(RECORDER, abroad)}:{PORT}"]
    others = [f"{town.address(RECORDER, abroad)}:{OTHER_PORT}", f"{town.address(FRIEND, abroad)}:{PORT}"]
    town.until_reached(town.pod_of(FREE), [*recorder, *others], [*recorder, *others])
    town.limit(BOUND, egress=[])
    town.until_reached(town.pod_of(BOUND), [*recorder, *others], recorder)
    (pod,) = on.pods(LIMITED)
    metrics_addresses = [f"{pod['status']['podIP']}:{METRICS_PORT}", *town.ways(LIMITED)]
    town.limit(LIMITED, ingressFrom=[])
    town.until_reached(FRIEND, metrics_addresses, metrics_addresses[:1], abroad)
    assert on.reached(RECORDER, *metrics_addresses, namespace=abroad) == []
    town.limit(LIMITED, ingressFrom=[AT_HOME])


def test_only_the_operator_and_an_evaluation_reach_new_pods(town: Town, operators_pod: str) -> None:
    """The stand-in for a pod of the App has its labels and its port's name, by which the policy finds both."""
    on, app = town.on, "verified"
    verify = {"cases": [{"name": "any", "input": "{}", "expect": {"status": 200}}]}
    on.app(app, public(), with_spec(network={"ingressFrom": []}, rollout={"strategy": "Switch", "verify": verify}))
    on.pod("stands-in", *SERVE, labels=names.pod_selector(app), ports=[{"name": "http", "containerPort": PORT}])
    on.pod("evaluates", labels=names.evaluation_labels(app))
    targets = [f"{town.address('stands-in')}:{port}" for port in (PORT, OTHER_PORT)]
    town.until_reached(STRANGER, targets, [])
    town.until_reached("evaluates", targets, targets[:1])
    town.until_reached(operators_pod, targets, targets[:1], OPERATOR_NAMESPACE)


def stand_in(on: Stage, folder: str, workload: str) -> tuple[list[str], list[str]]:
    """Makes a pod with a program's labels and named ports, under its NetworkPolicy; returns its allowed and its blocked addresses."""
    (policy,) = yaml.safe_load_all((MANIFESTS / folder / "network-policy.yaml").read_text())
    (program,) = yaml.safe_load_all((MANIFESTS / folder / f"{workload}.yaml").read_text())
    template, spec, name = program["spec"]["template"], policy["spec"], policy["metadata"]["name"]
    (container,), labels, (rule,) = template["spec"]["containers"], spec["podSelector"]["matchLabels"], spec["ingress"]
    assert labels.items() <= template["metadata"]["labels"].items(), "the policy is over its pods"
    numbers = {each["name"]: each["containerPort"] for each in container["ports"]}
    ranges = [(first := numbers.get(each["port"], each["port"]), each.get("endPort", first)) for each in rule["ports"]]
    opened = sorted({port for ends in ranges for port in ends})
    shut = sorted({port for first, last in ranges for port in (first - 1, last + 1)} - set(opened))
    on.create({**policy, "metadata": on.named("NetworkPolicy", name)["metadata"]})
    on.pod(name, *serve(*opened, *shut), labels=labels, ports=container["ports"])
    address = on.get("Pod", name)["status"]["podIP"]
    return [f"{address}:{port}" for port in opened], [f"{address}:{port}" for port in shut]


def test_our_programs_are_reached_at_the_ports_that_their_policies_name_alone(town: Town) -> None:
    """The allowed ports are open to any namespace; the kubelet, on the node, reaches every port."""
    stand_ins = [stand_in(town.on, folder, workload) for folder, workload in PROGRAMS.items()]
    opened, everything = [each for some, _ in stand_ins for each in some], [each for some, rest in stand_ins for each in (*some, *rest)]
    eventually("all of them listen", lambda: town.on.reached_from_node(*everything) == everything)
    town.until_reached(STRANGER, everything, opened)
    town.until_reached(FRIEND, everything, opened, town.abroad)


def test_metrics_are_read_by_the_operator_alone_where_an_app_names_its_callers(town: Town, operators_pod: str) -> None:
    """Every pod that knows the address can read the metrics of an App without named callers."""
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


def test_the_trigger_of_an_app_without_allowed_callers_calls_it(town: Town) -> None:
    on = town.on
    town.limit(LIMITED, ingressFrom=[])
    town.until_reached(FRIEND, town.ways(LIMITED), [])
    soon = format_time(datetime.now(UTC) + timedelta(seconds=1))
    on.change("App", LIMITED, spec={"triggers": [{"name": "once", "runAt": soon}]})

    def ran() -> list[Manifest]:
        return [run for run in on.get("App", LIMITED).get("status", {}).get("triggers", ()) if "endedAt" in run]

    try:
        (run,) = eventually("the trigger has run", ran, TRIGGERED_WITHIN, 0.5)
    finally:
        on.change("App", LIMITED, spec={"triggers": None})
        town.limit(LIMITED, ingressFrom=[AT_HOME])
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
    """The policy names addresses: the node learns of a caller's labels a moment after its first call."""
    on = town.on
    on.release("v2")
    pods = on.api.get("Node", f"{on.cluster.name}-node", "").body["spec"]["podCIDR"]
    town.limit(LIMITED, ingressFrom=[{"ipBlock": {"cidr": pods}}])
    town.until_reached(STRANGER, town.ways(LIMITED), town.ways(LIMITED))
    with on.load(LIMITED) as calls:
        on.live(LIMITED, "v2")
    assert calls["failed"] == 0, calls["errors"]
