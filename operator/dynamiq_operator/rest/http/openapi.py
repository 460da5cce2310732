"""Serves the OpenAPI document, also as a page without scripts and without anything from elsewhere."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from dynamiq_operator.serving.encoding import Json, dumps

router = APIRouter(include_in_schema=False)
Document = dict[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h2{margin-top:2.5rem;border-bottom:1px solid #d0d7de;padding-bottom:.3rem}
h3{font-family:ui-monospace,monospace;font-size:1rem;margin-top:2rem;overflow-wrap:anywhere}
h3 b{display:inline-block;min-width:4.5rem;color:#0550ae}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-top:1px solid #eaeef2}
pre{background:#f6f8fa;padding:.75rem;overflow:auto;font-size:.85rem}code{font-family:ui-monospace,monospace;font-size:.9em}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}pre{background:#161b22}h3 b{color:#79c0ff}h2,td,th{border-color:#30363d}}
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def document(app: FastAPI) -> Document:
    """Returns the OpenAPI document. It is made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = made.setdefault("components", {})
        components["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "A token of this cluster: kubectl create token, or OIDC."}
        }
        made["security"] = [{"token": []}]
        app.openapi_schema = made
    return app.openapi_schema


@functools.lru_cache(1)
def _written(app: FastAPI) -> tuple[bytes, bytes]:
    """Returns the document and the page. They are made once, because anybody may request them without a token."""
    made = document(app)
    return dumps(made), "".join(_page(made)).encode()


@router.get("/openapi.json")
async def openapi(request: Request) -> Json:
    """Returns the document."""
    return Json(_written(request.app)[0])


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Returns the document as a page."""
    return Response(
        _written(request.app)[1],
        media_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": POLICY, "X-Frame-Options": "DENY"},
    )


def _page(made: Document) -> Iterator[str]:
    title = escape(made["info"]["title"])
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body><h1>{title}</h1>'
    yield f"<p>{escape(made['info']['description'])}</p><p>Every call: <code>Authorization: Bearer &lt;token&gt;</code>. "
    yield 'For programs: <a href="/openapi.json">/openapi.json</a>.</p>'
    tag = ""
    for path, calls in sorted(made["paths"].items(), key=lambda entry: _tag(entry[1])):
        if (now := _tag(calls)) != tag:
            tag = now
            yield f"<h2>{escape(tag)}</h2>"
        for method in METHODS:
            if method in calls:
                yield from _call(made, method, path, calls[method])
    yield "</body></html>"


def _tag(calls: Mapping[str, Any]) -> str:
    return str(next((tag for call in calls.values() for tag in call.get("tags", ())), ""))


def _call(made: Document, method: str, path: str, call: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h3><b>{method.upper()}</b> {escape(path)}</h3><p>{escape(call.get('description', ''))}</p>"
    if parameters := call.get("parameters"):
        yield "<table>"
        for parameter in parameters:
            needed = "required" if parameter.get("required") else ""
            yield f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(parameter['in'])} {needed}</td>"
            yield f"<td>{escape(parameter.get('description', ''))}</td></tr>"
        yield "</table>"
    content = (call.get("requestBody") or {}).get("content", {}).get("application/json", {})
    if content and (example := _example(made, content)) is not None:
        yield f"<p>Body:</p><pre>{escape(json.dumps(example, indent=2, ensure_ascii=False))}</pre>"
    yield "<table>"
    for status, answer in sorted(call["responses"].items()):
        yield f"<tr><td><code>{escape(status)}</code></td><td>{escape(answer.get('description', ''))}</td></tr>"
    yield "</table>"
    good: Mapping[str, Any] = next((answer for status, answer in sorted(call["responses"].items()) if status < "300"), {})
    for kind in ("text/event-stream", "application/jsonl"):
        if (lines := good.get("content", {}).get(kind)) is not None:
            yield f"<p>Answer:</p><pre>{escape(lines['example'])}</pre>"
    content = good.get("content", {}).get("application/json", {})
    if (example := _example(made, content)) is not None:
        yield f"<p>Answer:</p><pre>{escape(json.dumps(example, indent=2, ensure_ascii=False))}</pre>"


def _example(made: Document, content: Mapping[str, Any]) -> Any:
    """Returns the example of a body, or of its model; None if there is none."""
    if "example" in content:
        return content["example"]
    schema = content.get("schema", {})
    for option in (schema, *schema.get("anyOf", ())):
        reference = option.get("$ref", "").rpartition("/")[2]
        examples = made["components"]["schemas"].get(reference, option).get("examples")
        if examples:
            return examples[0]
    return None
