"""Walks a protobuf request down to its spans, and decodes each by itself. It reads no attribute's meaning.

The library decodes a request at once: an empty span of two bytes becomes hundreds of bytes before anything can count it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_Message = TypeVar("_Message", Resource, Span)
GROUPS_MAX = 10_000
"""Most resources of one request. A collector sends 8,192 spans together, each of which may have its own resource."""
FIELDS_MAX = 200_000
"""Most fields of a request, of its resources and scopes, and of large spans. Fields of other spans do not count."""
LARGE = 256 * 1024
"""Most bytes of a span, a resource or an attribute that is decoded before its parts are known."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_RESOURCE_SPANS = _RESOURCE = 1
_SCOPE_SPANS = _SPANS = 2
_OF_RESOURCE, _OF_SPAN = 1, 9
"""Field numbers of their attributes."""
_EVENTS_AND_LINKS = (11, 13)
_VALUE = 2
_LISTS = (5, 6)
Place = tuple[int, int]
"""Begin and end of a message in the body."""
Read = tuple[_Message, Iterable[KeyValue]]
"""A message and its attributes."""


class TooMuch(Exception):  # noqa: N818
    """A request with more than one may have."""


class Walk:
    """A walk over one request. Every method raises DecodeError and TooMuch."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._fields_left = FIELDS_MAX

    def groups(self) -> list[tuple[Place, list[Place]]]:
        """Returns the places of resources, each with those of its spans."""
        groups: list[tuple[Place, list[Place]]] = []
        for begin, end in self._messages(0, len(self._body), _RESOURCE_SPANS):
            if len(groups) == GROUPS_MAX:
                raise TooMuch(f"the request has more than {GROUPS_MAX} resources")
            resource: Place = (begin, begin)
            spans: list[Place] = []
            for number, _, first, last in self._fields(begin, end):
                if number == _RESOURCE:
                    resource = (first, last)
                elif number == _SCOPE_SPANS:
                    spans += self._messages(first, last, _SPANS)
            groups.append((resource, spans))
        return groups

    def resource(self, place: Place, most: int) -> Read[Resource]:
        return self._read(Resource, place, _OF_RESOURCE, most)

    def span(self, place: Place, most: int) -> Read[Span]:
        return self._read(Span, place, _OF_SPAN, most)

    def _read(self, kind: type[_Message], place: Place, attributes: int, most: int) -> Read[_Message]:
        """Decodes a message with at most `most` of its attributes. A large one loses events and links; its attributes are decoded one by
        one.
        """
        begin, end = place
        if end - begin <= LARGE:
            made = kind.FromString(self._body[begin:end])
            return made, made.attributes[:most]
        rest, kept = [], begin
        attribute_places: list[Place] = []
        for number, start, first, last in self._fields(begin, end):
            if number == attributes or number in _EVENTS_AND_LINKS:
                rest.append(self._body[kept:start])
                kept = last
                if number == attributes and len(attribute_places) < most:
                    attribute_places.append((first, last))
        rest.append(self._body[kept:end])
        return kind.FromString(b"".join(rest)), (
            KeyValue.FromString(self._body[first:last]) for first, last in attribute_places if self._is_read(first, last)
        )

    def _is_read(self, begin: int, end: int) -> bool:
        """Returns True if an attribute is small, or a text: a large list is not decoded."""
        if end - begin <= LARGE:
            return True
        values = [(first, last) for number, _, first, last in self._fields(begin, end) if number == _VALUE]
        return not any(number in _LISTS for first, last in values for number, *_ in self._fields(first, last))

    def _messages(self, begin: int, end: int, field: int) -> Iterator[Place]:
        return ((first, last) for number, _, first, last in self._fields(begin, end) if number == field)

    def _fields(self, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Yields each field that has a length: its number, its begin, and begin and end of its value. Others are skipped."""
        body = self._body
        while at < end:
            start = at
            self._fields_left -= 1
            if self._fields_left < 0:
                raise TooMuch(f"the request has more than {FIELDS_MAX} parts")
            tag, at = self._varint(at, end)
            kind = tag & 7
            if kind == _BYTES:
                size, at = (body[at], at + 1) if at < end and body[at] < 0x80 else self._varint(at, end)
                if size > end - at:
                    raise DecodeError("a field is longer than its message")
                yield tag >> 3, start, at, at + size
                at += size
            elif kind == _VARINT:
                _, at = self._varint(at, end)
            elif kind in (_FIXED32, _FIXED64):
                at += 4 if kind == _FIXED32 else 8
            else:
                raise DecodeError("a field has an unknown wire type")
        if at > end:
            raise DecodeError("a field is longer than its message")

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end and shift < 64:
            byte = self._body[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7
        raise DecodeError("a number does not end")
