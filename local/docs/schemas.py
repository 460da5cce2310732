"""Describes values from their JSON schema: their type, and the values that they may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.docs.text import code, plain

Schema = Mapping[str, Any]
BOUNDS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " entries"),
)


def type_of(schema: Schema) -> str:
    """Returns its type, such as `list of string`; a reference is a link to the section of that name."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](bodies.md#{name})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_of(each) for each in schema["anyOf"]))
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    if kind == "object" and isinstance(inner := schema.get("additionalProperties"), Mapping):
        return f"map of {type_of(inner)}"
    return str(kind)


def describe(schema: Schema) -> str:
    """Returns its description, and the values that it may have."""
    description = plain(schema.get("description", ""))
    limits = _limits(schema)
    return " ".join(filter(None, [description, f"{limits[0].upper()}{limits[1:]}." if limits else ""]))


def _limits(schema: Schema) -> str:
    limits = [limit for each in (schema, *schema.get("anyOf", ())) for limit in _own_limits(each)]
    if "type" in schema.get("items", {}) and "properties" not in schema["items"]:
        limits += [f"each {limit}" for limit in _own_limits(schema["items"])]
    if schema.get("default") not in (None, [], {}):
        limits.append(f"left out: {code(_value(schema['default']))}")
    return ", ".join(dict.fromkeys(limits))


def _own_limits(schema: Schema) -> list[str]:
    limits = [_range(schema.get(least), schema.get(most)) + unit for least, most, unit in BOUNDS if least in schema or most in schema]
    if "enum" in schema:
        limits.append("one of " + ", ".join(code(_value(value)) for value in schema["enum"]))
    if "pattern" in schema:
        limits.append(f"of the form {code(schema['pattern'])}")
    return limits


def _range(least: float | None, most: float | None) -> str:
    if least is None or most is None:
        return f"at most {most}" if least is None else f"at least {least}"
    return f"{least} to {most}"


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
