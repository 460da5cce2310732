"""The Secret, in the gate's namespace, by which the gate tells who may call a private App: digests of its Access Keys, and no key."""

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
    """`version` and `data`: of the Secret of Access Keys. No owner is named: it would be in another namespace."""
    meta = app.meta
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
    """Namespace, name and uid of the App whose digests these are; None where it does not say."""
    said = (raw["metadata"].get("annotations") or {}).get(names.KEYS_OF_ANNOTATION, "")
    match said.split("/"):
        case [namespace, name, uid]:
            return namespace, name, uid
        case _:
            return None


def version_of(raw: Manifest) -> str:
    """Of the Secret of Access Keys that the digests are of; empty where it does not say."""
    return str((raw["metadata"].get("annotations") or {}).get(names.KEYS_ANNOTATION, ""))


def _digests(data: Mapping[str, str]) -> list[str]:
    """As the runtime takes keys: each value without the white space around it, and none that is empty, which would allow every caller."""
    keys = (_decoded(value).strip() for _, value in sorted(data.items()))
    return [hashlib.sha256(key).hexdigest() for key in keys if key]


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return b""
