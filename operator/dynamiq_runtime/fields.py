"""Reads the fields of a request for a run, by the product's Runs API. Each field is served, or refused by its name: none is ignored.

`POST /` and `POST /v1/runs` take the same fields, as one JSON object or as the parts of a form. A field that is null counts as absent.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from dynamiq_runtime.callback_fields import Callback, callback_problems, callbacks_of
from dynamiq_runtime.callers import SESSION, TEXT_LIMIT, USER
from dynamiq_runtime.errors import bad_request, not_served

FIELDS: Mapping[str, type] = {
    "input": dict,
    "stream": bool,
    "user_id": str,
    "session_id": str,
    "chat_history": list,
    "last_node_output": bool,
    "error_on_node_failure": bool,
    "background": bool,
    "execution_mode": str,
    "callbacks": list,
    "file_ids": list,
}
"""Fields and the types of their values. A form has `files` beside them."""
PLAIN = frozenset({"input", "stream"})
"""Fields of most requests, which nothing else can contradict."""
IS_NOT = {dict: "is not an object", bool: "is neither true nor false", str: "is not a text", list: "is not a list"}
FILES = "files"
INTO_INPUT = ("user_id", "session_id", "chat_history")
"""Fields that a flow finds in its input, as the SDK's agents and their memory read them there."""
HEADERS = {"user_id": USER, "session_id": SESSION}
SHOWN_MOST, NAME_MOST = 20, 64
"""Unknown fields that a refusal names, and characters of each."""
ABSENT = frozenset({"", "undefined"})
"""Texts of a form's part that a browser sends for a value that it does not have."""


class File(io.BytesIO):
    """An uploaded file, as the SDK takes one: its content, with a name, a media type and a size in bytes."""

    def __init__(self, content: bytes, name: str, content_type: str) -> None:
        super().__init__(content)
        self.name, self.content_type, self.size = name, content_type, len(content)

    @property
    def described(self) -> dict[str, Any]:
        """All but the content."""
        return {"name": self.name, "size": self.size, "mime_type": self.content_type}


@dataclass(frozen=True)
class RunRequest:
    """A request for a run on `input`, answered at its end or, with `stream`, as events while it runs.

    `background`: it is answered at once, and the run goes on by itself; `is_async`: by `execution_mode`. `callbacks`: called at its end. `user`, `session`: of the body, None if it names none. `last_only`: only the last Output node's output is asked for. `files`: those in
    the input, which has no other value that JSON lacks.
    """

    input: dict[str, Any]
    stream: bool
    user: str | None = None
    session: str | None = None
    last_only: bool = False
    files: Sequence[File] = ()
    background: bool = False
    is_async: bool = False
    callbacks: Sequence[Callback] = ()

    @property
    def shown(self) -> Mapping[str, Any]:
        """The input as JSON data: of a file its name, size and type."""
        return {**self.input, FILES: [each.described for each in self.files]} if self.files else self.input


def read_fields(body: Any, headers: Mapping[str, str], files: Sequence[File] = (), *, accepts_events: bool) -> RunRequest:
    """Returns the run that a parsed body asks for.

    `body`: any JSON; of a form an object, beside its `files`. `headers`: the request's, whose ids must not differ from the body's.
    `accepts_events`: if events are asked for where `stream` is absent.
    Raises HttpError: 400 for what is invalid, and 501 for a field that is not served; both name the field.
    """
    if not isinstance(body, dict):
        raise bad_request({"body": 'is not an object: send {"input": {...}}'})
    fields = {name: value for name, value in body.items() if value is not None}
    if problems := _invalid(fields):
        raise bad_request(problems)
    stream = fields.get("stream", accepts_events)
    if fields.keys() <= PLAIN and not files:
        return RunRequest(fields["input"], stream)
    if problems := _inconsistent(fields, headers):
        raise bad_request(problems)
    if unserved := _unserved(fields):
        raise not_served(unserved)
    given = fields["input"] | {name: fields[name] for name in INTO_INPUT if name in fields}
    if files and FILES in given:
        raise bad_request({FILES: f"are in `input.{FILES}`, too: send them once"})
    given |= {FILES: list(files)} if files else {}
    is_async = "execution_mode" in fields
    background = is_async or fields.get("background", False)
    return RunRequest(
        given,
        stream and not background,
        fields.get("user_id"),
        fields.get("session_id"),
        fields.get("last_node_output", False),
        files,
        background,
        is_async,
        callbacks_of(fields.get("callbacks") or ()),
    )


