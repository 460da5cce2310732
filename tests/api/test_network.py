"""The NetworkPolicy of an App on the real API server: created, repaired exactly, changed and removed as the App's spec requires."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.model import names
from tests.support.api import Manifest
from tests.support.factories import with_spec
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

KIND = "NetworkPolicy"
GATEWAY = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "projectcontour"}}}
OFFICE = {"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.7/32"]}}
CALLS = [{"protocol": "TCP", "port": "http"}]
METRICS = {
    "from": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": names.OPERATOR_NAMESPACE}},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "dynamiq-operator"}},
        }
    ],
    "ports": [{"protocol": "TCP", "port": 9090}],
}
OWN_TRIGGERS = {"podSelector": {"matchLabels": {names.TRIGGER_OF_LABEL: APP}}}
MODEL = {"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}], "ports": [{"port": 443}, {"port": 8000, "endPort": 8010, "protocol": "UDP"}]}
LIMITED: Manifest = {"ingressFrom": [GATEWAY, OFFICE], "egress": [MODEL]}


def policy(on: HistoryStage) -> Manifest:
    """Returns the App's policy once it exists."""
    return eventually("there is a policy", lambda: on.find(KIND, APP))


def serve(on: HistoryStage, **network: Any) -> Manifest:
    on.app(APP, with_spec(network=network))
    return policy(on)


EDITS: dict[str, Manifest] = {
    "everybody let in": {"ingress": [{}]},
    "a peer more": {"ingress": [{"from": [OWN_TRIGGERS, GATEWAY, OFFICE, {"podSelector": {}}]}]},
    "a peer widened": {"ingress": [{"from": [{**OWN_TRIGGERS, "namespaceSelector": {}}, GATEWAY, OFFICE]}]},
    "a label less": {"ingress": [{"from": [{"podSelector": {}}, GATEWAY, OFFICE]}]},
    "the exception gone": {"ingress": [{"from": [OWN_TRIGGERS, GATEWAY, {"ipBlock": {"cidr": "203.0.113.0/24"}}]}]},
    "metrics for everybody": {"ingress": [{"from": [OWN_TRIGGERS, GATEWAY, OFFICE], "ports": CALLS}, {"ports": METRICS["ports"]}]},
    "callers at every port": {"ingress": [{"from": [OWN_TRIGGERS, GATEWAY, OFFICE]}, METRICS]},
    "fewer pods": {"podSelector": {"matchLabels": {"version": "v1"}}},
    "fewer pods by expression": {"podSelector": {"matchExpressions": [{"key": "version", "operator": "Exists"}]}},
    "egress free": {"policyTypes": ["Ingress"]},
    "ports gone": {"egress": [{"to": [{"namespaceSelector": {}}]}]},
}


def test_it_is_made_repaired_to_the_letter_and_goes_with_the_option(stage: HistoryStage, operator: Operator) -> None:
    made = serve(stage, **LIMITED)
    before = made["spec"]
    assert [each["name"] for each in made["metadata"]["ownerReferences"]] == [APP]
    assert (before["policyTypes"], before["ingress"]) == (
        ["Ingress", "Egress"],
        [{"from": [OWN_TRIGGERS, GATEWAY, OFFICE], "ports": CALLS}, METRICS],
    )
    assert before["egress"][1]["ports"] == [{"protocol": "TCP", "port": 443}, {"protocol": "UDP", "port": 8000, "endPort": 8010}]
    stage.until_condition(APP, "ChildrenApplied", "True")
    for about, edit in EDITS.items():
        stage.change(KIND, APP, spec=edit)
        assert stage.get(KIND, APP)["metadata"]["generation"] > 1
        eventually(f"after {about} it is as it was: {before}", lambda: policy(stage)["spec"] == before)
    stage.delete(KIND, APP)
    assert policy(stage)["spec"] == before
    stage.change("App", APP, spec={"network": {"egress": None}})
    eventually("egress is free", lambda: policy(stage)["spec"]["policyTypes"] == ["Ingress"])
    assert "egress" not in policy(stage)["spec"]
    stage.change("App", APP, spec={"network": None})
    eventually("there is no policy", lambda: stage.find(KIND, APP) is None)
