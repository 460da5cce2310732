"""Writes the body of a call once more, for the pod that answers it: JSON as it was read, a form from its parts.

A form's files are in memory already, so that it needs no second copy of them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import web

from dynamiq_runtime.delivery import PIECE
from dynamiq_runtime.fields import FIELDS, FILES, File, RunRequest
from dynamiq_runtime.requests import FORM, FORM_FIELDS


@dataclass(frozen=True)
class Body:
    """The parts of a body, and the headers that describe it. It may be sent several times."""

    parts: Sequence[bytes]
    headers: Mapping[str, str]

    def data(self) -> AsyncIterator[memoryview] | bytes:
        """Returns the body as the client sends it: a large one in pieces, between which others are served."""
        if len(self.parts) == 1 and len(self.parts[0]) <= PIECE:
            return self.parts[0]
        return self._pieces()

    async def _pieces(self) -> AsyncIterator[memoryview]:
        for part in self.parts:
            left = memoryview(part)
            while left:
                yield left[:PIECE]
                left = left[PIECE:]


async def body_of(request: web.Request, parsed: RunRequest) -> Body:
    """Returns the body of a request that has been read."""
    if (fields := request.get(FORM_FIELDS)) is None:
        raw = await request.read()
        return Body([raw], {"Content-Length": str(len(raw))})
    boundary = uuid.uuid4().hex
    parts = list(_parts(boundary, fields, parsed.files))
    length = sum(map(len, parts))
    return Body(parts, {"Content-Type": f"{FORM}; boundary={boundary}", "Content-Length": str(length)})


def _parts(boundary: str, fields: Mapping[str, Any], files: Sequence[File]) -> Iterator[bytes]:
    for name, value in fields.items():
        if value is not None:
            text = value if FIELDS[name] is str else json.dumps(value)
            yield f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
    for each in files:
        named = f"filename*=utf-8''{quote(each.name, safe='')}"
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="{FILES}"; {named}\r\n\r\n'.encode()
        yield each.getvalue()
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
