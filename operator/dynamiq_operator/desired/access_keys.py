"""The Secret of Access Keys, whose content is the user's once it has been made."""

from __future__ import annotations

from dynamiq_operator.desired.base import SECRET, child
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest

FIRST_ACCESS_KEY = "default"


def access_keys(app: App, key: str) -> Manifest:
    """As it is first made, with one random `key`; it is never written again."""
    return child(app, SECRET, names.access_keys(app.meta.name), type="Opaque", stringData={FIRST_ACCESS_KEY: key})
