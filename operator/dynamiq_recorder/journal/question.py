"""Defines the questions of runs to persons, and checks answers to them. It keeps none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from dynamiq_recorder.journal.model import Asks, Refused

NULL = b"null"
QUESTION_SIZE = 256
"""Bytes that a question takes beside its content."""
Data = dict[str, Any]
Wrong = dict[str, str]
"""The problem of each wrong field of an answer."""


class Option(msgspec.Struct, frozen=True):
    label: str
    description: str | None = None


class Part(msgspec.Struct, frozen=True):
    """One of the structured questions of a question."""

    id: str
    question: str
    header: str | None = None
    options: tuple[Option, ...] | None = ()
    multi_select: bool = False
    allow_custom_answer: bool = False


class Content(msgspec.Struct, frozen=True):
    """The texts of a question and its parameters. Other members are the pod's own."""

    prompt: str | None = None
    params: dict[str, Any] | None = None
    params_omitted: bool = False
    editable_params: tuple[str, ...] | None = ()
    questions: tuple[Part, ...] | None = None


class Shown(msgspec.Struct, frozen=True):
    """The same content, with its texts as they came."""

    prompt: msgspec.Raw = msgspec.Raw(NULL)
    params: msgspec.Raw = msgspec.Raw(NULL)
    params_omitted: bool = False
    editable_params: tuple[str, ...] | None = ()
    questions: msgspec.Raw = msgspec.Raw(NULL)


class Question(msgspec.Struct, kw_only=True):
    """A question of a run. `content`: empty if it was not loaded; `answer`: None, too, if a node has used it.

    `given`: the fence of the claim that got its answer, 0 for none. `is_new`: it is not stored yet.
    """

    id: str
    node: str
    kind: Asks
    name: str
    size: int
    asked_at: int
    answer_by: str | None = None
    answered_at: int | None = None
    used: bool = False
    given: int = 0
    content: bytes = b""
    answer: bytes | None = None
    is_new: bool = False

    @property
    def is_open(self) -> bool:
        return self.answered_at is None

    @property
    def waits_for_its_node(self) -> bool:
        """Returns True for an answer that no saved node has used."""
        return not self.is_open and not self.used

    def asked(self) -> Data:
        """Returns what is shown of a question, without times and its answer."""
        shown = msgspec.json.decode(self.content, type=Shown)
        return {
            "id": self.id,
            "type": self.kind,
            "node": self.node,
            "name": self.name,
            "prompt": orjson.Fragment(bytes(shown.prompt)),
            "params": orjson.Fragment(bytes(shown.params)),
            "params_omitted": shown.params_omitted,
            "editable_params": shown.editable_params or (),
            "questions": orjson.Fragment(bytes(shown.questions)),
        }


class PartAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    question_id: str
    selected: tuple[str, ...] = ()
    custom_text: str | None = None


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer as callers send it. Which members are allowed depends on the question."""

    request_id: str
    feedback: str | None = None
    answers: tuple[PartAnswer, ...] | None = None
    is_approved: bool | None = None
    data: dict[str, Any] | None = None


def canonical(kind: Asks, given: Input, content: bytes) -> bytes:
    """Returns the answer as it is stored and compared.

    Raises Refused with the problem of each wrong field.
    """
    shown = msgspec.json.decode(content, type=Content)
    check = {Asks.HUMAN_FEEDBACK: _feedback, Asks.APPROVAL: _approval}[kind]
    wrong: Wrong = {}
    data = check(given, shown, wrong)
    if wrong:
        details = {f"data.{name}": problem for name, problem in wrong.items()}
        raise Refused("validation_error", "; ".join(f"{field}: {problem}" for field, problem in details.items()), details)
    return _encoded({"request_id": given.request_id, **data})


def _feedback(given: Input, content: Content, wrong: Wrong) -> Data:
    _check_absent({"is_approved": given.is_approved, "data": given.data}, "approval_request", wrong)
    parts = {each.id: each for each in content.questions or ()}
    if given.answers and not parts:
        wrong["answers"] = "the question has no questions of its own: answer with feedback"
    elif given.feedback is None and not given.answers:
        wrong["answers" if parts else "feedback"] = "is missing"
    else:
        answered: set[str] = set()
        for place, each in enumerate(given.answers or ()):
            if (problem := _problem(parts.get(each.question_id), each, answered)) is not None:
                wrong[f"answers[{place}].{problem[0]}"] = problem[1]
            answered.add(each.question_id)
    answers = [
        {"question_id": each.question_id, "selected": each.selected, **_present({"custom_text": each.custom_text})}
        for each in given.answers or ()
    ]
    return _present({"feedback": given.feedback, "answers": answers or None})


def _problem(part: Part | None, given: PartAnswer, answered: set[str]) -> tuple[str, str] | None:
    """Returns the wrong field of the answer to a part, and its problem; None if it is right."""
    if part is None or given.question_id in answered:
        return "question_id", "names no question of this one" if part is None else "is answered twice"
    labels = {each.label for each in part.options or ()}
    if not labels.issuperset(given.selected) or len(set(given.selected)) < len(given.selected):
        return "selected", "must be labels of the options, each once"
    if len(given.selected) > 1 and not part.multi_select:
        return "selected", "must be one option"
    if given.custom_text is not None and not part.allow_custom_answer:
        return "custom_text", "is not allowed: choose an option"
    if not given.selected and given.custom_text is None:
        return "selected", "is missing"
    return None


def _approval(given: Input, content: Content, wrong: Wrong) -> Data:
    _check_absent({"answers": given.answers}, "human_feedback", wrong)
    if given.is_approved is None:  # a text alone never approves
        wrong["is_approved"] = "must be true or false"
    editable, params = content.editable_params or (), content.params or {}
    changed: Data = {}
    for name, value in (given.data or {}).items():
        if name in editable:
            changed[name] = value
        elif name not in params or _encoded(params[name]) != _encoded(value):
            wrong[f"data.{name}"] = "cannot be changed"
    return _present({"is_approved": given.is_approved, "feedback": given.feedback, "data": changed or None})


def _check_absent(members: Mapping[str, object], kind: str, wrong: Wrong) -> None:
    for name, value in members.items():
        if value is not None:
            wrong[name] = f"belongs to an answer of type {kind}"


def _present(members: Mapping[str, object]) -> Data:
    return {name: value for name, value in members.items() if value is not None}


def _encoded(value: object) -> bytes:
    """Returns JSON by which values are compared: for Python, true equals 1."""
    return msgspec.json.encode(value, order="deterministic")
