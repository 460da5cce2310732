"""Defines what a change of a run writes beside the run's line."""

from __future__ import annotations

import msgspec

from dynamiq_recorder.journal.model import NewCallback
from dynamiq_recorder.journal.question import Question


class Event(msgspec.Struct, frozen=True):
    """An event as it is stored. `data`: None for the last event of the journal itself, which the run has."""

    sequence: int
    at: int
    type: str
    data: bytes | None


class Pending(msgspec.Struct):
    """The data that a change writes beside the run's line. `clears_parts`: all of its parts are deleted.

    `questions`: by id; None: it is deleted. `clears_questions`: all of them are.
    `callbacks`: of a new run. `calls_back`: its run has ended, so its callbacks are due. `unheard`: no pod's save ended it.
    """

    events: list[Event] = []
    puts: dict[str, bytes] = {}
    drops: set[str] = set()
    clears_parts: bool = False
    contents: dict[str, bytes] = {}
    questions: dict[str, Question | None] = {}
    clears_questions: bool = False
    callbacks: tuple[NewCallback, ...] = ()
    calls_back: bool = False
    unheard: bool = False
