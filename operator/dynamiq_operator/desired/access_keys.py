"""Builds the Secret of Access Keys. After its creation its content belongs to the user."""

from __future__ import annotations

from dynamiq_operator.desired.base import SECRET, child
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest

FIRST_ACCESS_KEY = "default"


def access_keys(app: App, key: str) -> Manifest:
    """Returns the Secret for its creation, with one random `key`. It is never written again."""
    return child(app, SECRET, names.access_keys(app.meta.name), type="Opaque", stringData={FIRST_ACCESS_KEY: key})
