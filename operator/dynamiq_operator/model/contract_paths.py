"""Finds the fields that paths of transformers and variables of templates read. It resolves none of them, and runs no template."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from enum import IntEnum

Steps = tuple[str | None, ...]
"""A path from the root: names of fields; None for a position in a list, or for all of them."""
TEXT_MOST = 4096
"""Characters of a path that are read."""
_ROOTED = re.compile(r"[$@](?=$|[.\[])")
_STEP = re.compile(
    r"""\.(?P<name>[A-Za-z_][\w@-]*) | \.(?P<star>\*) | \.?\[\s*(?:\d{1,9}|\*)\s*\]
      | \.?(?P<open>\[)?\s*(?P<quote>['"])(?P<quoted>(?:(?!(?P=quote)).)*)(?P=quote)\s*(?(open)\]|)""",
    re.VERBOSE,
)
_TAG = re.compile(r"\{\{(?P<expression>.*?)\}\}|\{%(?P<statement>.*?)%\}|\{#.*?#\}", re.DOTALL)
_FOR = re.compile(r"for\s+(?P<names>[\w\s,]+?)\s+in\s+(?P<of>.+?)(?:\s+recursive)?", re.DOTALL)
_ENDS = frozenset({"else", "endif", "endfor"})


class Use(IntEnum):
    """The use of a field: with a default, without one, or so that a run fails without it."""

    DEFAULT = 1
    READS = 2
    NEEDS = 3


def steps_of(text: str) -> Steps | None:
    """Parses a path; None for text that is none, or that selects more than one place by a rule."""
    rest = text.strip()
    if len(rest) > TEXT_MOST:
        return None
    rest = rest[1:] if rest[:1] in ("$", "@") else "." + rest if rest and rest[0] not in ".[" else rest
    steps: list[str | None] = []
    while rest:
        if (match := _STEP.match(rest)) is None:
            return None
        steps.append(match["name"] if match["name"] is not None else match["quoted"])
        rest = rest[match.end() :]
    return tuple(steps)


def selected(text: object) -> list[tuple[Steps, Use]] | None:
    """Returns the paths that a selector reads, empty for a text that is a value. None: that cannot be told."""
    if not isinstance(text, str):
        return []
    candidates = [part.strip() for part in text.split("||") if part.strip()]
    if "||" in text and any(_ROOTED.match(each) for each in candidates):
        found = [steps_of(each) for each in candidates if _ROOTED.match(each)]
        return None if None in found else [(each, Use.DEFAULT) for each in found if each is not None]
    steps = steps_of(text)
    if _ROOTED.match(text):
        return None if steps is None else [(steps, Use.READS)]
    # Text without a root is itself where no field has its name.
    return [(steps, Use.DEFAULT)] if steps else []


def variables(text: str) -> set[Steps] | None:
    """Returns the variables of a Jinja template that it does not define itself. None: that cannot be told."""
    found: set[Steps] = set()
    own: list[set[str]] = [{"loop"}]
    for tag in _TAG.finditer(text):
        expression, statement = tag["expression"], (tag["statement"] or "").strip("-+ \t\r\n")
        if expression is None and tag["statement"] is None:
            continue
        word = statement.partition(" ")[0]
        if (each := _FOR.fullmatch(statement)) is not None:
            own.append({name.strip() for name in each["names"].split(",")})
            expression = each["of"]
        elif word in ("if", "elif"):
            expression = statement.partition(" ")[2]
        elif word in _ENDS:
            if word == "endfor" and len(own) > 1:
                own.pop()
            continue
        elif expression is None:
            return None
        if (names := _names(expression.strip("-+ \t\r\n"))) is None:
            return None
        found |= {each for each in names if each[0] not in set().union(*own)}
    return found


def _names(expression: str) -> set[Steps] | None:
    """Returns the variables of an expression of Jinja, which is nearly one of Python."""
    if not expression or len(expression) > TEXT_MOST:
        return None
    try:
        tree = ast.parse(expression.replace("\n", " "), mode="eval")
        return set(_variables(tree.body))
    except (SyntaxError, ValueError, RecursionError, MemoryError, _Untold):
        return None


class _Untold(Exception):  # noqa: N818 - an outcome
    """An expression does more than what is read here."""


def _variables(node: ast.expr) -> Iterator[Steps]:
    match node:
        case ast.Constant():
            return
        case ast.Name() | ast.Attribute() | ast.Subscript():
            yield from _path(node)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):  # a filter
            yield from _variables(left)
            if isinstance(right, ast.Call):
                yield from _each([*right.args, *(each.value for each in right.keywords)])
        case ast.Compare(left=left, ops=ops, comparators=others):
            tests = [isinstance(each, ast.Is | ast.IsNot) for each in ops]  # `is defined`, whose name is no variable
            yield from _each([left, *(each for each, is_test in zip(others, tests, strict=True) if not is_test)])
        case ast.BinOp(left=left, right=right):
            yield from _each([left, right])
        case ast.BoolOp(values=values) | ast.List(elts=values) | ast.Tuple(elts=values):
            yield from _each(values)
        case ast.UnaryOp(operand=operand):
            yield from _variables(operand)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield from _each([test, body, orelse])
        case ast.Call(func=ast.Attribute(value=value), args=args, keywords=keywords):
            yield from _each([value, *args, *(each.value for each in keywords)])
        case _:
            raise _Untold


def _each(nodes: Sequence[ast.expr]) -> Iterator[Steps]:
    for node in nodes:
        yield from _variables(node)


def _path(node: ast.expr) -> Iterator[Steps]:
    """Yields the path of `a.b["c"][0]`, and the variables of positions in it."""
    steps: list[str | None] = []
    while not isinstance(node, ast.Name):
        match node:
            case ast.Attribute(value=value, attr=name):
                steps.append(name)
                node = value
            case ast.Subscript(value=value, slice=ast.Constant(value=key)):
                steps.append(key if isinstance(key, str) else None)
                node = value
            case ast.Subscript(value=value, slice=place):
                yield from _variables(place)
                steps.append(None)
                node = value
            case _:
                yield from _variables(node)
                return
    yield (node.id, *reversed(steps))
