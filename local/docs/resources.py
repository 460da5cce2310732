"""Makes the reference of resources: a page for each of our kinds, from the CustomResourceDefinitions of the models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dynamiq_operator.model import crd
from dynamiq_operator.model.base import GROUP, RULES, VERSION
from dynamiq_operator.model.kinds import KINDS, Kind
from local.docs.schemas import Schema, describe, type_of
from local.docs.text import code, page, plain, table

FOLDER = "reference/resources"
TOP, LOWEST = 2, 4  # levels of headings


def pages() -> dict[str, str]:
    """Returns each page by its path."""
    return {f"{FOLDER}/{kind.singular}.md": _page(kind) for kind in KINDS}


def _page(kind: Kind) -> str:
    definition = crd.crd(kind)
    (version,) = definition["spec"]["versions"]
    root: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    parts = [section for name in ("spec", "status") if name in root["properties"] for section in _sections(name, root["properties"][name])]
    return page(f"# {kind.kind}", plain(kind.description), _names(kind), _columns(kind), _rules(root), *parts)


def _names(kind: Kind) -> str:
    scope = "of a namespace" if kind.namespaced else "of the whole cluster"
    short = kind.short_names[0]
    intro = f"{code(f'{GROUP}/{VERSION}')}, {scope}; {code(f'kubectl get {short}')} lists them, and {code(f'kubectl explain {short}.spec')} says what stands here."
    if kind.selectable:
        fields = ", ".join(code(path.removeprefix(".")) for path in kind.selectable)
        intro += f" Fields of {code('--field-selector')}: {fields}."
    return intro


def _columns(kind: Kind) -> str:
    rows = [(code(each.name), code(each.path), "yes" if each.wide else "", plain(each.description)) for each in kind.columns]
    return page("## Columns", table(("column", "of", "with `-o wide` alone", ""), rows))


def _sections(path: str, schema: Schema, level: int = TOP) -> Iterator[str]:
    """Yields the section of an object, then those of the objects in it. A list adds `[]` to the path, and a map `.*`."""
    fields: Mapping[str, Schema] = schema.get("properties", {})
    required = schema.get("required", ())
    rows = [(_name(path, name, field), _type(field), _description(field, name in required)) for name, field in fields.items()]
    heading = f"{'#' * level} {code(path)} {{ #{path} }}"
    yield page(heading, plain(schema.get("description", "")) if level > TOP else "", table(("field", "type", ""), rows), _rules(schema))
    for name, field in fields.items():
        below, inner = _inside(f"{path}.{name}", field)
        if "properties" in inner:
            yield from _sections(below, inner, min(level + 1, LOWEST))


def _name(path: str, name: str, field: Schema) -> str:
    below, inner = _inside(f"{path}.{name}", field)
    return f"[{code(name)}](#{below})" if "properties" in inner else code(name)


def _type(field: Schema) -> str:
    return type_of({key: value for key, value in field.items() if key != "additionalProperties"} if "properties" in field else field)


def _inside(path: str, field: Schema) -> tuple[str, Schema]:
    """Returns the path and the schema of the objects in a field; of the field itself if it is no list and no map."""
    if "items" in field:
        return _inside(f"{path}[]", field["items"])
    if isinstance(inner := field.get("additionalProperties"), Mapping):
        return _inside(f"{path}.*", inner)
    return path, field


def _description(field: Schema, required: bool) -> str:
    """Returns the text for a field: if it is required, its description, and the values that the API server refuses."""
    _, inner = _inside("", field)
    refused = [] if "properties" in inner else [plain(message) for message in _messages(field, field.get("items", {}))]
    return " ".join(filter(None, ["**Required.**" if required else "", describe(field), *(f"Refused: *{message}*" for message in refused)]))


def _rules(schema: Schema) -> str:
    messages = _messages(schema)
    return page("Refused, in these words:", "\n".join(f"- {plain(message)}" for message in messages)) if messages else ""


def _messages(*schemas: Schema) -> list[str]:
    """Returns the API server's messages about refused values."""
    return list(dict.fromkeys(each.get("message") or each["rule"] for schema in schemas for each in schema.get(RULES, ())))
