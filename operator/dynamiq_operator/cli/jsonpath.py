"""`-o jsonpath=TEMPLATE`: the part of kubectl's templates that needs no expressions: text, `{.a.b}`, `{[0]}`, `{[*]}`, `{.items[*].a}`,
`{['a.b']}`, quoted text such as `{"\\n"}`, and `{range PATH}…{end}`.

`.items` of a list is the list itself, so that a template for `kubectl get` fits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_BLOCK = re.compile(r"\{((?:\"(?:[^\"\\]|\\.)*+\"|'[^']*+'|[^{}])*+)\}")
_STEP = re.compile(r"\.([A-Za-z0-9_-]+|\*)|\[\s*(\*|-?\d+|'[^']*'|\"[^\"]*\")\s*\]")


class BadTemplate(ValueError):  # noqa: N818 - what is refused is no failure of the program
    """The template is not supported. The message is for the user."""


@dataclass(frozen=True)
class _Text:
    text: str


@dataclass(frozen=True)
class _Path:
    steps: tuple[str | int, ...]


@dataclass(frozen=True)
class _Range:
    over: _Path
    body: tuple[Any, ...]


def parsed(template: str) -> tuple[Any, ...]:
    """Parses a template. Raises BadTemplate."""
    blocks: list[tuple[bool, str]] = []
    at = 0
    for block in _BLOCK.finditer(template):
        begin, end = block.span()
        blocks += [(False, template[at:begin]), (True, block.group(1).strip())]
        at = end
    blocks.append((False, template[at:]))
    if any("{" in text or "}" in text for is_block, text in blocks if not is_block):
        raise BadTemplate(f"{template} has an unmatched brace")
    remaining = iter(blocks)
    return _parts(remaining, inside=False)


def rendered(template: str, data: Any) -> str:
    """Renders data by the template, as kubectl prints it. Raises BadTemplate."""
    return "".join(_print(parsed(template), data))


def _parts(blocks: Iterator[tuple[bool, str]], *, inside: bool) -> tuple[Any, ...]:
    made: list[Any] = []
    for is_block, text in blocks:
        if not is_block:
            made += [_Text(text)] if text else []
        elif text == "end":
            if not inside:
                raise BadTemplate("{end} has no {range}")
            return tuple(made)
        elif text.startswith("range "):
            made.append(_Range(_path(text.removeprefix("range ").strip()), _parts(blocks, inside=True)))
        elif text[:1] in ("'", '"'):
            made.append(_Text(_unquoted(text)))
        else:
            made.append(_path(text))
    if inside:
        raise BadTemplate("{range} has no {end}")
    return tuple(made)


def _path(text: str) -> _Path:
    rest, steps = text.lstrip("$@"), []
    at = 0
    while at < len(rest):
        step = _STEP.match(rest, at)
        if step is None:
            if rest[at:] == ".":
                break
            raise BadTemplate(f"{{{text}}} is not a path of names and indices, such as {{.items[*].version}}: use -o json with jq")
        name, index = step.groups()
        if name is not None:
            steps.append(name)
        else:
            steps.append(index if index == "*" else int(index) if index.lstrip("-").isdecimal() else index[1:-1])
        at = step.end()
    return _Path(tuple(steps))


def _unquoted(text: str) -> str:
    try:
        return text[1:-1] if text.startswith("'") else str(json.loads(text))
    except ValueError:
        raise BadTemplate(f"{text} is not a quoted text") from None


def _print(parts: Iterable[Any], data: Any) -> Iterator[str]:
    for part in parts:
        match part:
            case _Text():
                yield part.text
            case _Path():
                yield " ".join(map(_as_text, _values(part.steps, data)))
            case _Range():
                for value in _values(part.over.steps, data):
                    yield from _print(part.body, value)


def _values(steps: tuple[str | int, ...], data: Any) -> list[Any]:
    values = [data]
    for place, step in enumerate(steps):
        following: list[Any] = []
        for value in values:
            if step == "*":
                following += list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
            elif isinstance(value, list) and isinstance(step, int):
                following += value[step : step + 1 or None]
            elif isinstance(value, list) and place == 0 and step == "items":
                following.append(value)
            elif isinstance(value, dict) and step in value and value[step] is not None:
                following.append(value[step])
        values = following
    return values


def _as_text(value: Any) -> str:
    """Returns a value as kubectl prints it. Users' text is escaped later, where it is printed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
