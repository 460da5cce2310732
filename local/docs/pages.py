"""The site's pages: those of `docs/`, texts of the repository that belong to them, and the generated references, in one folder for MkDocs.

A page is read on a forge, too, so it is written as one takes it: links lead through the repository, and a list may follow its sentence at
once. Here links to files that are no page lead to a page that shows the file, and a list gets the empty line that MkDocs asks for.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from local.docs import options, resources, rest, rights
from local.docs.errors import DocsError
from local.docs.text import block, page

REPOSITORY = Path(__file__).parents[2]
DOCS = PurePosixPath("docs")
TEXTS: Mapping[str, str] = {
    "README.md": "index.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "tests/README.md": "project/tests.md",
}
"""Texts outside of docs/ and the pages that they are."""

FILES = PurePosixPath("files")
LANGUAGES = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".py": "python", ".toml": "toml", ".sh": "sh"}
UNSEARCHED = "---\nsearch:\n  exclude: true\n---\n"
LINK = re.compile(r"(?<=\]\()[^()\s]+(?=\))|(?<=\bsrc=\")[^\"]+|(?<=\bsrcset=\")[^\"]+")
FENCE = re.compile(r"^(`{3,}|~{3,})")
ITEM = re.compile(r"^(?:[-*] |\d+\. )")
INSIDE = re.compile(r"^ {2,3}(\S.*)")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|/|#")


@dataclass
class Pages:
    """Pages by their path on the site, and the files of the repository that they show."""

    texts: dict[str, str] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)

    def add(self, source: PurePosixPath, target: str, text: str) -> None:
        """A page of the repository: `source` is where it stands, which its links start from."""
        self.texts[target] = prepared(text, lambda link: self._led(source, target, link))

    def _led(self, source: PurePosixPath, target: str, link: str) -> str:
        """Where a link leads on the site. Raises DocsError."""
        if ELSEWHERE.match(link):
            return link
        path, hash_, anchor = link.partition("#")
        found = PurePosixPath(os.path.normpath(source.parent / unquote(path)))
        if found.parts[0] == ".." or not (REPOSITORY / found).exists():
            raise DocsError(f"{source} links to {link}, which is not there")
        leads = self._page_of(found)
        return quote(os.path.relpath(leads, PurePosixPath(target).parent)) + hash_ + anchor

    def _page_of(self, found: PurePosixPath) -> str:
        if (text := TEXTS.get(str(found))) is not None:
            return text
        if found.is_relative_to(DOCS) and (REPOSITORY / found).is_file():
            return str(found.relative_to(DOCS))
        self.shown.add(str(found))
        return str(FILES / f"{found}.md")


def write(folder: Path) -> int:
    """Writes all pages, and the other files of docs/, into a folder that is made anew; returns how many pages. Raises DocsError."""
    shutil.rmtree(folder, ignore_errors=True)
    texts = collected()
    for source in sorted((REPOSITORY / DOCS).rglob("*")):
        if source.is_file() and source.suffix != ".md":
            _place(folder, source.relative_to(REPOSITORY / DOCS)).write_bytes(source.read_bytes())
    for target, text in texts.items():
        _place(folder, Path(target)).write_text(text)
    return len(texts)


def collected() -> dict[str, str]:
    """Every page by its path on the site. Raises DocsError."""
    pages = Pages()
    for source in sorted((REPOSITORY / DOCS).rglob("*.md")):
        path = PurePosixPath(source.relative_to(REPOSITORY).as_posix())
        pages.add(path, str(path.relative_to(DOCS)), source.read_text())
    for name, target in TEXTS.items():
        pages.add(PurePosixPath(name), target, (REPOSITORY / name).read_text())
    for made in (resources.pages(), rest.pages(), options.pages(), rights.pages()):
        pages.texts.update(made)
    shown = {str(FILES / f"{name}.md"): shows(name) for name in sorted(pages.shown)}
    return pages.texts | shown


def shows(name: str) -> str:
    """The page that shows a file of the repository, or the files of a folder."""
    path = REPOSITORY / name
    found = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    parts = [f"# {name}"]
    for each in found:
        parts += [f"## {each.relative_to(path).as_posix()}"] if path.is_dir() else []
        parts.append(block(each.read_text(), LANGUAGES.get(each.suffix, "text")))
    return UNSEARCHED + page(*parts)


def prepared(text: str, led: Callable[[str], str]) -> str:
    """A text as MkDocs takes it: links as `led` says, and empty lines around lists and blocks of code, in which nothing is changed."""
    lines: list[str] = []
    fence = ""
    for line in text.splitlines():
        found = FENCE.match(line)
        if fence:
            lines.append(line)
            if found and found[1].startswith(fence):
                fence = ""
                lines.append("")
            continue
        line = _further_in(line, lines)
        if lines and lines[-1].strip() and (found or (ITEM.match(line) and not _goes_on(lines))):
            lines.append("")
        fence = found[1] if found else ""
        lines.append(line if fence else LINK.sub(lambda link: led(link[0]), line))
    return "\n".join(lines) + "\n"


def _further_in(line: str, before: list[str]) -> str:
    """A list, or a paragraph, inside of an item: MkDocs wants four spaces, where a forge takes two."""
    inside = INSIDE.match(line)
    return f"    {inside[1]}" if inside and (ITEM.match(inside[1]) or not (before and before[-1].strip())) else line


def _goes_on(lines: list[str]) -> bool:
    """Whether the last line is in a list already: lines that are further in belong to the item above them."""
    for line in reversed(lines):
        if not line.strip():
            return False
        if ITEM.match(line):
            return True
        if not line.startswith(" "):
            return False
    return False


def _place(folder: Path, path: Path) -> Path:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    return folder / path
