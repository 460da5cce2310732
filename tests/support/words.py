"""Reads the docstrings of Python files and returns what WORDS.md forbids of their sentences. It judges no comment, no message and no page."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BANNED_OPENINGS = frozenset({"What", "Whether", "Of", "By", "As", "Where", "So", "That"})
WORDS_MOST = 25
"""Words of a sentence. Code between backticks is one word."""
_CODE = re.compile(r"``.+?``|`[^`]*`", re.DOTALL)
_PARAGRAPH = re.compile(r"\n\s*\n|\n\s*(?=[-*|] )")
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"'(])|(?<=[.!?][)\"'])\s+(?=[A-Z`\"'(])")


@dataclass(frozen=True)
class Docstring:
    """A docstring, or the string below a field. `owner`: the kind of what it describes: module, class, function, property or field."""

    file: str
    line: int
    owner: str
    name: str
    text: str


def docstrings(path: Path, name: str) -> Iterator[Docstring]:
    """Yields the docstrings of a file, and the strings below its fields, in order. `name`: the file's name in reports."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for place, statement in enumerate(body):
            if not (
                isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)
            ):
                continue
            owner, named = _owner(node) if place == 0 else ("field", "")
            yield Docstring(name, statement.lineno, owner, named, statement.value.value)


def sentences(text: str) -> Iterator[str]:
    """Yields the sentences of a docstring, with a single word for code between backticks."""
    for paragraph in _PARAGRAPH.split(_CODE.sub("`x`", text)):
        joined = " ".join(paragraph.split())
        yield from (each for each in _END.split(joined) if each)


def objections(docstring: Docstring) -> Iterator[str]:
    """Yields why the sentences of a docstring are refused: a banned first word, or too many words."""
    place = f"{docstring.file}:{docstring.line}"
    for sentence in sentences(docstring.text):
        words = sentence.split()
        if words[0].strip(",:") in BANNED_OPENINGS:
            yield f"{place}: begins with {words[0].strip(',:')}: {sentence}"
        if len(words) > WORDS_MOST:
            yield f"{place}: {len(words)} words: {sentence}"


def begins_with_verb(docstring: Docstring) -> bool:
    """Returns True if the first word is a verb in the third person, as in "Returns the live row"."""
    first = docstring.text.split(maxsplit=1)[0].strip(".,:")
    return bool(re.fullmatch("[A-Z][a-z]+s", first)) and first not in _PLURALS


_PLURALS = frozenset(
    [
        "Seconds",
        "Milliseconds",
        "Microseconds",
        "Minutes",
        "Bytes",
        "Characters",
        "Words",
        "Rows",
        "Names",
        "Keys",
        "Apps",
        "Pods",
        "Runs",
        "Fields",
        "Lines",
        "Labels",
        "Annotations",
        "Values",
        "Conditions",
        "Events",
        "Reasons",
        "Rules",
        "Objects",
        "Operations",
        "Rights",
        "Statuses",
        "Versions",
        "Requests",
        "Digests",
        "Others",
        "Times",
        "Calls",
        "Changes",
        "Limits",
        "Answers",
        "Parts",
        "Approvals",
        "Rejections",
        "Policies",
        "Children",
        "Workloads",
        "Runtimes",
        "Flows",
        "Hostnames",
        "Routes",
        "Secrets",
        "Numbers",
        "Pages",
        "Columns",
        "Options",
        "Arguments",
        "Numbers",
        "Columns",
        "Tokens",
        "Tags",
        "Groups",
        "Figures",
        "Records",
        "Nodes",
        "Ids",
        "Its",
        "This",
        "Always",
        "Previous",
    ]
)


def _owner(node: ast.AST) -> tuple[str, str]:
    match node:
        case ast.Module():
            return "module", ""
        case ast.ClassDef(name=name):
            return "class", name
        case ast.FunctionDef(name=name, decorator_list=decorators) | ast.AsyncFunctionDef(name=name, decorator_list=decorators):
            return ("property" if any("property" in ast.unparse(each) for each in decorators) else "function"), name
    return "field", ""
