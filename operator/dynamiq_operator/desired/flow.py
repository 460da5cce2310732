"""The ConfigMap of a flow, which pods mount."""

from __future__ import annotations

from dynamiq_operator.desired.base import CONFIG_MAP, child
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest

FLOW_KEY = "flow"


def flow(app: App, flow_hash: str, text: str) -> Manifest:
    """Named by the flow's hash and immutable, so that an old row can always be brought back."""
    return child(
        app,
        CONFIG_MAP,
        names.flow(app.meta.name, flow_hash),
        annotations={names.FLOW_HASH_ANNOTATION: flow_hash},
        immutable=True,
        data={FLOW_KEY: text},
    )
