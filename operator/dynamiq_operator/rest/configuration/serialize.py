"""Serializes an App's configuration as the contract's JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynamiq_operator.actions.configuration import managed_by, version_of
from dynamiq_operator.model.app import AccessType
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.status.conditions import CHILDREN, VARIABLES
from dynamiq_operator.rest.shared.serialize import Data, condition

NAMES = {"displayName": "name", "access": "access_type"}
"""The contract's names of fields of `App.spec`, if they differ."""


def configuration(raw: Manifest) -> Data:
    """Serializes the configuration of an App."""
    meta, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    return {
        "object_version": version_of(raw),
        "name": spec.get("displayName") or meta["name"],
        "description": spec.get("description"),
        "hostname": spec.get("hostname"),
        "exposure": _exposure(spec.get("exposure") or {}),
        "access_type": (spec.get("access") or {}).get("type") or AccessType.PRIVATE.value,
        "variables": [_variable(each) for each in spec.get("variables") or ()],
        "managed_by": managed_by(raw),
        "is_applied": status.get("observedGeneration") == meta.get("generation"),
        "problems": [
            condition(each) for each in status.get("conditions") or () if each["type"] in (CHILDREN, VARIABLES) and each["status"] != "True"
        ],
    }


def _exposure(exposure: Mapping[str, Any]) -> Data:
    parent = exposure.get("parentRef") or {}
    gateway = "/".join(part for part in (parent.get("namespace"), parent.get("name")) if part)
    return {
        "type": exposure.get("type"),
        "class": exposure.get("className"),
        "tls_secret": (exposure.get("tls") or {}).get("secretName"),
        "gateway": gateway or None,
        "gateway_section": parent.get("sectionName"),
        "annotations": exposure.get("annotations") or {},
    }


def _variable(variable: Mapping[str, Any]) -> Data:
    return {
        "name": variable["name"],
        "value": variable.get("value"),
        "secret": variable.get("secret"),
        "config_map": variable.get("configMap"),
    }
