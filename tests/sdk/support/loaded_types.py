"""Loads every node type of the SDK in one process, `lazy` or `plain`, and prints for each what it is, or the SDK's error."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from typing import Any

from dynamiq_operator.model.sdk_node_types import SDK_NODE_TYPES
from dynamiq_runtime import lazy_packages


def main(how: str) -> None:
    """Prints a JSON object by type."""
    if how == "lazy":
        lazy_packages.install()
    from dynamiq.serializers.loaders.yaml import WorkflowYAMLLoader

    importlib.import_module("dynamiq_runtime.sdk")

    print(json.dumps({name: _described(WorkflowYAMLLoader, name) for name in sorted(SDK_NODE_TYPES)}))


def _described(loader: Any, name: str) -> list[str]:
    try:
        found = loader.get_entity_by_type(name)
        return [f"{found.__module__}.{found.__qualname__}", *sorted(found.model_fields), _schema(found)]
    except Exception as error:
        return [type(error).__name__, str(error)]


def _schema(found: Any) -> str:
    try:
        return hashlib.sha256(json.dumps(found.model_json_schema(), sort_keys=True, default=str).encode()).hexdigest()
    except Exception as error:  # many nodes have fields without a schema
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main(sys.argv[1])
