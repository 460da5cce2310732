"""Spans of OTLP, by JSON or by protobuf, as one shape: attributes are a dictionary, times nanoseconds, ids hexadecimal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from dynamiq_recorder.ingest import clean
from dynamiq_recorder.ingest.wire import GROUPS_MAX, TooMuch, Walk

ATTRIBUTES_MAX = 128
"""Of a span, or of a resource; further ones are left out."""
SPANS_MAX = 40_000
"""Of one request."""
OBJECTS_MAX = 400_000
"""Of a request of JSON. One span has two for each of its attributes."""
FEWER = "send fewer spans at once"
ERROR = 2
"""Status code of a span that failed."""


class NotReadable(Exception):  # noqa: N818
    """A body that is not what it says it is; the message is for whoever sent it."""


class InSpan(msgspec.Struct, gc=False):
    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start: int
    end: int
    is_error: bool
    attributes: dict[str, Any]


class Group(msgspec.Struct):
    """The spans of one resource."""

    resource: dict[str, Any]
    spans: list[InSpan]


class _Value(msgspec.Struct, rename="camel", gc=False):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    array_value: _Values | None = None


class _Values(msgspec.Struct, gc=False):
    values: list[_Value] = []


class _Pair(msgspec.Struct, gc=False):
    key: str
    value: _Value | None = None


class _Status(msgspec.Struct, gc=False):
    code: int | str | None = None


class _Span(msgspec.Struct, rename="camel", gc=False):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str | None = None
    name: str | None = None
    start_time_unix_nano: int | str | float = 0
    end_time_unix_nano: int | str | float = 0
    attributes: list[_Pair] | None = None
    status: _Status | None = None


class _ScopeSpans(msgspec.Struct):
    spans: list[_Span] | None = None


class _Resource(msgspec.Struct):
    attributes: list[_Pair] | None = None


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Request(msgspec.Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] | None = None


_DECODER = msgspec.json.Decoder(_Request)


def from_json(body: bytes) -> list[Group]:
    """Raises NotReadable."""
    if clean.has_more_objects(body, OBJECTS_MAX):
        raise NotReadable(f"the request has more than {OBJECTS_MAX} objects of JSON: {FEWER}")
    try:
        request = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise NotReadable(f"the body is no ExportTraceServiceRequest: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        request = _leniently(body, error)
    resources = request.resource_spans or []
    _check_count(len(resources), sum(len(scope.spans or ()) for each in resources for scope in each.scope_spans or ()))
    groups = []
    for each in resources:
        found = []
        for scope in each.scope_spans or ():
            there, scope.spans = scope.spans or [], None
            there.reverse()
            while there:  # each is given free as it is read: there are many
                found.append(_span(there.pop()))
        groups.append(Group(_attributes(each.resource.attributes if each.resource else None), found))
    return groups


def _leniently(body: bytes, error: Exception) -> _Request:
    """JSON that has half of a surrogate pair: Python's own parser takes it, and each text is cleaned later."""
    if clean.depth(body) > clean.DEPTH_MAX:
        raise NotReadable(f"the body is nested deeper than {clean.DEPTH_MAX} levels")
    if clean.is_heavy(body):
        raise NotReadable(f"the body has more values than are read at once, and half of a surrogate pair: {FEWER}")
    try:
        return msgspec.convert(json.loads(body.decode(errors="replace")), _Request)
    except (ValueError, msgspec.ValidationError):
        raise NotReadable(f"the body is no JSON: {error}") from None


def _span(given: _Span) -> InSpan:
    return InSpan(
        given.trace_id.lower()[:64],
        given.span_id.lower()[:64],
        (given.parent_span_id or "").lower()[:64],
        given.name or "",
        _nanoseconds(given.start_time_unix_nano),
        _nanoseconds(given.end_time_unix_nano),
        given.status is not None and given.status.code in (ERROR, str(ERROR), "STATUS_CODE_ERROR"),
        _attributes(given.attributes),
    )


def _nanoseconds(value: float | str) -> int:
    found = int(value) if isinstance(value, float) else clean.count(value, 2**64)
    return found or 0


def _attributes(pairs: list[_Pair] | None) -> dict[str, Any]:
    if not pairs:
        return {}
    return {pair.key: _value(pair.value) for pair in pairs[:ATTRIBUTES_MAX] if pair.value is not None}


def _value(given: _Value) -> Any:
    if given.string_value is not None:
        return given.string_value
    if given.int_value is not None:
        return given.int_value
    if given.double_value is not None:
        return given.double_value
    if given.bool_value is not None:
        return given.bool_value
    if given.array_value is not None:
        return [each.string_value for each in given.array_value.values[: 4 * clean.TAGS_MAX]]
    return None


def from_protobuf(body: bytes) -> list[Group]:
    """Raises NotReadable."""
    walk = Walk(body)
    try:
        places = walk.groups()
        _check_count(len(places), sum(len(spans) for _, spans in places))
        return [
            Group(
                _of_protobuf(walk.resource(resource, ATTRIBUTES_MAX)[1]), [_span_of(*walk.span(place, ATTRIBUTES_MAX)) for place in spans]
            )
            for resource, spans in places
        ]
    except DecodeError:
        raise NotReadable("the body is no ExportTraceServiceRequest of protobuf") from None
    except TooMuch as error:
        raise NotReadable(f"{error}: {FEWER}") from None


def _span_of(span: Span, attributes: Iterable[KeyValue]) -> InSpan:
    return InSpan(
        span.trace_id.hex()[:64],
        span.span_id.hex()[:64],
        span.parent_span_id.hex()[:64],
        span.name,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == ERROR,
        _of_protobuf(attributes),
    )


def _of_protobuf(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        if kind == "array_value":
            found[pair.key] = [each.string_value for each in pair.value.array_value.values[: 4 * clean.TAGS_MAX]]
        elif kind in ("string_value", "int_value", "double_value", "bool_value"):
            found[pair.key] = getattr(pair.value, kind)
    return found


def _check_count(groups: int, spans: int) -> None:
    if groups > GROUPS_MAX:
        raise NotReadable(f"the request has {groups} resources: send at most {GROUPS_MAX} at once")
    if spans > SPANS_MAX:
        raise NotReadable(f"the request has {spans} spans: send at most {SPANS_MAX} at once")


def protobuf_answer(rejected: int, message: str) -> bytes:
    """An ExportTraceServiceResponse."""
    answer = ExportTraceServiceResponse()
    if rejected or message:
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = message
    made: bytes = answer.SerializeToString()
    return made
