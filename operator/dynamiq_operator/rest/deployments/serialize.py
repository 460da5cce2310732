"""Serializes previews as the contract's JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynamiq_operator.rest.shared.serialize import Data, config


def preview(given: Mapping[str, Any]) -> Data:
    """A preview. `given`: the JSON data of `views.preview`."""
    return {
        "from": side(given["from"]) if given["from"] else None,
        "to": side(given["to"]),
        "flow_diff": given["flowDiff"],
        "pods_restart": given["podsRestart"],
        "no_op": given["noOp"],
        "strategy": given["strategy"],
        "pods_warm": given["podsWarm"],
        "pods_to_start": given["podsToStart"],
        "asleep": given["asleep"],
        "under_way": given["underWay"],
        "warnings": given["warnings"],
    }


def side(given: Mapping[str, Any]) -> Data:
    """A side of a preview, as data of `views.preview`."""
    return {
        "row": given["row"],
        "sequence": given["sequence"],
        "version": given["version"],
        "flow_hash": given["flowHash"],
        "runtime": given["runtime"],
        "runtime_name": given["runtimeName"],
        "image": given["image"],
        "config": config(given["config"]),
        "resources": given["config"].get("resources"),
        "restores": given["restores"],
    }
