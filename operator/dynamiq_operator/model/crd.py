"""Generates CustomResourceDefinitions from the models: structural schemas, as the API server requires.

No default is written below a spec: it would change the content of old rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynamiq_operator.model.base import GROUP, VERSION, Part
from dynamiq_operator.model.kinds import CATEGORY, Column, Kind

DROPPED = ("title", "default", "additionalProperties", "$defs")
GENERATED_BY = "make generate"


def crd(kind: Kind) -> dict[str, Any]:
    """Returns the CustomResourceDefinition (apiextensions.k8s.io/v1) of a kind."""
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
        "schema": {"openAPIV3Schema": _root(kind)},
    }
    if kind.status is not None:
        version["subresources"] = {"status": {}}
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd_name, "labels": {"app.kubernetes.io/part-of": "dynamiq"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": list(kind.short_names),
                "categories": [CATEGORY],
            },
            "versions": [version],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    made: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        made["description"] = column.description
    if column.wide:
        made["priority"] = 1
    return made


def _root(kind: Kind) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "apiVersion": {"type": "string", "description": f"Always {GROUP}/{VERSION}."},
        "kind": {"type": "string", "description": f"Always {kind.kind}."},
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "description": "Name of the object."}}},
        "spec": schema(kind.spec),
    }
    if kind.status is not None:
        properties["status"] = schema(kind.status)
        if kind.default_status is not None:
            properties["status"]["default"] = dict(kind.default_status)
    return {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        "properties": properties,
        **kind.root_rules,
    }


def schema(model: type[Part]) -> dict[str, Any]:
    """Returns the structural schema of a model: references inlined, no nulls, no defaults."""
    generated = model.model_json_schema(by_alias=True)
    made = _structural(generated, generated.get("$defs", {}))
    assert isinstance(made, dict)  # noqa: S101 - for the type checker: a model's schema is an object
    return made


def _structural(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_structural(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[-1]]
        return _structural({**target, **{key: value for key, value in node.items() if key != "$ref"}}, definitions)
    if "anyOf" in node:
        (only,) = [option for option in node["anyOf"] if option != {"type": "null"}]
        return _structural({**only, **{key: value for key, value in node.items() if key != "anyOf"}}, definitions)
    made = {key: _structural(value, definitions) for key, value in node.items() if key not in (*DROPPED, "properties")}
    if "properties" in node:
        made["properties"] = {name: _structural(value, definitions) for name, value in node["properties"].items()}
    elif isinstance(node.get("additionalProperties"), dict):
        made["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    return made
