"""Builds the Secret with which an App's pods sign callbacks. After its creation its content belongs to the user."""

from __future__ import annotations

import base64
import hashlib

from dynamiq_operator.desired.base import SECRET, child
from dynamiq_operator.desired.pod_template import CALLBACK_ENTRY
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest


def callback_key(app: App, random: str) -> Manifest:
    """Returns the Secret for its creation, with a key of 32 bytes made of `random`, which nobody can guess. It is never written again."""
    key = base64.b64encode(hashlib.sha256(random.encode()).digest()).decode()
    return child(app, SECRET, names.callback_key(app.meta.name), type="Opaque", stringData={CALLBACK_ENTRY: f"whsec_{key}"})
