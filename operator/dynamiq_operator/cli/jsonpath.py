"""`-o jsonpath=TEMPLATE`: the part of kubectl's templates that needs no expressions: text, `{.a.b}`, `{[0]}`, `{[*]}`, `{.items[*].a}`,
`{['a.b']}`, quoted text such as `{"\\n"}`, and `{range PATH}…{end}`.

Of a list, `.items` is the list itself, so that a template for `kubectl get` fits.
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
    """The template is none that is understood here. The message is for the user."""


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
    """The parts of a template. Raises BadTemplate."""
    blocks: list[tuple[bool, str]] = []
    at = 0
    for found in _BLOCK.finditer(template):
        blocks += [(False, template[at : found.start()]), (True, found.group(1).strip())]
        at = found.end()
    blocks.append((False, template[at:]))
    if any("{" in text or "}" in text for is_block, text in blocks if not is_block):
        raise BadTemplate(f"{template} has a brace without its other one")
    left = iter(blocks)
    return _parts(left, inside=False)


def rendered(template: str, data: Any) -> str:
    """The data by the template, as kubectl prints it. Raises BadTemplate."""
    return "".join(_print(parsed(template), data))


def _parts(left: Iterator[tuple[bool, str]], *, inside: bool) -> tuple[Any, ...]:
    made: list[Any] = []
    for is_block, text in left:
        if not is_block:
            made += [_Text(text)] if text else []
        elif text == "end":
            if not inside:
                raise BadTemplate("{end} stands without a {range}")
            return tuple(made)
        elif text.startswith("range "):
            made.append(_Range(_path(text.removeprefix("range ").strip()), _parts(left, inside=True)))
        elif text[:1] in ("'", '"'):
            made.append(_Text(_unquoted(text)))
        else:
            made.append(_path(text))
    if inside:
        raise BadTemplate("{range} stands without its {end}")
    return tuple(made)


def _path(text: str) -> _Path:
    rest, steps = text.lstrip("$@"), []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None:
            if rest[at:] == ".":
                break
            raise BadTemplate(f"{{{text}}} is more than a path of names and indices, such as {{.items[*].version}}: use -o json with jq")
        name, index = found.groups()
        if name is not None:
            steps.append(name)
        else:
            steps.append(index if index == "*" else int(index) if index.lstrip("-").isdecimal() else index[1:-1])
        at = found.end()
    return _Path(tuple(steps))


def _unquoted(text: str) -> str:
    try:
        return text[1:-1] if text.startswith("'") else str(json.loads(text))
    except ValueError:
        raise BadTemplate(f"{text} is no quoted text") from None


def _print(parts: Iterable[Any], data: Any) -> Iterator[str]:
    for part in parts:
        match part:
            case _Text():
                yield part.text
            case _Path():
                yield " ".join(map(_word, _values(part.steps, data)))
            case _Range():
                for each in _values(part.over.steps, data):
                    yield from _print(part.body, each)


def _values(steps: tuple[str | int, ...], data: Any) -> list[Any]:
    found = [data]
    for place, step in enumerate(steps):
        following: list[Any] = []
        for each in found:
            if step == "*":
                following += list(each.values()) if isinstance(each, dict) else each if isinstance(each, list) else []
            elif isinstance(each, list) and isinstance(step, int):
                following += each[step : step + 1 or None]
            elif isinstance(each, list) and place == 0 and step == "items":
                following.append(each)
            elif isinstance(each, dict) and step in each and each[step] is not None:
                following.append(each[step])
        found = following
    return found


def _word(value: Any) -> str:
    """A value as kubectl prints it; what users wrote is escaped where it goes, on a terminal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
