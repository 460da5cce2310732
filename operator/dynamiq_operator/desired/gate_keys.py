"""Builds and reads the Secret with which the gate checks callers of a private App. It has digests of Access Keys, and no key.

It is in the gate's namespace.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping

from dynamiq_operator.desired.base import SECRET
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest

DIGESTS = "digests"


def gate_keys(app: App, namespace: str, version: str, data: Mapping[str, str]) -> Manifest:
    """Returns the Secret of digests. `version` and `data` are those of the Secret of Access Keys."""
    meta = app.meta
    # No owner: an ownerReference cannot lead to another namespace.
    return {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": {
            "name": names.gate_keys(meta.namespace, meta.name),
            "namespace": namespace,
            "labels": {names.MANAGED_BY: names.FIELD_MANAGER},
            "annotations": {names.KEYS_OF_ANNOTATION: f"{meta.namespace}/{meta.name}/{meta.uid}", names.KEYS_ANNOTATION: version},
        },
        "type": "Opaque",
        "data": {DIGESTS: base64.b64encode("\n".join(_digests(data)).encode()).decode()},
    }


def owner_of(raw: Manifest) -> tuple[str, str, str] | None:
    """Returns namespace, name and uid of the App of these digests; None if the annotation has no such value."""
    annotation = (raw["metadata"].get("annotations") or {}).get(names.KEYS_OF_ANNOTATION, "")
    match annotation.split("/"):
        case [namespace, name, uid]:
            return namespace, name, uid
        case _:
            return None


def version_of(raw: Manifest) -> str:
    """Returns the version of the Secret of Access Keys that the digests were made of; empty if unknown."""
    return str((raw["metadata"].get("annotations") or {}).get(names.KEYS_ANNOTATION, ""))


def _digests(data: Mapping[str, str]) -> list[str]:
    """Digests keys as the runtime reads them: stripped of white space, and without empty ones, which would allow every caller."""
    keys = (_decoded(value).strip() for _, value in sorted(data.items()))
    return [hashlib.sha256(key).hexdigest() for key in keys if key]


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return b""
