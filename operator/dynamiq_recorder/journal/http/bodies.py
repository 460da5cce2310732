"""Reads and parses the bodies of pods. Members that it does not know are ignored: a pod may be newer than its journal."""

from __future__ import annotations

import base64
import binascii
import contextlib
import uuid
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar

import anyio.to_thread
import msgspec
from fastapi import Request

from dynamiq_operator.serving.problems import HttpProblem, invalid_field
from dynamiq_recorder.http import body
from dynamiq_recorder.ingest.shares import Source
from dynamiq_recorder.journal.callback import CALLBACKS_MOST
from dynamiq_recorder.journal.http.callback_bodies import CallbackBody, check_urls
from dynamiq_recorder.journal.http.context import Caller, Context
from dynamiq_recorder.journal.model import Asks, End, NewEvent, NewQuestion, NewRun, Pause, Save, State
from dynamiq_recorder.journal.placement import PlacedRow, Placement, Taken, hash_of
from dynamiq_recorder.journal.question import Content, Input
from dynamiq_recorder.store.texts import clean

INPUT_MAX = 1024 * 1024
"""Most bytes of an input."""
SAVES_BODY_MAX, SMALL_MAX = 16 * 1024 * 1024, 64 * 1024
SEEN_MAX, PLACEMENT_MAX = 512 * 1024, 1024 * 1024
SEEN_MOST, ROWS_MOST = 5_000, 2_000
"""Most conversations of one report, and most pins of a placement."""
BODIES_EACH, LARGE = 64, 256 * 1024
"""Most bodies of one caller at a time, and the bytes from which on one is parsed in a thread."""
SAVES_MOST = 500
"""Most saves of one request."""
HEADERS_MAX = 8 * 1024
"""Most bytes of the headers that are kept with a run."""

