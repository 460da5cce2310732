"""Previews as the contract's JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynamiq_operator.rest.shared.serialize import Data, config


def preview(given: Mapping[str, Any]) -> Data:
    """A preview, as `views.preview` has it as data."""
    return {
        "from": _side(given["from"]) if given["from"] else None,
        "to": _side(given["to"]),
        "flow_diff": given["flowDiff"],
        "pods_restart": given["podsRestart"],
        "no_op": given["noOp"],
        "under_way": given["underWay"],
        "warnings": given["warnings"],
    }


def _side(side: Mapping[str, Any]) -> Data:
    return {
        "row": side["row"],
        "sequence": side["sequence"],
        "version": side["version"],
        "flow_hash": side["flowHash"],
        "runtime": side["runtime"],
        "config": config(side["config"]),
    }
