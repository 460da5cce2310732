"""The namespaces that a policy selects."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.model.namespaces import selects
from dynamiq_operator.model.policy import NAME_OF_NAMESPACE, NamespaceSelector
from tests.support.guards import TIER

PROD = {TIER: "production"}


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        ({}, None, True),
        ({"matchLabels": {NAME_OF_NAMESPACE: "shop"}}, None, True),
        ({"matchLabels": {NAME_OF_NAMESPACE: "blog"}}, None, False),
        ({"matchLabels": {NAME_OF_NAMESPACE: "blog"}}, {NAME_OF_NAMESPACE: "blog"}, False),
        ({"matchLabels": {TIER: "production"}}, PROD, True),
        ({"matchLabels": {TIER: "production"}}, {TIER: "test"}, False),
        ({"matchLabels": {TIER: "production"}}, {}, False),
        ({"matchLabels": {TIER: "production"}}, None, None),
        ({"matchLabels": {TIER: "production", NAME_OF_NAMESPACE: "blog"}}, None, False),
        ({"matchLabels": {TIER: "production", NAME_OF_NAMESPACE: "shop"}}, None, None),
        ({"matchExpressions": [{"key": TIER, "operator": "In", "values": ["test", "production"]}]}, PROD, True),
        ({"matchExpressions": [{"key": TIER, "operator": "In", "values": ["test"]}]}, PROD, False),
        ({"matchExpressions": [{"key": TIER, "operator": "NotIn", "values": ["test"]}]}, PROD, True),
        ({"matchExpressions": [{"key": TIER, "operator": "NotIn", "values": ["test"]}]}, {}, True),
        ({"matchExpressions": [{"key": TIER, "operator": "NotIn", "values": ["production"]}]}, PROD, False),
        ({"matchExpressions": [{"key": TIER, "operator": "Exists"}]}, PROD, True),
        ({"matchExpressions": [{"key": TIER, "operator": "Exists"}]}, {}, False),
        ({"matchExpressions": [{"key": TIER, "operator": "DoesNotExist"}]}, {}, True),
        ({"matchExpressions": [{"key": TIER, "operator": "DoesNotExist"}]}, PROD, False),
        ({"matchExpressions": [{"key": NAME_OF_NAMESPACE, "operator": "NotIn", "values": ["shop"]}]}, None, False),
        ({"matchLabels": {TIER: "production"}, "matchExpressions": [{"key": TIER, "operator": "DoesNotExist"}]}, PROD, False),
    ],
)
def test_a_selector_selects_as_kubernetes_has_it(selector: dict[str, Any], labels: dict[str, str] | None, selected: bool | None) -> None:
    """If the result depends on unknown labels, it is None."""
    assert selects(NamespaceSelector.model_validate(selector), "shop", labels) is selected
