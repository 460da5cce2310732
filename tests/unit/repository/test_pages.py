"""Pages of the documentation are short, and their sentences begin with their subject."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import words

REPOSITORY = Path(__file__).parents[3]
NAMED = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
PAGES = sorted([*REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("tests/*.md"), *(REPOSITORY / name for name in NAMED)])
MOST = 1500
"""Words of a page, with its code and its tables."""
FENCED = re.compile(r"^(```+).*?^\1$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
ITEM = re.compile(r"^\s*(?:-|\d+\.) ", re.MULTILINE)
NO_PROSE = re.compile(r"^(?:#|\||\s*<).*$", re.MULTILINE)


def prose(page: str) -> str:
    """Returns the sentences of a page: no code, no headings, no tables, and no addresses of links."""
    text = LINK.sub(r"\1", NO_PROSE.sub("\n", FENCED.sub("\n\n", page)))
    return ITEM.sub("\n\n", text.replace("**", ""))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_a_page_is_short_and_its_sentences_begin_with_their_subject(page: Path) -> None:
    text = page.read_text()
    objections = list(words.objections(words.Docstring(page.name, 1, "page", page.name, prose(text))))
    assert not objections, "\n".join(objections)
    assert len(text.split()) <= MOST, "a page with more is two: what people do, and a page of details beside it"
