"""Docstrings are sentences that a reader with English as a second language understands at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import words
from tests.support.words import Docstring

REPOSITORY = Path(__file__).parents[3]
ROOTS = ("operator/dynamiq_operator", "operator/dynamiq_recorder", "operator/dynamiq_runtime", "local", "tests")
VERB_FIRST = (
    "operator/dynamiq_operator/plan/guards/",
    "operator/dynamiq_operator/plan/revert/",
    "operator/dynamiq_operator/plan/sleep/",
    "operator/dynamiq_operator/controller/",
    "operator/dynamiq_operator/actions/",
    "operator/dynamiq_recorder/",
)


def docstrings(root: str) -> Iterator[Docstring]:
    for path in sorted((REPOSITORY / root).rglob("*.py")):
        yield from words.docstrings(path, path.relative_to(REPOSITORY).as_posix())


@pytest.mark.parametrize("root", ROOTS)
def test_sentences_begin_with_their_subject_and_are_short(root: str) -> None:
    objections = [objection for docstring in docstrings(root) for objection in words.objections(docstring)]
    assert not objections, "\n".join(objections)


@pytest.mark.parametrize("room", VERB_FIRST)
def test_docstrings_of_functions_begin_with_a_verb(room: str) -> None:
    functions = [each for each in docstrings(room) if each.owner == "function"]
    assert functions
    assert not [f"{each.file}:{each.line}: {each.text}" for each in functions if not words.begins_with_verb(each)]


REFUSED = (
    "What a row waits for.",
    "Whether it waits. It is fine.",
    "Returns it. Of others none.",
    "Returns " + "a long list of words " * 5 + "x.",
)
ACCEPTED = ("Returns the row.", "Returns `" + "code " * 40 + "` of it.", "A row: what it pins, whose it is.\n\n`Of` is code.")


@pytest.mark.parametrize("text", REFUSED)
def test_a_sentence_that_has_to_be_read_twice_is_refused(text: str) -> None:
    assert list(words.objections(Docstring("a.py", 1, "function", "a", text)))


@pytest.mark.parametrize("text", ACCEPTED)
def test_a_plain_sentence_is_accepted(text: str) -> None:
    assert list(words.objections(Docstring("a.py", 1, "function", "a", text))) == []
