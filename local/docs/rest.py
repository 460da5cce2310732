"""Makes the reference of the REST API from the OpenAPI document: a page for each group of its paths, and one of all bodies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local.docs.schemas import Schema, describe, type_of
from local.docs.text import block, code, page, paragraphs, plain, table

DOCUMENT = Path(__file__).parents[2] / "operator" / "console" / "openapi.json"
FOLDER = "reference/rest"
BODIES = f"{FOLDER}/bodies.md"


def pages(document: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Returns each page by its path. The default document is the one that `make generate` writes."""
    read: Mapping[str, Any] = json.loads(DOCUMENT.read_text()) if document is None else document
    groups: dict[str, list[str]] = {}
    for path, method, operation in _operations(read):
        groups.setdefault(operation["tags"][0], []).append(_section(path, method, operation))
    texts = {f"{FOLDER}/{_file(tag)}": page(f"# {tag.capitalize()}", *sections) for tag, sections in groups.items()}
    texts[BODIES] = _bodies(read["components"]["schemas"])
    texts[f"{FOLDER}/index.md"] = _index(read)
    return texts


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def _file(tag: str) -> str:
    return f"{tag.replace(' ', '-')}.md"


def _index(document: Mapping[str, Any]) -> str:
    rows = [
        (code(method), f"[{code(path)}]({_file(operation['tags'][0])}#{operation['operationId']})", plain(operation["summary"]))
        for path, method, operation in _operations(document)
    ]
    description = plain(document["info"]["description"])
    token = plain(document["components"]["securitySchemes"]["token"]["description"])
    more = "[The management API](../../rest.md) says who may what, and [the API in detail](../../rest-details.md) where it differs from the public product's."
    return page(
        "# REST API", description, f"Every call has the header `Authorization: Bearer TOKEN`. {token}", more, table(("", "path", ""), rows)
    )


def _section(path: str, method: str, operation: Mapping[str, Any]) -> str:
    heading = f"## {code(f'{method} {path}')} {{ #{operation['operationId']} }}"
    parameters = [
        (
            code(each["name"]),
            each["in"],
            _never_null(each["schema"]),
            _required(each) + describe({"description": each.get("description", ""), **each["schema"]}),
        )
        for each in operation.get("parameters", ())
    ]
    return page(
        heading,
        paragraphs(operation.get("description") or operation["summary"]),
        table(("parameter", "in", "type", ""), parameters),
        _request(operation),
        _answers(operation["responses"]),
        _example(operation["responses"]),
    )


def _never_null(schema: Schema) -> str:
    """Returns the type of a parameter without null: a parameter is left out instead."""
    return type_of({**schema, "anyOf": [each for each in schema["anyOf"] if each.get("type") != "null"]} if "anyOf" in schema else schema)


def _required(each: Mapping[str, Any]) -> str:
    return "**Required.** " if each.get("required") else ""


def _request(operation: Mapping[str, Any]) -> str:
    if (body := operation.get("requestBody")) is None:
        return ""
    (content,) = body["content"].values()
    return f"Body: {type_of(content['schema'])}{'' if body.get('required') else ', which may be left out'}."


def _answers(responses: Mapping[str, Any]) -> str:
    rows = []
    for status, answer in responses.items():
        kinds = {
            kind: type_of(content["schema"]) if "json" in kind and "schema" in content else ""
            for kind, content in answer.get("content", {}).items()
        }
        body = ", ".join(note or code(kind) for kind, note in kinds.items())
        rows.append((code(status), body, plain(answer.get("description", ""))))
    return table(("answer", "body", ""), rows)


def _example(responses: Mapping[str, Any]) -> str:
    """Returns the example of the first answer that has one, folded."""
    for status, answer in responses.items():
        for content in answer.get("content", {}).values():
            if "example" in content:
                shown = (
                    content["example"]
                    if isinstance(content["example"], str)
                    else json.dumps(content["example"], indent=2, ensure_ascii=False)
                )
                return f'??? example "An answer {status}"\n\n' + "".join(f"    {line}\n" for line in block(shown, "json").splitlines())
    return ""


def _bodies(schemas: Mapping[str, Schema]) -> str:
    return page(
        "# Bodies",
        "What calls send and answers have, by the names that the paths' pages link to.",
        *(_body(*each) for each in sorted(schemas.items())),
    )


def _body(name: str, schema: Schema) -> str:
    required = schema.get("required", ())
    fields: Mapping[str, Schema] = schema.get("properties", {})
    rows = [
        (code(field), type_of(inner), ("**Required.** " if field in required else "") + describe(inner)) for field, inner in fields.items()
    ]
    description = paragraphs(schema.get("description", ""))
    alone = "" if fields else f"{type_of(schema)}. {describe({**schema, 'description': ''})}"
    return page(f"## {code(name)} {{ #{name} }}", description, alone, table(("field", "type", ""), rows))
