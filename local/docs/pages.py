"""Writes the site's pages into one folder for MkDocs: those of `docs/`, related texts of the repository, and the generated references.

A page is also read on a forge, and follows its rules: links lead through the repository, and a list may follow its sentence. Here, links to
files that are no page lead to a page that shows the file. A list gets the empty line that MkDocs needs.
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
    "tests/DETAILS.md": "project/tests-details.md",
}
"""Texts outside of docs/ and their pages."""

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
        """Adds a page of the repository. `source`: its path, against which its links are resolved."""
        self.texts[target] = prepared(text, lambda link: self._led(source, target, link))

    def _led(self, source: PurePosixPath, target: str, link: str) -> str:
        """Returns the target of a link on the site. Raises DocsError."""
        if ELSEWHERE.match(link):
            return link
        path, hash_, anchor = link.partition("#")
        file = PurePosixPath(os.path.normpath(source.parent / unquote(path)))
        if file.parts[0] == ".." or not (REPOSITORY / file).exists():
            raise DocsError(f"{source} links to {link}, which is not there")
        leads = self._page_of(file)
        return quote(os.path.relpath(leads, PurePosixPath(target).parent)) + hash_ + anchor

    def _page_of(self, file: PurePosixPath) -> str:
        if (text := TEXTS.get(str(file))) is not None:
            return text
        if file.is_relative_to(DOCS) and (REPOSITORY / file).is_file():
            return str(file.relative_to(DOCS))
        self.shown.add(str(file))
        return str(FILES / f"{file}.md")


def write(folder: Path) -> int:
    """Writes all pages, and the other files of docs/, into an emptied folder; returns the number of pages. Raises DocsError."""
    shutil.rmtree(folder, ignore_errors=True)
    texts = collected()
    for source in sorted((REPOSITORY / DOCS).rglob("*")):
        if source.is_file() and source.suffix != ".md":
            _place(folder, source.relative_to(REPOSITORY / DOCS)).write_bytes(source.read_bytes())
    for target, text in texts.items():
        _place(folder, Path(target)).write_text(text)
    return len(texts)


def collected() -> dict[str, str]:
    """Returns every page by its path on the site. Raises DocsError."""
    pages = Pages()
    for source in sorted((REPOSITORY / DOCS).rglob("*.md")):
        path = PurePosixPath(source.relative_to(REPOSITORY).as_posix())
        pages.add(path, str(path.relative_to(DOCS)), source.read_text())
    for name, target in TEXTS.items():
        pages.add(PurePosixPath(name), target, (REPOSITORY / name).read_text())
    for generated in (resources.pages(), rest.pages(), options.pages(), rights.pages()):
        pages.texts.update(generated)
    shown = {str(FILES / f"{name}.md"): shows(name) for name in sorted(pages.shown)}
    return pages.texts | shown


def shows(name: str) -> str:
    """Returns the page that shows a file of the repository, or the files of a folder."""
    path = REPOSITORY / name
    paths = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    parts = [f"# {name}"]
    for each in paths:
        parts += [f"## {each.relative_to(path).as_posix()}"] if path.is_dir() else []
        parts.append(block(each.read_text(), LANGUAGES.get(each.suffix, "text")))
    return UNSEARCHED + page(*parts)


def prepared(text: str, led: Callable[[str], str]) -> str:
    """Returns a text as MkDocs reads it: links changed by `led`, and empty lines around lists and blocks of code, which stay unchanged."""
    lines: list[str] = []
    fence = ""
    for line in text.splitlines():
        fenced = FENCE.match(line)
        if fence:
            lines.append(line)
            if fenced and fenced[1].startswith(fence):
                fence = ""
                lines.append("")
            continue
        line = _further_in(line, lines)
        if lines and lines[-1].strip() and (fenced or (ITEM.match(line) and not _is_in_list(lines))):
            lines.append("")
        fence = fenced[1] if fenced else ""
        lines.append(line if fence else LINK.sub(lambda link: led(link[0]), line))
    return "\n".join(lines) + "\n"


def _further_in(line: str, before: list[str]) -> str:
    """Returns a line with deeper indentation if it is a list, or a paragraph, inside of an item.

    MkDocs needs four spaces, and a forge two.
    """
    inside = INSIDE.match(line)
    return f"    {inside[1]}" if inside and (ITEM.match(inside[1]) or not (before and before[-1].strip())) else line


def _is_in_list(lines: list[str]) -> bool:
    """Returns True if the last line is already in a list: indented lines belong to the item above them."""
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
