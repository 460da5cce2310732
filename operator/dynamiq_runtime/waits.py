"""Defines what nodes of the engine `tiny` may wait for, with the SDK's rules: a person's text, an approval, a time. It waits for nothing itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dynamiq_runtime.engine import Question
from dynamiq_runtime.questions import APPROVAL, FEEDBACK, Answer
from dynamiq_runtime.text import FlowError

ASK, INFO = "ask", "info"
METHODS = ("console", "stream")
DEFAULT_APPROVAL = "Node {{name}}: Approve or cancel execution. Send nothing for approval; provide feedback to cancel."
IN_PLACE = 60.0
"""Seconds up to which a Delay keeps its thread, as the SDK's does."""
_FIELD = re.compile(r"\{\{(?P<path>.*?)\}\}", re.DOTALL)
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*|\[\d+\])*")
_OTHER = re.compile(r"\{[%#]")


@dataclass(frozen=True)
class Template:
    """A text with fields, such as `Send {{input_data.amount}}?`. It is the part of the SDK's templates without filters and statements."""

    text: str

    def render(self, values: Mapping[str, Any]) -> str:
        """Returns the text. A missing field is empty, as in the SDK's."""
        return _FIELD.sub(lambda field: _shown(values, field["path"].strip()), self.text)


@dataclass(frozen=True)
class Approval:
    """An approval before a node runs. `editable`: the inputs that the approver may change."""

    template: Template
    editable: tuple[str, ...] = ()

    def question(self, node_id: str, name: str, taken: Mapping[str, Any]) -> Question:
        prompt = self.template.render({"name": name, "id": node_id, "input_data": taken}).strip()
        content = {"prompt": prompt, "params": dict(taken), "editable_params": list(self.editable), "questions": None}
        return Question(node_id, name, APPROVAL, node_id, content, is_single=True)

    def input(self, taken: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
        """Returns the input of a node that is approved."""
        changed = answer.get("data") or {}
        return {**taken, **{key: changed[key] for key in self.editable if key in changed}}


@dataclass(frozen=True)
class Feedback:
    """A HumanFeedbackTool. `action`: None if its input says which. `by_stream`: False if it could only ask at a console."""

    template: Template
    action: str | None = None
    by_stream: bool = True

    def message(self, taken: Mapping[str, Any]) -> tuple[str, str]:
        """Returns the action, and the text that a person sees. Raises ValueError."""
        action = self.action or taken.get("action") or ASK
        if action not in (ASK, INFO):
            raise ValueError(f"`action` is {action!r}, not ask or info")
        if action == ASK and not self.by_stream:
            raise ValueError("it asks at a console, which a pod does not have: set `input_method: stream`")
        return action, self.template.render({"input": "", **taken})

    @staticmethod
    def question(node_id: str, name: str, prompt: str, taken: Mapping[str, Any]) -> Question:
        """Returns the question. Raises ValueError for `questions` with a wrong shape."""
        questions = _questions(taken.get("questions"))
        prompt = "\n".join(part for part in (prompt, _numbered(questions)) if part)
        content = {"prompt": prompt, "params": None, "editable_params": [], "questions": questions}
        return Question(node_id, name, FEEDBACK, node_id, content, is_single=True)

    @staticmethod
    def output(taken: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
        answers, text = answer.get("answers"), answer.get("feedback") or ""
        if answers and not text:
            text = _in_words(_questions(taken.get("questions")) or [], answers)
        return {"content": text} | ({"answers": answers} if answers is not None else {})


@dataclass(frozen=True)
class Delay:
    """A wait for a time. `seconds`: None if its input says how long, or until when."""

    seconds: float | None = None

    def until(self, taken: Mapping[str, Any], now: datetime) -> datetime:
        """Returns the time at which a wait that begins now is over. Raises ValueError."""
        if (until := taken.get("until")) is not None:
            moment = datetime.fromisoformat(str(until))
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = taken.get("duration_seconds")
        seconds = self.seconds if seconds is None else seconds
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
            raise ValueError("it has nothing to wait for: set `duration_seconds`, or pass it, or `until`, as input")
        try:
            return now + timedelta(seconds=seconds)
        except OverflowError:
            raise ValueError(f"{seconds} seconds is too far in the future") from None

    @staticmethod
    def output(taken: Mapping[str, Any], began: datetime, until: datetime, now: datetime) -> dict[str, Any]:
        passed = {key: value for key, value in taken.items() if key not in ("until", "duration_seconds")}
        return {**passed, "waited_until": until.isoformat(), "waited_seconds": round((now - began).total_seconds(), 3)}


def approval_of(spec: Mapping[str, Any]) -> Approval | None:
    """Returns the approval that a node asks for; None if it asks for none. Raises FlowError."""
    config = spec.get("approval")
    if not isinstance(config, dict) or not config.get("enabled"):
        return None
    if _method(config, "feedback_method", "approval.") == "console":
        raise FlowError("it is approved at a console, which a pod does not have: set `approval.feedback_method: stream`")
    editable = config.get("mutable_data_params") or []
    if not isinstance(editable, list) or not all(isinstance(each, str) for each in editable):
        raise FlowError("`approval.mutable_data_params` is not a list of names")
    return Approval(_template(config.get("msg_template") or DEFAULT_APPROVAL, "approval.msg_template"), tuple(editable))


def feedback_of(spec: Mapping[str, Any]) -> Feedback:
    """Returns a HumanFeedbackTool. Raises FlowError."""
    action = spec.get("action")
    if action not in (None, ASK, INFO):
        raise FlowError(f"`action` is {action!r}, not ask or info")
    if spec.get("is_browser_takeover"):
        raise FlowError('it uses `is_browser_takeover`, which engine "tiny" does not run')
    by_stream = _method(spec, "input_method", "") == "stream"
    if not by_stream and action != INFO:
        raise FlowError("it asks at a console, which a pod does not have: set `input_method: stream`")
    return Feedback(_template(spec.get("msg_template") or "{{input}}", "msg_template"), action, by_stream)


def delay_of(spec: Mapping[str, Any]) -> Delay:
    """Returns a Delay. Raises FlowError."""
    seconds = spec.get("duration_seconds")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0):
        raise FlowError("`duration_seconds` is not a number from 0")
    return Delay(None if seconds is None else float(seconds))


def _method(spec: Mapping[str, Any], key: str, prefix: str) -> str:
    method = spec.get(key) or "console"
    if method not in METHODS:
        raise FlowError(f"`{prefix}{key}` is {method!r}, not {' or '.join(METHODS)}")
    return str(method)


def _template(text: object, key: str) -> Template:
    if not isinstance(text, str):
        raise FlowError(f"`{key}` is not a text")
    other = next((field["path"] for field in _FIELD.finditer(text) if not _PATH.fullmatch(field["path"].strip())), None)
    if other is not None or _OTHER.search(text):
        raise FlowError(f'`{key}` has more than fields such as {{{{input_data.amount}}}}, which engine "tiny" does not run')
    return Template(text)


def _shown(values: Any, path: str) -> str:
    for step in re.findall(r"\w+", path):
        if isinstance(values, Mapping):
            values = values.get(step)
        elif isinstance(values, list) and step.isdecimal() and int(step) < len(values):
            values = values[int(step)]
        else:
            return ""
    return "" if values is None else str(values)


def _questions(given: Any) -> list[dict[str, Any]] | None:
    if given is None:
        return None
    if (
        not isinstance(given, list)
        or not 1 <= len(given) <= 4
        or not all(isinstance(each, dict) and each.get("question") for each in given)
    ):
        raise ValueError("`questions` is not a list of 1 to 4 objects with a `question`")
    questions = []
    for place, each in enumerate(given):
        options = [{"description": None, **(one if isinstance(one, dict) else {"label": str(one)})} for one in each.get("options") or []]
        if options and not 2 <= len(options) <= 4:
            raise ValueError("`options` must contain between 2 and 4 choices when provided.")
        fields: dict[str, Any] = {"header": None, "multi_select": False, "allow_custom_answer": True, **each}
        questions.append({**fields, "id": str(each.get("id") or place), "options": options})
    return questions


def _numbered(questions: list[dict[str, Any]] | None) -> str:
    """Returns structured questions as a text, as the SDK renders them."""
    lines = []
    for number, each in enumerate(questions or [], start=1):
        lines.append(f"{number}. {'[' + each['header'] + '] ' if each['header'] else ''}{each['question']}")
        lines += [f"   - {one['label']}{' - ' + one['description'] if one['description'] else ''}" for one in each["options"]]
        lines += ["   - Other (free text)"] if each["allow_custom_answer"] else []
    return "\n".join(lines)


def _in_words(questions: list[dict[str, Any]], answers: list[dict[str, Any]]) -> str:
    texts: Callable[[str], str] = {each["id"]: each["question"] for each in questions}.get  # type: ignore[assignment]
    lines = []
    for each in answers:
        parts = [*(each.get("selected") or []), *([f"other: {each['custom_text']}"] if each.get("custom_text") else [])]
        label = texts(each["question_id"]) or each["question_id"]
        lines.append(f"Q: {label} -> A: {', '.join(parts) or '(no answer)'}")
    return "\n".join(lines)