NULL = b"null"
T = TypeVar("T")
Name = Annotated[str, msgspec.Meta(max_length=256)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Time = Annotated[datetime, msgspec.Meta(tz=True)]
Pins = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


class QuestionBody(msgspec.Struct, frozen=True):
    """A question to a person. `content`: its texts, and what the pod needs of it."""

    id: Word
    node: Word
    type: Asks
    content: msgspec.Raw
    name: Name | None = None

    def question(self) -> NewQuestion:
        """Raises HttpProblem 400 and 422."""
        content = bytes(self.content)
        parsed(content, Content)
        return NewQuestion(clean(self.id), clean(self.node), self.type, clean(self.name or self.node), content)


class PauseBody(msgspec.Struct, frozen=True):
    resume_at: Time | None = None

    def pause(self) -> Pause:
        return Pause(_microseconds(self.resume_at))


class ProgressBody(msgspec.Struct, frozen=True):
    """The state of a run that a pod has saved."""

    busy_ms: Count = 0
    node: Name | None = None
    parts: dict[Word, str] = {}
    events: tuple[EventBody, ...] = ()
    questions: tuple[QuestionBody, ...] = ()
    pause: PauseBody | None = None

    def fields(self) -> dict[str, Any]:
        """Returns these fields of a Save.

        Raises HttpProblem 400 and 422.
        """
        return {
            "busy_ms": self.busy_ms,
            "node": _cleaned(self.node),
            "parts": {clean(node): _decoded("parts", state) for node, state in self.parts.items()},
            "events": tuple(NewEvent(clean(each.type), bytes(each.data)) for each in self.events),
            "questions": tuple(each.question() for each in self.questions),
            "pause": self.pause.pause() if self.pause is not None else None,
        }


class SaveBody(ProgressBody, frozen=True, kw_only=True):
    """A save of one run."""

    id: str
    fence: Count
    number: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    drop_parts: tuple[Word, ...] = ()
    used: tuple[Word, ...] = ()
    closed: tuple[Word, ...] = ()
    hand_back: bool = False
    end: EndBody | None = None

    def save(self) -> Save:
        """Raises HttpProblem 400 and 422."""
        return Save(
            id=self.id,
            fence=self.fence,
            number=self.number,
            drop_parts=tuple(map(clean, self.drop_parts)),
            used=tuple(map(clean, self.used)),
            closed=tuple(map(clean, self.closed)),
            hand_back=self.hand_back,
            end=self.end.end() if self.end is not None else None,
            **self.fields(),
        )


class PausedBody(ProgressBody, frozen=True, kw_only=True):
    """The state of a run that is accepted when it pauses."""

    pause: PauseBody
    started_at: Time | None = None

    def save(self, run_id: str) -> Save:
        """Raises HttpProblem 400 and 422."""
        return Save(id=run_id, fence=1, number=1, **self.fields())


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
    paused: PausedBody | None = None
    callbacks: Annotated[tuple[CallbackBody, ...], msgspec.Meta(max_length=CALLBACKS_MOST)] = ()

    def new_run(self, *, keeps_sessions: bool = False, hosts: Collection[str] = ()) -> NewRun:
        """Returns the run. `keeps_sessions`: True if its App has sessions. `hosts`: the allowed ones of callbacks; empty for all public ones.

        Raises HttpProblem 400, 413 and 422.
        """
        data, paused = bytes(self.input), self.paused
        if self.claim and paused is not None:
            raise invalid_field("claim", "must be false for a run that pauses")
        if not data.startswith(b"{"):
            raise invalid_field("input", "must be an object")
        if len(data) > INPUT_MAX:
            raise HttpProblem(413, f"an input has at most {INPUT_MAX} bytes", code="too_large")
        if sum(len(name) + len(value) for name, value in self.headers.items()) > HEADERS_MAX:
            raise HttpProblem(413, f"the headers of a run have at most {HEADERS_MAX} bytes", code="too_large")
        check_urls([each.url for each in self.callbacks], hosts)
        return NewRun(
            id=str(self.id),
            key=clean(self.key),
            input=data,
            idempotency_key=_cleaned(self.idempotency_key),
            request_hash=_cleaned(self.request_hash),
            user_id=_cleaned(self.user_id),
            session_id=_cleaned(self.session_id),
            session=hash_of(self.session_id) if self.session_id and keeps_sessions else None,
            trigger=_cleaned(self.trigger),
            tags=tuple(map(clean, self.tags)),
            headers={clean(name): clean(value) for name, value in self.headers.items()},
            callbacks=tuple(each.callback(n) for n, each in enumerate(self.callbacks)),
            paused=paused.save(str(self.id)) if paused is not None else None,
            started_at=_microseconds(paused.started_at) if paused is not None else None,
        )


class SavesBody(msgspec.Struct, frozen=True):
    """The body of a batch of saves."""

    instance: Name
    saves: Annotated[list[SaveBody], msgspec.Meta(max_length=SAVES_MOST)]


class CancelBody(msgspec.Struct, frozen=True):
    """The body of a cancellation, which may be left out."""

    by: Name | None = None


class InputBody(msgspec.Struct, frozen=True):
    """The body of an answer. `by`: the Access Key of a pod's caller."""

    type: Asks
    data: Input
    by: Name | None = None


class RestartBody(msgspec.Struct, frozen=True):
    """The body of a restart, which may be left out: the run keeps its pins then."""

    pins: Pins | None = None
    workflow_hash: Name | None = None


class HoldBody(msgspec.Struct, frozen=True):
    """The body of a hold or of its end. `cancel`: the runs are canceled instead of held."""

    pins: Pins
    reason: Annotated[str, msgspec.Meta(pattern="^[A-Z][A-Za-z]{0,63}$")]
    cancel: bool = False


class SessionBody(msgspec.Struct, frozen=True):
    """The body of a question whose a conversation is."""

    instance: Name


class SeenBody(msgspec.Struct, frozen=True):
    """The body of a report of turns. `sessions`: milliseconds since the last one, by conversation."""

    instance: Name
    sessions: Annotated[dict[Hash, Count], msgspec.Meta(max_length=SEEN_MOST)]


class WakeBody(msgspec.Struct, frozen=True):
    """The body of a turn that waits for a pod of these pins."""

    instance: Name
    pins: Pins


class PlacedRowBody(msgspec.Struct, frozen=True):
    sequence: Count
    service: Name | None = None
    workflow_hash: Name | None = None


class TakenBody(msgspec.Struct, frozen=True):
    pins: Pins
    before: Time


class PlacementBody(msgspec.Struct, frozen=True):
    """The body of the placement of an App's conversations."""

    live: Pins | None = None
    rows: Annotated[dict[Pins, PlacedRowBody], msgspec.Meta(max_length=ROWS_MOST)] = {}
    closed: Annotated[tuple[Pins, ...], msgspec.Meta(max_length=ROWS_MOST)] = ()
    taken: TakenBody | None = None

    def placement(self) -> Placement:
        rows = {pins: PlacedRow(each.sequence, _cleaned(each.service), _cleaned(each.workflow_hash)) for pins, each in self.rows.items()}
        taken = Taken(self.taken.pins, _microseconds(self.taken.before) or 0) if self.taken is not None else None
        return Placement(self.live, rows, tuple(sorted(set(self.closed))), taken)


@contextlib.asynccontextmanager
async def read(context: Context, request: Request, caller: Caller, kind: type[T], most: int) -> AsyncIterator[T]:
    """Reads and parses a body of at most `most` bytes, which takes its room until the block ends.

    Raises HttpProblem 400, 408, 413, 422, and Full.
    """
    source = Source(caller.app.namespace, caller.app.uid)
    with context.arriving.count_body((caller.name, caller.app.uid), BODIES_EACH), context.arriving.room(source) as came:
        try:
            raw = await body.read(request.headers, request.receive, most, came)
        except HttpProblem as problem:
            if problem.status == 413:
                raise HttpProblem(413, f"a body has at most {most} bytes", headers=problem.headers, code="too_large") from None
            raise
        # A large one would delay all other requests.
        yield parsed(raw, kind) if len(raw) < LARGE else await anyio.to_thread.run_sync(parsed, raw, kind, limiter=context.reading)


def parsed(raw: bytes, kind: type[T]) -> T:
    """Parses a body. Raises HttpProblem 400 and 422."""
    try:
        raw.decode()  # contents are kept as they are, unparsed
        return msgspec.json.decode(raw or b"{}", type=kind)
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


def _microseconds(time: datetime | None) -> int | None:
    return (time - EPOCH) // timedelta(microseconds=1) if time is not None else None
