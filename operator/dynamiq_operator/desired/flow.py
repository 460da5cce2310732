"""What pods mount: the flow, which never changes under its name, and the Access Keys, whose content is the user's."""

from __future__ import annotations

from dynamiq_operator.desired.base import CONFIG_MAP, SECRET, child
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest

FLOW_KEY = "flow"
FIRST_ACCESS_KEY = "default"


def flow(app: App, flow_hash: str, text: str) -> Manifest:
    """The ConfigMap of a flow, named by its hash and immutable, so that an old row can always be brought back."""
    return child(
        app,
        CONFIG_MAP,
        names.flow(app.meta.name, flow_hash),
        annotations={names.FLOW_HASH_ANNOTATION: flow_hash},
        immutable=True,
        data={FLOW_KEY: text},
    )


def access_keys(app: App, key: str) -> Manifest:
    """The Secret of Access Keys as it is first made, with one random `key`; it is never written again."""
    return child(app, SECRET, names.access_keys(app.meta.name), type="Opaque", stringData={FIRST_ACCESS_KEY: key})
