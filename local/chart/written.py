"""Writes the files of the chart's values: `values.yaml` with a comment at each, their schema, and the table of the chart's README."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from local.chart.values import Chart, Values

WIDTH = 140
HEADER = "# All values with their defaults. A file of yours names what differs."


def values_with(defaults: Mapping[str, Any]) -> Chart:
    """Returns all values, with these defaults by their dotted names.

    Raises pydantic.ValidationError if a value without a default of its own is missing.
    """
    nested: dict[str, Any] = {}
    for name, value in defaults.items():
        *path, last = name.split(".")
        place = nested
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return Chart.model_validate(nested)


def values_yaml(values: Chart) -> str:
    """Returns each value below a comment that describes it."""
    return "\n".join([HEADER, *_lines(values, 0)]) + "\n"


def _lines(part: Values, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, field in _fields(part):
        value, key = getattr(part, name), field.alias or name
        if depth == 0:
            yield ""
        yield from (f"{indent}# {line}" for line in textwrap.wrap(field.description or "", WIDTH - len(indent) - 2, break_on_hyphens=False))
        if isinstance(value, Values):
            yield f"{indent}{key}:"
            yield from _lines(value, depth + 1)
        else:
            yield f"{indent}{key}: {_inline(value)}"


def _fields(part: Values) -> Iterator[tuple[str, FieldInfo]]:
    """Yields the part's own fields first, then those that it shares with others."""
    fields = type(part).model_fields
    for base in type(part).__mro__:
        yield from ((name, fields[name]) for name in vars(base).get("__annotations__", {}) if name in fields)


def _inline(value: Any) -> str:
    if value == "":
        return '""'
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, sort_keys=False, width=1000, default_flow_style=True).removesuffix("...\n").rstrip("\n")


def schema_json() -> str:
    """Returns the schema by which helm refuses unknown names and wrong types."""
    schema = Chart.model_json_schema(by_alias=True)
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **_plain(schema)}, indent=2, ensure_ascii=False) + "\n"


def _plain(part: Any) -> Any:
    """Returns the schema without pydantic's titles, and without defaults, which values.yaml has."""
    if isinstance(part, list):
        return [_plain(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        key: {name: _plain(each) for name, each in value.items()} if key in ("properties", "$defs") else _plain(value)
        for key, value in part.items()
        if key not in ("title", "default")
    }


def table(values: Chart) -> str:
    """Returns a Markdown table: each value by its dotted name, its default, and its meaning."""
    return "\n".join(["| value | default | |", "|---|---|---|", *_rows(values, "")]) + "\n"


def _rows(part: Values, prefix: str) -> Iterator[str]:
    for name, field in _fields(part):
        value, key = getattr(part, name), prefix + (field.alias or name)
        if isinstance(value, Values):
            yield from _rows(value, f"{key}.")
        else:
            shown = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
            yield f"| `{key}` | `{shown}` | {(field.description or '').replace('|', chr(92) + '|')} |"
