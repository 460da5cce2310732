"""JSON of an API server, which stores what is nested deeper than parsers here go: one object of that kind hides no other.

Of an object's own fields none is nested so deeply, but a caller who may write an object may write its managedFields, too, and there anything.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from dynamiq_operator.kube import errors

DEPTH_MOST = 200
BRACKETS_MOST = 800
"""So many a text may have without being looked at: of levels each of our parsers takes more."""
_PARTS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)


def parse(raw: bytes, asked: str) -> Any:
    """The value of an answer that a parser did not take, without what is nested too deeply. Raises errors.Unavailable where it is no JSON."""
    try:
        return orjson.loads(bounded(raw))
    except ValueError as error:
        raise errors.Unavailable(f"{asked}: the answer is not JSON") from error


def bounded(raw: bytes) -> bytes:
    """The same text with nothing in those lists and objects that are `DEPTH_MOST` levels deep."""
    if raw.count(b"{") + raw.count(b"[") <= BRACKETS_MOST:
        return raw
    kept, begin, depth = bytearray(), 0, 0
    for part in _PARTS.finditer(raw):
        bracket = raw[part.start()]
        if bracket in b"[{":
            depth += 1
            if depth == DEPTH_MOST:
                kept += raw[begin : part.end()]
        elif bracket in b"]}":
            begin = part.start() if depth == DEPTH_MOST else begin
            depth -= 1
    return bytes(kept + raw[begin:])
