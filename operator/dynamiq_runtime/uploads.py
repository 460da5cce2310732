"""Reads a form with files, `multipart/form-data`, into the fields of a run. Files are texts, documents, images, audio and video.

One form is read at a time, whole, within FORM_MOST bytes, and only then parsed. The type of a file is that of its content, whatever its
sender says. Archives and programs are refused. `release` frees files once their run was answered or given up.
"""

from __future__ import annotations

import asyncio
import mimetypes
import re
from collections.abc import Sequence
from email.message import Message
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from dynamiq_runtime.bodies import BODY_RATE, RETRY_AFTER, ROOM_WITHIN, body_too_slow, turn
from dynamiq_runtime.errors import HttpError, bad_request, media_type, too_large
from dynamiq_runtime.fields import FIELDS, FILES, File, of_form

FORM_MOST = 8 << 20
"""Bytes of one form, with all its files."""
HELD_MOST = 2 * FORM_MOST
"""Bytes of files that runs under way have, and the next form may have."""
PARTS_MOST = 64
NAME_MOST = 255  # characters of a file's name
NO_FORM = {"body": "is not a complete multipart/form-data"}
NO_NAME = re.compile(r"[\x00-\x1f\x7f/\\]")
"""Characters that no file's name has: control characters, and those between folders."""
CHUNK = 256 << 10
BEGINS_WITHIN = 15.0
"""Seconds after which a form must arrive at BODY_RATE."""
TEXTS = ("text/", "application/json", "application/xml", "application/x-yaml", "application/yaml")
"""Types that a text may have by its name."""
DOCUMENTS = frozenset(
    {
        "application/pdf",
        "application/rtf",
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        "application/epub+zip",
    }
)
MEDIA = ("image/", "audio/", "video/", "application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument.")
"""How other types that are taken begin."""
WRITTEN_AS_TEXT = (b"%PDF-", b"{\\rtf")
CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


class Uploads:
    """The forms of one server, for its event loop."""

    def __init__(self) -> None:
        self._turn, self._freed = asyncio.Lock(), asyncio.Event()
        self._held = 0

    async def read(self, request: web.Request) -> tuple[dict[str, Any], list[File]]:
        """Returns the fields and the files of a form. `release` takes the files back.

        Raises HttpError: 400 for an invalid form, 415 for a compressed one. Also 408 for a slow form, 413 for a large one, 429 if it may not
        be read in time.
        """
        if "Content-Encoding" in request.headers:
            raise media_type("the form is compressed: send it as it is")
        if (request.content_length or 0) > FORM_MOST:
            raise too_large(FORM_MOST)
        async with turn(self._turn, ROOM_WITHIN, _too_many):
            await self._wait_for_room()
            fields, files = await _parsed(request, await _whole(request))
            self._held += sum(each.size for each in files)
        return fields, files

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(ROOM_WITHIN):
                while self._held > HELD_MOST - FORM_MOST:
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            raise _too_many() from None

    def release(self, files: Sequence[File]) -> None:
        """Closes the files of a run, which frees them. A thread that was given up may still refer to them."""
        for each in files:
            each.close()
            self._held -= each.size
        if files:
            self._freed.set()


def _too_many() -> HttpError:
    return HttpError(429, "too_many_files", "other files are being read, or used by runs: try again", retry_after=RETRY_AFTER)


async def _whole(request: web.Request) -> bytes:
    """Returns the body. Raises HttpError 408 and 413: a sender that is slow keeps all other forms waiting."""
    body, due = bytearray(), asyncio.get_running_loop().time() + BEGINS_WITHIN
    chunks = request.content.iter_any()
    while True:
        try:
            async with asyncio.timeout_at(due + len(body) / BODY_RATE):
                chunk = await anext(chunks, b"")
        except TimeoutError:
            raise body_too_slow() from None
        if not chunk:
            return bytes(body)
        body += chunk
        if len(body) > FORM_MOST:
            raise too_large(FORM_MOST)


async def _parsed(request: web.Request, body: bytes) -> tuple[dict[str, Any], list[File]]:
    """Parses a form that is whole. Raises HttpError 400."""
    if not body.startswith(_begin_of(request)):  # lines before the first part would be read one by one, while nothing else runs
        raise bad_request(NO_FORM)
    content = StreamReader(request.protocol, len(body), loop=asyncio.get_running_loop())
    content.feed_data(body)
    content.feed_eof()
    fields: dict[str, Any] = {}
    files: list[File] = []
    try:
        reader = MultipartReader(request.headers, content)
        for _ in range(PARTS_MOST):
            if (part := await reader.next()) is None:
                return fields, files
            if not isinstance(part, BodyPartReader) or "Content-Transfer-Encoding" in part.headers:
                raise bad_request({"body": "has a part that is itself a form, or is encoded: send each part as it is"})
            if part.name == FILES:
                files.append(await _file(part, len(files)))
            else:
                await _read_field(part, fields, request.client_max_size)
    except (ValueError, RuntimeError, AssertionError, LookupError, HttpProcessingError):
        raise bad_request(NO_FORM) from None
    raise bad_request({"body": f"has more than {PARTS_MOST} parts"})


def _begin_of(request: web.Request) -> bytes:
    """Returns the first line of a form, by its header."""
    head = Message()
    head["Content-Type"] = request.headers["Content-Type"]
    return f"--{head.get_boundary()}\r\n".encode()


async def _read_field(part: BodyPartReader, fields: dict[str, Any], most: int) -> None:
    name = part.name or ""
    if name not in FIELDS or part.filename is not None:
        raise bad_request({name[:64] or "body": f"is not a field of a run: files are sent as `{FILES}`"})
    if name in fields:
        raise bad_request({name: "is sent twice"})
    if len(content := await _content(part)) > most:
        raise too_large(most)
    try:
        fields[name] = of_form(name, content.decode())
    except UnicodeDecodeError:
        raise bad_request({name: "is not UTF-8"}) from None
    except ValueError as error:
        raise bad_request({name: str(error)}) from None


async def _file(part: BodyPartReader, index: int) -> File:
    """Reads a file. Raises HttpError 400."""
    where, name = f"{FILES}[{index}]", part.filename or ""
    if not 1 <= len(name) <= NAME_MOST or name in (".", "..") or NO_NAME.search(name):
        raise bad_request({where: f"needs a file name of 1 to {NAME_MOST} characters, without folders"})
    content = await _content(part)
    if (kind := type_of(content, name)) is None:
        raise bad_request({where: "is not a text, document, image, audio or video: archives and programs are not taken"})
    return File(content, name, kind)


async def _content(part: BodyPartReader) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(CHUNK):
        content += chunk
    return bytes(content)


def type_of(content: bytes, name: str) -> str | None:
    """Returns the media type of a file by its content; None for one that is not taken. A text's kind is by its name."""
    if _is_text(content):
        by_name = mimetypes.guess_type(name)[0] or ""
        return by_name if by_name.startswith(TEXTS) else "text/plain"
    import filetype  # a pod that takes no files starts without it

    kind: str | None = filetype.guess_mime(content)
    is_taken = kind is not None and (kind in DOCUMENTS or kind.startswith(MEDIA))
    return kind if is_taken else None


def _is_text(content: bytes) -> bool:
    """Returns True for UTF-8 without control characters, as far as it is not a document that is written so."""
    if content.startswith(WRITTEN_AS_TEXT) or CONTROLS.search(content):
        return False
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
