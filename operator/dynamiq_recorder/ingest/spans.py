"""Decodes OTLP spans, JSON or protobuf, into one shape: attributes as a dictionary, times in nanoseconds, ids in hexadecimal."""

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
"""Most attributes of a span, or of a resource; further ones are left out."""
SPANS_MAX = 40_000
"""Most spans of one request."""
OBJECTS_MAX = 400_000
"""Most JSON objects of a request. One span has two for each of its attributes."""
FEWER = "send fewer spans at once"
ERROR = 2
"""Status code of a failed span."""


class NotReadable(Exception):  # noqa: N818
    """A body that is not what it claims to be; the message is for its sender."""


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
    """The spans of one resource, with its attributes."""

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
    """Decodes a JSON body.

    Raises NotReadable.
    """
    if clean.has_more_objects(body, OBJECTS_MAX):
        raise NotReadable(f"the request has more than {OBJECTS_MAX} objects of JSON: {FEWER}")
    try:
        request = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise NotReadable(f"the body is not an ExportTraceServiceRequest: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        request = _leniently(body, error)
    resources = request.resource_spans or []
    _check_count(len(resources), sum(len(scope.spans or ()) for each in resources for scope in each.scope_spans or ()))
    groups = []
    for each in resources:
        decoded = []
        for scope in each.scope_spans or ():
            waiting, scope.spans = scope.spans or [], None
            waiting.reverse()
            while waiting:  # each is freed once it is read: there are many
                decoded.append(_span(waiting.pop()))
        groups.append(Group(_attributes(each.resource.attributes if each.resource else None), decoded))
    return groups


def _leniently(body: bytes, error: Exception) -> _Request:
    """Decodes JSON with half of a surrogate pair: Python's own parser accepts it, and each text is cleaned later. Raises NotReadable."""
    if clean.depth(body) > clean.DEPTH_MAX:
        raise NotReadable(f"the body is nested deeper than {clean.DEPTH_MAX} levels")
    if clean.is_heavy(body):
        raise NotReadable(f"the body has too many values, and half of a surrogate pair: {FEWER}")
    try:
        return msgspec.convert(json.loads(body.decode(errors="replace")), _Request)
    except (ValueError, msgspec.ValidationError):
        raise NotReadable(f"the body is not JSON: {error}") from None


def _span(span: _Span) -> InSpan:
    return InSpan(
        span.trace_id.lower()[:64],
        span.span_id.lower()[:64],
        (span.parent_span_id or "").lower()[:64],
        span.name or "",
        _nanoseconds(span.start_time_unix_nano),
        _nanoseconds(span.end_time_unix_nano),
        span.status is not None and span.status.code in (ERROR, str(ERROR), "STATUS_CODE_ERROR"),
        _attributes(span.attributes),
    )


def _nanoseconds(value: float | str) -> int:
    nanoseconds = int(value) if isinstance(value, float) else clean.count(value, 2**64)
    return nanoseconds or 0


def _attributes(pairs: list[_Pair] | None) -> dict[str, Any]:
    if not pairs:
        return {}
    return {pair.key: _value(pair.value) for pair in pairs[:ATTRIBUTES_MAX] if pair.value is not None}


def _value(value: _Value) -> Any:
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return value.int_value
    if value.double_value is not None:
        return value.double_value
    if value.bool_value is not None:
        return value.bool_value
    if value.array_value is not None:
        return [each.string_value for each in value.array_value.values[: 4 * clean.TAGS_MAX]]
    return None


def from_protobuf(body: bytes) -> list[Group]:
    """Decodes a protobuf body.

    Raises NotReadable.
    """
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
        raise NotReadable("the body is not an ExportTraceServiceRequest of protobuf") from None
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
    attributes: dict[str, Any] = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        if kind == "array_value":
            attributes[pair.key] = [each.string_value for each in pair.value.array_value.values[: 4 * clean.TAGS_MAX]]
        elif kind in ("string_value", "int_value", "double_value", "bool_value"):
            attributes[pair.key] = getattr(pair.value, kind)
    return attributes


def _check_count(groups: int, spans: int) -> None:
    if groups > GROUPS_MAX:
        raise NotReadable(f"the request has {groups} resources: send at most {GROUPS_MAX} at once")
    if spans > SPANS_MAX:
        raise NotReadable(f"the request has {spans} spans: send at most {SPANS_MAX} at once")


def protobuf_answer(rejected: int, message: str) -> bytes:
    """Serializes an ExportTraceServiceResponse."""
    answer = ExportTraceServiceResponse()
    if rejected or message:
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = message
    made: bytes = answer.SerializeToString()
    return made
