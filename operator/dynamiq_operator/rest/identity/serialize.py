"""Serializes a namespace as the contract's project. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from dynamiq_operator.model.names import ENVIRONMENT_LABEL
from dynamiq_operator.rest.shared.serialize import Data


def project(uid: str, name: str, labels: Mapping[str, str], organisation: str) -> Data:
    """Serializes a namespace."""
    return {"id": uid, "name": name, "org_id": organisation, "environment": labels.get(ENVIRONMENT_LABEL)}