def of_form(name: str, text: str) -> Any:
    """Returns the value of a form's part: a text, true or false, or JSON; None if it is absent. Raises ValueError with the problem."""
    kind = FIELDS[name]
    if text in ABSENT:
        return None
    if kind is str:
        return text
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError(IS_NOT[bool])
        return text == "true"
    return parse_json(text)


def parse_json(text: str | bytes) -> Any:
    """Parses JSON of a caller. Raises ValueError with the problem, without a quote of the text."""
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"is not JSON: {error}") from None
    except (ValueError, RecursionError):
        raise ValueError("holds a number with too many digits, NaN or Infinity, or is nested too deeply") from None


def _invalid(fields: Mapping[str, Any]) -> dict[str, str]:
    """Returns the problems of a body, by field: its names and types."""
    problems: dict[str, str] = {}
    for name, value in fields.items():
        kind = FIELDS.get(name)
        if kind is not None and not isinstance(value, kind):
            problems[name] = IS_NOT[kind]
        elif kind is None and len(problems) < SHOWN_MOST:
            problems[name[:NAME_MOST]] = "is sent as multipart/form-data" if name == FILES else "is not a field of a run"
    if "input" not in fields:
        problems["input"] = 'is missing: send {"input": {...}}'
    return problems


def _inconsistent(fields: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, str]:
    """Returns the problems of fields that have the right types."""
    problems: dict[str, str] = {}
    given = fields["input"]
    for name in INTO_INPUT:
        if name in fields and given.get(name) not in (None, fields[name]):
            problems[name] = f"differs from `input.{name}`: send it once"
    for name, header in HEADERS.items():
        value, of_header = fields.get(name), headers.get(header, "").strip()
        if value is not None and not 1 <= len(value) <= TEXT_LIMIT:
            problems[name] = f"has {len(value)} characters, not 1 to {TEXT_LIMIT}"
        elif value is not None and (not value.isprintable() or value != value.strip()):
            problems[name] = "has control characters, or blanks at an end"
        elif value is not None and of_header not in ("", value):
            problems[name] = f"differs from the header {header}: send one of them"
    if not all(isinstance(each, dict) for each in fields.get("chat_history", ())):
        problems["chat_history"] = "is not a list of messages, each an object"
    return problems | _of_ways(fields)


def _of_ways(fields: Mapping[str, Any]) -> dict[str, str]:
    """Returns the problems of fields that choose how a run is answered."""
    problems: dict[str, str] = {}
    mode, callbacks = fields.get("execution_mode"), fields.get("callbacks")
    if mode not in (None, "async"):
        problems["execution_mode"] = 'is not "async": leave it out for an answer at the end of the run'
    if callbacks and mode is None and not fields.get("background"):
        problems["callbacks"] = 'need `execution_mode`: "async", or on POST /v1/runs `background`'
    elif callbacks:
        problems |= callback_problems(callbacks)
    if fields.get("stream") and (fields.get("background") or mode == "async"):
        problems["stream"] = "excludes a run in the background: choose one"
    if not all(isinstance(each, str) for each in fields.get("file_ids", ())):
        problems["file_ids"] = "is not a list of texts"
    return problems


def _unserved(fields: Mapping[str, Any]) -> dict[str, str]:
    """Returns the documented fields that ask for what this version does not serve, each with what to do."""
    asks = {
        "file_ids": (bool(fields.get("file_ids")), "is not served yet: send the files with the run, as multipart/form-data"),
        "error_on_node_failure": (fields.get("error_on_node_failure") is False, "is always true here: a failed node fails its run"),
    }
    return {name: problem for name, (is_asked, problem) in asks.items() if is_asked}


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(text)
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
