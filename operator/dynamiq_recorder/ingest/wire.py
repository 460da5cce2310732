"""A request of protobuf, span by span: it is walked down to its spans, and each is read by itself.

All at once, as the library does it, two bytes that say "an empty span" become hundreds of bytes before anybody can count them.
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import DecodeError
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

GROUPS_MAX = 1000
"""Resources of one request."""
FIELDS_MAX = 100_000
"""Of a request, of its resources and scopes, those of spans left out."""
MESSAGE_MAX = 1024 * 1024
"""Bytes of one span, or of one resource."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_RESOURCE_SPANS = _RESOURCE = 1
_SCOPE_SPANS = _SPANS = 2
Place = tuple[int, int]
"""Begin and end of a message in the body."""


class TooMuch(Exception):  # noqa: N818
    """There is more in the request than one may have."""


class Walk:
    """Over one request. Every method raises DecodeError, and TooMuch."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._left = FIELDS_MAX

    def groups(self) -> list[tuple[Place, list[Place]]]:
        """The places of resources, each with those of its spans."""
        found: list[tuple[Place, list[Place]]] = []
        for begin, end in self._messages(0, len(self._body), _RESOURCE_SPANS):
            if len(found) == GROUPS_MAX:
                raise TooMuch(f"the request has more than {GROUPS_MAX} resources")
            resource: Place = (begin, begin)
            spans: list[Place] = []
            for number, first, last in self._fields(begin, end):
                if number == _RESOURCE:
                    resource = (first, last)
                elif number == _SCOPE_SPANS:
                    spans += self._messages(first, last, _SPANS)
            found.append((resource, spans))
        return found

    def resource(self, place: Place) -> Resource:
        made: Resource = Resource.FromString(self._message(place))
        return made

    def span(self, place: Place) -> Span:
        made: Span = Span.FromString(self._message(place))
        return made

    def _message(self, place: Place) -> bytes:
        begin, end = place
        if end - begin > MESSAGE_MAX:
            raise TooMuch(f"one span or resource is larger than {MESSAGE_MAX} bytes")
        return self._body[begin:end]

    def _messages(self, begin: int, end: int, wanted: int) -> Iterator[Place]:
        return ((first, last) for number, first, last in self._fields(begin, end) if number == wanted)

    def _fields(self, at: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Number, begin and end of what has a length; what has none is passed over."""
        body = self._body
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise TooMuch(f"the request has more than {FIELDS_MAX} parts")
            tag, at = self._varint(at, end)
            kind = tag & 7
            if kind == _BYTES:
                size, at = (body[at], at + 1) if at < end and body[at] < 0x80 else self._varint(at, end)
                if size > end - at:
                    raise DecodeError("a field ends after what it is in")
                yield tag >> 3, at, at + size
                at += size
            elif kind == _VARINT:
                _, at = self._varint(at, end)
            elif kind in (_FIXED32, _FIXED64):
                at += 4 if kind == _FIXED32 else 8
            else:
                raise DecodeError("there is no such kind of field")
        if at > end:
            raise DecodeError("a field ends after what it is in")

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        found = shift = 0
        while at < end and shift < 64:
            byte = self._body[at]
            at += 1
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                return found, at
            shift += 7
        raise DecodeError("a number does not end")
