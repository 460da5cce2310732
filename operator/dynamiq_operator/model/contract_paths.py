"""Finds the fields that paths of transformers and variables of templates read. It resolves none of them, and runs no template."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
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
_OPEN, _IN = re.compile(r"\{[{%#]"), re.compile(r"\sin\s")
_CLOSE = {"{{": "}}", "{%": "%}", "{#": "#}"}
_END_RAW = re.compile(r"\{%[-+]?\s{0,9}endraw\s{0,9}[-+]?%\}")
_FUNCTIONS = frozenset({"range", "dict", "lipsum", "cycler", "joiner", "namespace"})
_CONSTANTS = frozenset({"true", "false", "none"})
_ENDS = frozenset({"else", "endif", "endfor"})


class TooMuch(Exception):  # noqa: N818 - an outcome
    """A flow takes more steps than a preview has time for."""


class Work:
    """The steps that may still be taken for a flow, of about a microsecond each."""

    def __init__(self, most: int) -> None:
        self._left = most

    def spend(self, steps: int) -> None:
        """Raises TooMuch if none are left."""
        self._left -= steps
        if self._left < 0:
            raise TooMuch


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
    if len(text) > TEXT_MOST:  # a value, unless it may be a path
        return None if "||" in text or _ROOTED.match(text) else []
    candidates = [part.strip() for part in text.split("||") if part.strip()]
    if "||" in text and any(_ROOTED.match(each) for each in candidates):
        found = [steps_of(each) for each in candidates if _ROOTED.match(each)]
        # Without a text at the end, a run that sends none of them gets nothing: the last one stands for all.
        last = Use.READS if _ROOTED.match(candidates[-1]) else Use.DEFAULT
        uses = [*[Use.DEFAULT] * (len(found) - 1), last]
        return None if None in found else [(each, use) for each, use in zip(found, uses, strict=True) if each is not None]
    steps = steps_of(text)
    if _ROOTED.match(text):
        return None if steps is None else [(steps, Use.READS)]
    # Text without a root is itself where no field has its name.
    return [(steps, Use.DEFAULT)] if steps else []


def variables(text: str, work: Work) -> dict[Steps, Use] | None:
    """Returns the variables of a Jinja template that it does not define itself, each with its use if it is null. None: that cannot be told."""
    found, tags = _Variables(), _tags(text)
    own: list[set[str]] = [set()]
    is_branched = any(tag == "{%" and inner.split(maxsplit=1)[:1] == ["if"] for tag, inner in tags or ())
    for tag, expression in tags or ():
        work.spend(20 + len(expression) + len(own))
        word, _, rest = ("", "", expression) if tag == "{{" else expression.replace("\n", " ").partition(" ")
        names, of_loop = set[str](), set[str]()
        if word == "for" and (of := _IN.search(rest)) is not None:
            of_loop = {"loop", *(name.strip("() ") for name in rest[: of.start()].split(","))}
            rest = rest[of.end() :].removesuffix(" recursive")
        elif word == "set" and rest.partition("=")[0].strip().isidentifier():
            name, _, rest = rest.partition("=")
            names = {name.strip()}
        elif word in _ENDS:
            if word == "endfor" and len(own) > 1:
                own.pop()
            continue
        elif word not in ("", "if", "elif"):
            return None
        if not found.read(rest.strip(), own, is_test=word in ("if", "elif")):
            return None
        if of_loop:  # the list itself is not read by them
            own.append(of_loop)
        own[-1] |= names if len(own) == 1 and not is_branched else set()  # one in a branch may be not set
    return None if tags is None else found.uses()


def _tags(text: str) -> list[tuple[str, str]] | None:
    """Returns the tags of a template with what is in them, in one pass. None: one has no end."""
    found: list[tuple[str, str]] = []
    place = 0
    while (match := _OPEN.search(text, place)) is not None:
        tag = match[0]
        end = text.find(_CLOSE[tag], match.end())
        if end < 0:
            return None
        inner, place = text[match.end() : end].strip("-+ \t\r\n"), end + 2
        if tag == "{%" and inner == "raw":
            if (after := _END_RAW.search(text, place)) is None:
                return None
            place = after.end()
        elif tag != "{#":
            found.append((tag, inner))
    return found


class _Untold(Exception):  # noqa: N818 - an outcome
    """An expression does more than what is read here."""


class _Variables:
    """The variables of expressions of Jinja, which are nearly those of Python."""

    def __init__(self) -> None:
        self._read: set[Steps] = set()
        self._found: set[Steps] = set()
        self._tested: set[Steps] = set()

    def uses(self) -> dict[Steps, Use]:
        return {path: Use.DEFAULT if path in self._tested else Use.READS for path in self._read}

    def read(self, expression: str, own: Sequence[set[str]], *, is_test: bool) -> bool:
        """Adds the variables of an expression but for its `own`. Returns False if it does more than what is read here."""
        if not expression or len(expression) > TEXT_MOST:
            return False
        self._found = set()
        try:
            tree = ast.parse(expression.replace("\n", " ").replace("~", "+"), mode="eval")
            self._visit(tree.body, is_test=is_test)
        except (SyntaxError, ValueError, RecursionError, MemoryError, _Untold):
            return False
        self._read |= {path for path in self._found if not any(path[0] in each for each in own)}
        return True

    def _visit(self, node: ast.expr | None, *, is_test: bool = False) -> None:
        match node:
            case ast.Constant() | None:
                return
            case ast.Name() | ast.Attribute() | ast.Subscript():
                self._path(node, is_test=is_test)
            case ast.BinOp(op=ast.BitOr(), left=left, right=right):  # a filter
                arguments = right.args if isinstance(right, ast.Call) else []
                is_default = isinstance(right, ast.Call) and _is(right.func, "default") and len(arguments) == 2
                self._visit(left, is_test=is_test or is_default)
                self._each([*arguments, *(each.value for each in right.keywords)] if isinstance(right, ast.Call) else [])
            case ast.Compare(left=left, ops=ops, comparators=others):
                is_named = all(isinstance(each, ast.Is | ast.IsNot) for each in ops)  # `is defined`, whose name is no variable
                is_equal = all(isinstance(each, ast.Eq | ast.NotEq) for each in ops)
                self._visit(left, is_test=is_test and (is_named or is_equal))
                self._each([arg for each in others for arg in (each.args if isinstance(each, ast.Call) else [])] if is_named else others)
            case ast.BoolOp(op=op, values=values):
                for place, value in enumerate(values):
                    self._visit(value, is_test=is_test or (isinstance(op, ast.Or) and place < len(values) - 1))
            case ast.UnaryOp(operand=operand):
                self._visit(operand, is_test=is_test)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self._visit(test, is_test=True)
                self._each([body, orelse])
            case ast.Call(func=function, args=args, keywords=keywords):
                if isinstance(function, ast.Attribute):
                    self._visit(function.value)
                elif not (isinstance(function, ast.Name) and function.id in _FUNCTIONS):
                    raise _Untold
                self._each([*args, *(each.value for each in keywords)])
            case ast.BinOp() | ast.List() | ast.Tuple() | ast.Dict() | ast.Slice():
                self._each([each for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr)])
            case _:
                raise _Untold

    def _each(self, nodes: Sequence[ast.expr]) -> None:
        for node in nodes:
            self._visit(node)

    def _path(self, node: ast.expr, *, is_test: bool) -> None:
        """Adds the path of `a.b["c"][0]`, and the variables of positions in it."""
        steps: list[str | None] = []
        while not isinstance(node, ast.Name):
            match node:
                case ast.Attribute(value=value, attr=name):
                    steps.append(name)
                case ast.Subscript(value=value, slice=ast.Constant(value=key)):
                    steps.append(key if isinstance(key, str) else None)
                case ast.Subscript(value=value, slice=place):
                    self._visit(place)
                    steps.append(None)
                case _:
                    self._visit(node)
                    return
            node = value
        if node.id in _CONSTANTS:
            return
        path = (node.id, *reversed(steps))
        self._found.add(path)
        if is_test:
            self._tested.add(path)


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
