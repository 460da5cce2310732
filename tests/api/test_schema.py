"""Every rule of the resources on the real API server, for new objects and changes, with the ways of sending them in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dynamiq_operator.model import crd
from dynamiq_operator.model.base import RULES as RULES_KEY
from dynamiq_operator.model.kinds import KINDS
from dynamiq_operator.model.objects import Manifest
from local.clusters import Cluster
from tests.api.support.schema import writes
from tests.api.support.schema.frozen import MESSAGES as FROZEN
from tests.api.support.schema.rules import BASES, Rule
from tests.api.support.schema.rules import RULES as OTHER_RULES
from tests.api.support.schema.session_rules import SESSION_RULES
from tests.api.support.schema.writes import CHANGED, NEW, OF_THE_CLUSTER, Way, by_turns
from tests.support.api import Answer, Api, fresh_namespace
from tests.support.factories import asking, in_namespace, with_meta

RULES = (*OTHER_RULES, *SESSION_RULES)
MUTABLE = ("App", "Workflow", "DeployPolicy")


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """Yields one namespace for all tests: nearly every request is a dry run."""
    with fresh_namespace(Api.of(cluster), "schema") as name:
        yield name


@pytest.fixture(scope="module")
def stored(cluster: Cluster, namespace: str) -> Iterator[dict[str, Manifest]]:
    with writes.stored(Api.of(cluster), namespace) as made:
        yield made


def _wanted(rule: Rule, namespace: str, *, good: bool, new: bool) -> Manifest:
    made = BASES[rule.kind](in_namespace(namespace), rule.good if good else rule.bad)
    if rule.kind in OF_THE_CLUSTER:
        del made["metadata"]["namespace"]
    if new and not rule.of_the_name and rule.kind != "WorkflowVersion":
        made["metadata"]["name"] = "new"
    return made


def _says(answer: Answer, rule: Rule) -> None:
    assert not answer.ok, "accepted"
    assert rule.says in answer.message
    assert rule.field in answer.message


@pytest.mark.parametrize(("rule", "way"), by_turns(RULES, NEW))
def test_a_new_object(api: Api, stored: dict[str, Manifest], namespace: str, rule: Rule, way: Way) -> None:
    in_use = rule.kind == "WorkflowVersion"  # its name follows from its spec: it is the stored one's
    accepted = way(api, stored[rule.kind], _wanted(rule, namespace, good=True, new=True))
    assert accepted.ok or (in_use and accepted.body.get("reason") == "AlreadyExists"), accepted.message
    _says(way(api, stored[rule.kind], _wanted(rule, namespace, good=False, new=True)), rule)


@pytest.mark.parametrize(("rule", "way"), by_turns([rule for rule in RULES if not rule.of_the_name], CHANGED))
def test_a_change(api: Api, stored: dict[str, Manifest], namespace: str, rule: Rule, way: Way) -> None:
    if rule.kind in MUTABLE:
        accepted = way(api, stored[rule.kind], _wanted(rule, namespace, good=True, new=False))
        assert accepted.ok, accepted.message
    _says(way(api, stored[rule.kind], _wanted(rule, namespace, good=False, new=False)), rule)


@pytest.mark.parametrize("way", [*NEW, *CHANGED], ids=lambda way: way.__name__)
@pytest.mark.parametrize("config", [{"concurrency": 3}, {"type": "serverless", "scaleToZero": True}], ids=["server", "serverless"])
def test_a_config_has_no_field_that_no_type_has(api: Api, stored: dict[str, Manifest], namespace: str, config: Manifest, way: Way) -> None:
    manifest = BASES["Deployment"](in_namespace(namespace), asking(config=config), *([with_meta(name="new")] if way in NEW else []))
    refused = way(api, stored["Deployment"], manifest)
    field = f".spec.config.{list(config)[-1]}"
    assert not refused.ok
    assert f'unknown field "{field[1:]}"' in refused.message or f"{field}: field not declared in schema" in refused.message


def test_every_rule_has_a_case() -> None:
    sentences = {rule.says for rule in RULES} | set(FROZEN)
    missing = {message for kind in KINDS for message in _messages(crd.crd(kind)) if not any(one.startswith(message) for one in sentences)}
    assert missing == set()


def _messages(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (rule["message"] for rule in node.get(RULES_KEY, ()))
        for value in node.values():
            yield from _messages(value)
    elif isinstance(node, list):
        for value in node:
            yield from _messages(value)
