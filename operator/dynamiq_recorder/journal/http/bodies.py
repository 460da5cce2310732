"""Reads and parses the bodies of pods. Members that it does not know are ignored: a pod may be newer than its journal."""

from __future__ import annotations

import base64
import binascii
import uuid
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from fastapi import Request

from dynamiq_operator.serving.problems import HttpProblem, invalid_field
from dynamiq_recorder.http import body
from dynamiq_recorder.http.arriving import OF_A_POD
from dynamiq_recorder.ingest.shares import Source
from dynamiq_recorder.journal.http.context import Caller, Context
from dynamiq_recorder.journal.model import End, NewEvent, NewRun, Save, State
from dynamiq_recorder.store.texts import clean

INPUT_MAX = 1024 * 1024
"""Most bytes of an input."""
RUN_BODY_MAX, SAVES_BODY_MAX, SMALL_MAX = 2 * INPUT_MAX, 16 * 1024 * 1024, 64 * 1024
SAVES_MOST = 500
"""Most saves of one request."""
HEADERS_MAX = 8 * 1024
"""Most bytes of the headers that are kept with a run."""

NULL = b"null"
T = TypeVar("T")
Name = Annotated[str, msgspec.Meta(max_length=256)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class RunBody(msgspec.Struct, frozen=True):
    """The body of a new run."""

    id: uuid.UUID
    key: Name
    input: msgspec.Raw
    idempotency_key: Word | None = None
    request_hash: Name | None = None
    user_id: Name | None = None
    session_id: Name | None = None
    trigger: Name | None = None
    tags: Annotated[tuple[Name, ...], msgspec.Meta(max_length=50)] = ()
    headers: dict[str, str] = {}
    claim: bool = False

    def new_run(self) -> NewRun:
        """Raises HttpProblem 413 and 422."""
        data = bytes(self.input)
        if not data.startswith(b"{"):
            raise invalid_field("input", "must be an object")
        if len(data) > INPUT_MAX:
            raise HttpProblem(413, f"an input has at most {INPUT_MAX} bytes", code="too_large")
        if sum(len(name) + len(value) for name, value in self.headers.items()) > HEADERS_MAX:
            raise HttpProblem(413, f"the headers of a run have at most {HEADERS_MAX} bytes", code="too_large")
        return NewRun(
            id=str(self.id),
            key=clean(self.key),
            input=data,
            idempotency_key=_cleaned(self.idempotency_key),
            request_hash=_cleaned(self.request_hash),
            user_id=_cleaned(self.user_id),
            session_id=_cleaned(self.session_id),
            trigger=_cleaned(self.trigger),
            tags=tuple(map(clean, self.tags)),
            headers={clean(name): clean(value) for name, value in self.headers.items()},
        )


class ClaimBody(msgspec.Struct, frozen=True):
    """The body of a claim."""

    instance: Name
    free: Annotated[int, msgspec.Meta(ge=1, le=100)]
    held: Count
    wait: Annotated[float, msgspec.Meta(ge=0, le=25)] = 0


class EventBody(msgspec.Struct, frozen=True):
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    data: msgspec.Raw = msgspec.Raw(b"{}")


class ErrorBody(msgspec.Struct, frozen=True):
    """The error of a failed run."""

    code: Name
    message: str = ""
    details: Any = {}


class EndBody(msgspec.Struct, frozen=True):
    status: Literal["completed", "failed", "canceled"]
    reason: Word
    output: msgspec.Raw = msgspec.Raw(NULL)
    error: ErrorBody | None = None
    record: str | None = None

    def end(self) -> End:
        return End(
            status=State(self.status),
            reason=clean(self.reason),
            output=bytes(self.output) if bytes(self.output) != NULL else None,
            error=msgspec.json.encode(self.error) if self.error is not None else None,
            record=_decoded("record", self.record) if self.record is not None else None,
        )


class SaveBody(msgspec.Struct, frozen=True):
    """A save of one run."""

    id: str
    fence: Count
    number: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    busy_ms: Count = 0
    node: Name | None = None
    parts: dict[Word, str] = {}
    drop_parts: tuple[Word, ...] = ()
    events: tuple[EventBody, ...] = ()
    hand_back: bool = False
    end: EndBody | None = None

    def save(self) -> Save:
        """Raises HttpProblem 422."""
        return Save(
            id=self.id,
            fence=self.fence,
            number=self.number,
            busy_ms=self.busy_ms,
            node=_cleaned(self.node),
            parts={clean(node): _decoded("parts", state) for node, state in self.parts.items()},
            drop_parts=tuple(map(clean, self.drop_parts)),
            events=tuple(NewEvent(clean(each.type), bytes(each.data)) for each in self.events),
            hand_back=self.hand_back,
            end=self.end.end() if self.end is not None else None,
        )


class SavesBody(msgspec.Struct, frozen=True):
    """The body of a batch of saves."""

    instance: Name
    saves: Annotated[list[SaveBody], msgspec.Meta(max_length=SAVES_MOST)]


class CancelBody(msgspec.Struct, frozen=True):
    """The body of a cancellation, which may be left out."""

    by: Name | None = None


async def read(context: Context, request: Request, caller: Caller, kind: type[T], most: int) -> T:
    """Reads and parses a body of at most `most` bytes.

    Raises HttpProblem 400, 408, 413, 422, and Full.
    """
    namespace = caller.app.namespace
    with (
        context.arriving.count_body((caller.name, caller.app.uid), OF_A_POD),
        context.arriving.room(Source(namespace, caller.app.uid)) as came,
    ):
        try:
            raw = await body.read(request.headers, request.receive, most, came)
        except HttpProblem as problem:
            if problem.status == 413:
                raise HttpProblem(413, f"a body has at most {most} bytes", headers=problem.headers, code="too_large") from None
            raise
    return parsed(raw or b"{}", kind)


def parsed(raw: bytes, kind: type[T]) -> T:
    """Parses a body. Raises HttpProblem 400 and 422."""
    try:
        raw.decode()  # contents are kept as they are, unparsed
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        says, _, where = str(error).partition(" - at ")
        raise invalid_field(where.strip("`").removeprefix("$").lstrip(".") or "body", says) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HttpProblem(400, f"the body is not JSON: {error}") from None


def _cleaned(text: str | None) -> str | None:
    return clean(text) if text is not None else None


def _decoded(field: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid_field(field, "must be base64") from None
