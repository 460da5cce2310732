"""Parses JSON of an API server that is nested too deeply for other parsers, so one such object does not hide the others.

No field of an object needs such nesting. But a caller who may write an object may write anything into its managedFields.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from dynamiq_operator.kube import errors

DEPTH_MOST = 200
BRACKETS_MOST = 800
"""Opening brackets up to which a text is not scanned: each of our parsers accepts more levels."""
_PARTS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)


def parse(raw: bytes, request_name: str) -> Any:
    """Parses an answer that another parser refused, without the parts that are nested too deeply.

    Raises errors.Unavailable if it is no JSON.
    """
    try:
        return orjson.loads(bounded(raw))
    except ValueError as error:
        raise errors.Unavailable(f"{request_name}: the answer is not JSON") from error


def bounded(raw: bytes) -> bytes:
    """Returns the text with the lists and objects at `DEPTH_MOST` levels emptied."""
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
