"""Answers a page in place of the API: only with answers that the API could give, by its own OpenAPI document."""

from __future__ import annotations

import functools
import json
import re
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs
from playwright.sync_api import Page, Route

from dynamiq_operator.rest.app import document
from tests.support import recorder_answers

JSON, STREAM = "application/json", "text/event-stream"
TIME = re.compile(r"\d{4}-\d\d-\d\dT")
"""Texts with this beginning also stay: objects of the cluster within an answer, such as pins, have no schema there."""

OPEN_RUN = "/v1/apps/{app_id}/runs/{run_id}"
LIMITS = {"type", "$ref", "anyOf", "enum", "const"}
"""A schema with none of these accepts any value."""

MOST = 1 << 20  # characters of a text that the document does not limit


@functools.cache
def _document() -> dict[str, Any]:
    return document()


def checked(method: str, path: str, status: int, body: Any) -> Any:
    """Returns the body, if it is a possible answer to `method path`; `path` is one of the document, such as /v1/apps/{app_id}, or a real
    one.

    Raises AssertionError that names what the API would not answer.
    """
    named = template(path)
    operation = _document()["paths"][named].get(method.lower())
    assert operation is not None, f"the API has no {method} {named}"
    response = operation["responses"].get(str(status))
    assert response is not None, f"the API never answers {status} to {method} {named}: {', '.join(operation['responses'])}"
    schema = response.get("content", {}).get(JSON, {}).get("schema")
    if schema is None:
        assert body is None, f"{status} of {method} {named} has no body"
        return None
    errors = list(_validator(json.dumps(schema, sort_keys=True)).iter_errors(body))
    problems = "; ".join(f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in errors)
    assert not errors, f"the API could not answer this to {method} {named}: {problems}"
    return body


def answered(page: Page, method: str, path: str, status: int, body: Any, **headers: str) -> None:
    """Answers every `method path` of the page so from now on."""
    content = checked(method, path, status, body)
    pattern = re.compile(r"^https?://[^/]+" + re.sub(r"\{[^}]+\}", "[^/?]+", path) + r"(\?.*)?$")

    def answer(route: Route) -> None:
        if route.request.method != method:
            route.fallback()
        elif content is None:
            route.fulfill(status=status, headers=headers)
        else:
            route.fulfill(status=status, headers={"Content-Type": JSON, **headers}, body=json.dumps(content))

    page.route(pattern, answer)


def example(method: str, path: str, status: int = 200) -> Any:
    """Returns the document's whole example of this answer, as a body that a test may change.

    For runs, whose shapes are the recorder's, the example is made up.
    """
    if status < 300 and (recorded := recorder_answers.example(method, path)) is not None:
        return recorded
    content = _document()["paths"][path][method.lower()]["responses"][str(status)]["content"][JSON]
    return _whole(content["schema"], json.loads(json.dumps(content.get("example") or _example(content["schema"]))))


def open_runs(*runs: Any) -> Any:
    """Returns a page of open background runs."""
    return {"data": runs, "pagination": {"page": 1, "page_size": 100, "page_count": min(len(runs), 1), "total_count": len(runs)}}


class Everything:
    """Answers to every read by the document's examples. Texts that the API accepts freely are changed; the product's own names stay.

    `status`: that of all answers, if the API can give it. `ids` are for the addresses of screens; every id is answered.
    """

    def __init__(self, change: Callable[[str], str], status: int = 200) -> None:
        self._change, self._status = change, status
        self.ids = {name: str(uuid.uuid5(uuid.NAMESPACE_OID, name)) for name in ("app", "row", "older", "workflow", "version")}
        self.given = 0

    def given_to(self, page: Page) -> None:
        """Answers every call of the page under /v1 from now on."""
        page.route(re.compile(r"^https?://[^/]+/v1/"), self._answer)

    def _answer(self, route: Route) -> None:
        method, path = route.request.method, urlsplit(route.request.url).path
        responses = _document()["paths"][template(path)][method.lower()]["responses"]
        status = str(self._status) if str(self._status) in responses else next(status for status in responses if status.startswith("2"))
        content = responses[status].get("content", {})
        self.given += 1
        if STREAM in content:
            route.fulfill(status=int(status), content_type=STREAM, body="retry: 60000\nevent: ready\ndata: {}\n\n")
        elif JSON not in content:
            route.fulfill(status=int(status))
        else:
            schema, body = content[JSON]["schema"], example(method, template(path), int(status))
            if "open=true" in route.request.url and int(status) < 300:
                schema, body = {"$ref": "#/components/schemas/BackgroundRunPage"}, open_runs(example("GET", OPEN_RUN)["data"])
            body = _changed(schema, body, self._change)
            route.fulfill(status=int(status), content_type=JSON, body=json.dumps(checked(method, path, int(status), body)))


def _changed(schema: dict[str, Any], value: Any, change: Callable[[str], str]) -> Any:
    schema = _resolved(schema)
    if isinstance(value, list):
        return [_changed(schema.get("items", {}), each, change) for each in value]
    parts = [_resolved(part) for part in schema.get("anyOf", (schema,))]
    if isinstance(value, dict):
        chosen = next((part for part in parts if part.get("type") == "object"), schema)
        more = chosen.get("additionalProperties")
        rest = more if isinstance(more, dict) else {}
        return {name: _changed(chosen.get("properties", {}).get(name, rest), each, change) for name, each in value.items()}
    if (
        not isinstance(value, str)
        or TIME.match(value)
        or any(set(part) & {"format", "enum", "const", "pattern"} for part in (schema, *parts))
    ):
        return value
    return change(value)[: min((part.get("maxLength", MOST) for part in parts), default=MOST)]


def _example(schema: dict[str, Any]) -> Any:
    """Returns the example of the schema, composed of those of its parts."""
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
    """Returns the value with `null` in fields that the examples of the document omit but the API sends."""
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
    return any(part.get("type") == "null" or not part.keys() & LIMITS for part in schema.get("anyOf", (schema,)))


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    resolved: dict[str, Any] = _document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return resolved


def template(path: str) -> str:
    """Returns the document's path that matches a real one. Raises AssertionError if there is none."""
    if path in (paths := _document()["paths"]):
        return path
    for each in sorted(paths, key=lambda each: each.count("{")):  # a name precedes a parameter, as in the API
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", each), path):
            return str(each)
    raise AssertionError(f"the API has no path {path}")


@functools.cache
def _validator(schema: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({**json.loads(schema), "components": _document()["components"]}, validate_formats=True)
