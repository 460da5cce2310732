"""Answers that a test gives a page in place of the API: only such as the API could give, by its own OpenAPI document."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import jsonschema_rs
from playwright.sync_api import Page, Route

from dynamiq_operator.rest.app import document

JSON = "application/json"


@functools.cache
def _document() -> dict[str, Any]:
    return document()


def checked(method: str, path: str, status: int, body: Any) -> Any:
    """The body, where `method path` may be answered so; `path` is one of the document, such as /v1/apps/{app_id}, or a real one.

    Raises AssertionError naming what the API would not answer.
    """
    template = _template(path)
    operation = _document()["paths"][template].get(method.lower())
    assert operation is not None, f"the API has no {method} {template}"
    response = operation["responses"].get(str(status))
    assert response is not None, f"the API never answers {status} to {method} {template}: {', '.join(operation['responses'])}"
    schema = response.get("content", {}).get(JSON, {}).get("schema")
    if schema is None:
        assert body is None, f"{status} of {method} {template} has no body"
        return None
    errors = list(_validator(json.dumps(schema, sort_keys=True)).iter_errors(body))
    said = "; ".join(f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in errors)
    assert not errors, f"the API could not answer this to {method} {template}: {said}"
    return body


def answered(page: Page, method: str, path: str, status: int, body: Any, **headers: str) -> None:
    """From now on, every `method path` of the page is answered so."""
    given = checked(method, path, status, body)
    pattern = re.compile(r"^https?://[^/]+" + re.sub(r"\{[^}]+\}", "[^/?]+", path) + r"(\?.*)?$")

    def answer(route: Route) -> None:
        if route.request.method != method:
            route.fallback()
        elif given is None:
            route.fulfill(status=status, headers=headers)
        else:
            route.fulfill(status=status, headers={"Content-Type": JSON, **headers}, body=json.dumps(given))

    page.route(pattern, answer)


def example(method: str, path: str, status: int = 200) -> Any:
    """The example of the document for this answer, whole, as a body that a test may change."""
    content = _document()["paths"][path][method.lower()]["responses"][str(status)]["content"][JSON]
    return _whole(content["schema"], json.loads(json.dumps(content.get("example") or _example(content["schema"]))))


def _example(schema: dict[str, Any]) -> Any:
    """What the schema gives as an example, put together of those of its parts."""
    schema = _resolved(schema)
    if "example" in schema:
        return schema["example"]
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("type") == "array":
        return [_example(schema["items"])]
    assert schema.get("type") == "object", f"no example of {schema}"
    return {name: _example(part) for name, part in schema.get("properties", {}).items()}


def _whole(schema: dict[str, Any], value: Any) -> Any:
    """The value with `null` where the document's examples leave it out and the API says it."""
    schema = _resolved(schema)
    if isinstance(value, list):
        return [_whole(schema.get("items", {}), each) for each in value]
    if not isinstance(value, dict):
        return value
    chosen = next((part for part in map(_resolved, schema.get("anyOf", ())) if part.get("type") == "object"), schema)
    properties = chosen.get("properties", {})
    absent = [name for name in chosen.get("required", ()) if name not in value and _may_be_null(properties[name])]
    return {name: _whole(properties.get(name, {}), each) for name, each in value.items()} | dict.fromkeys(absent)


def _may_be_null(schema: dict[str, Any]) -> bool:
    return any(part.get("type") == "null" for part in schema.get("anyOf", (schema,)))


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def _template(path: str) -> str:
    if path in (paths := _document()["paths"]):
        return path
    for template in paths:
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path):
            return str(template)
    raise AssertionError(f"the API has no path {path}")


@functools.cache
def _validator(schema: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({**json.loads(schema), "components": _document()["components"]}, validate_formats=True)
