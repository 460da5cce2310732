"""Reads a form with files, `multipart/form-data`, into the fields of a run. Files are texts, documents, images, audio and video.

One form is read at a time, whole, within FORM_MOST bytes, and only then parsed. The type of a file is that of its content, whatever its
sender says. Archives and programs are refused. `release` gives the bytes of files back once their run has ended.
"""

from __future__ import annotations

import asyncio
import io
import mimetypes
import re
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from dynamiq_runtime.bodies import ROOM_WITHIN, busy, in_time
from dynamiq_runtime.errors import bad_request, media_type, too_large
from dynamiq_runtime.fields import FIELDS, FILES, of_form

FORM_MOST = 8 << 20
"""Bytes of one form, with all its files."""
HELD_MOST = 2 * FORM_MOST
"""Bytes of files that runs under way have, and the next form may have."""
PARTS_MOST = 64
NAME_MOST = 255  # characters of a file's name
CHUNK = 256 << 10
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

    async def read(self, request: web.Request) -> dict[str, Any]:
        """Returns the fields of a form; `files` is a list of named `BytesIO`, which `release` takes back.

        Raises HttpError: 400 for an invalid form, 415 for a compressed one. Also 408 for a slow form, 413 for a large one, 503 if none may
        be read in time.
        """
        if "Content-Encoding" in request.headers:
            raise media_type("the form is compressed: send it as it is")
        if (request.content_length or 0) > FORM_MOST:
            raise too_large(FORM_MOST)
        try:
            async with asyncio.timeout(ROOM_WITHIN):
                await self._turn.acquire()
        except TimeoutError:
            raise busy() from None
        try:
            await self._wait_for_room()
            fields = await _fields(request, await in_time(_whole(request), FORM_MOST))
            self._held += _bytes_of(fields)
        finally:
            self._turn.release()
        return fields

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(ROOM_WITHIN):
                while self._held > HELD_MOST - FORM_MOST:
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            raise busy() from None

    def release(self, given: dict[str, Any]) -> None:
        """Gives back the bytes of the files in a run's input."""
        if self._held and (size := _bytes_of(given)):
            self._held -= size
            self._freed.set()


def described(given: dict[str, Any]) -> dict[str, Any]:
    """Returns a run's input with the name, size and type of each uploaded file in place of its content."""
    if not any(map(_is_file, _files_of(given))):
        return given
    shown = [
        {"name": each.name, "size": each.getbuffer().nbytes, "mime_type": each.content_type} if _is_file(each) else each
        for each in _files_of(given)
    ]
    return {**given, FILES: shown}


def _files_of(fields: dict[str, Any]) -> list[Any]:
    files = fields.get(FILES)
    return files if isinstance(files, list) else []


def _is_file(value: Any) -> bool:
    return isinstance(value, io.BytesIO)


def _bytes_of(fields: dict[str, Any]) -> int:
    return sum(each.getbuffer().nbytes for each in _files_of(fields) if _is_file(each))


async def _whole(request: web.Request) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > FORM_MOST:
            raise too_large(FORM_MOST)
    return bytes(body)


async def _fields(request: web.Request, body: bytes) -> dict[str, Any]:
    """Parses a form that is whole. Raises HttpError 400."""
    content = StreamReader(request.protocol, len(body), loop=asyncio.get_running_loop())
    content.feed_data(body)
    content.feed_eof()
    fields: dict[str, Any] = {}
    files: list[io.BytesIO] = []
    try:
        reader = MultipartReader(request.headers, content)
        for _ in range(PARTS_MOST):
            if (part := await reader.next()) is None:
                return fields | ({FILES: files} if files else {})
            if not isinstance(part, BodyPartReader) or "Content-Transfer-Encoding" in part.headers:
                raise bad_request({"body": "has a part that is itself a form, or is encoded: send each part as it is"})
            if part.name == FILES:
                files.append(await _file(part, len(files)))
            else:
                await _read_field(part, fields)
    except (ValueError, RuntimeError, AssertionError, LookupError, HttpProcessingError):
        raise bad_request({"body": "is not a complete multipart/form-data"}) from None
    raise bad_request({"body": f"has more than {PARTS_MOST} parts"})


async def _read_field(part: BodyPartReader, fields: dict[str, Any]) -> None:
    name = part.name or ""
    if name not in FIELDS or part.filename is not None:
        raise bad_request({name[:64] or "body": f"is not a field of a run: files are sent as `{FILES}`"})
    if name in fields:
        raise bad_request({name: "is sent twice"})
    try:
        fields[name] = of_form(name, (await _content(part)).decode())
    except UnicodeDecodeError:
        raise bad_request({name: "is not UTF-8"}) from None
    except ValueError as error:
        raise bad_request({name: str(error)}) from None


async def _file(part: BodyPartReader, index: int) -> io.BytesIO:
    """Reads a file as the SDK takes one: a BytesIO with `name` and `content_type`. Raises HttpError 400."""
    where, name = f"{FILES}[{index}]", part.filename or ""
    if not name or len(name) > NAME_MOST or name in (".", "..") or not name.isprintable() or "/" in name or "\\" in name:
        raise bad_request({where: f"needs a file name of 1 to {NAME_MOST} characters, without folders"})
    content = await _content(part)
    if (kind := type_of(content, name)) is None:
        raise bad_request({where: "is not a text, document, image, audio or video: archives and programs are not taken"})
    file = io.BytesIO(content)
    vars(file).update(name=name, content_type=kind)
    return file


async def _content(part: BodyPartReader) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(CHUNK):
        content += chunk
    return bytes(content)


def type_of(content: bytes, name: str) -> str | None:
    """Returns the media type of a file by its content; None for one that is not taken. The name only tells which text a text is."""
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
