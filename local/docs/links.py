"""Checks a built site: every link and anchor leads somewhere in it, nothing is loaded from elsewhere, and other links have a good form.

It uses no network: it checks the form of a link to another site, not its target.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from posixpath import normpath
from urllib.parse import unquote, urlsplit

from local.docs.markup import Markup

STYLE_LOADS = re.compile(r"url\(\s*['\"]?([^'\")]*)['\"]?\s*\)|@import\s+['\"]([^'\"]+)['\"]")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
LEAVES = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
TOP = "__"
"""The beginning of the theme's own ids. A link to the top of a page has an empty anchor."""


def wrong(site: Path, pages: Mapping[str, Markup]) -> list[str]:
    """Lists the problems, a line each; empty if there are none. `pages`: the pages of the site by their path in it."""
    files = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    problems = [f"{page}: {problem}" for page, markup in pages.items() for problem in _of_page(page, markup, files, pages)]
    problems += [
        f"{name}: {problem}"
        for name in sorted(files)
        if name.endswith(".css")
        for problem in _of_style(name, (site / name).read_text(), files)
    ]
    return problems


def _of_page(page: str, markup: Markup, files: set[str], pages: Mapping[str, Markup]) -> Iterator[str]:
    doubled = sorted({anchor for anchor in markup.anchors if markup.anchors.count(anchor) > 1 and not anchor.startswith(TOP)})
    yield from (f"the anchor {anchor} is there more than once" for anchor in doubled)
    yield from (f"{where} is not run and has no effect under its Content-Security-Policy" for where in markup.unsafe)
    for link in dict.fromkeys(markup.links):
        yield from _external(link) if _leaves(link) else _internal(page, link, files, pages)
    for resource in dict.fromkeys(markup.resources):
        yield from _loaded(page, resource, files)


def _of_style(name: str, text: str, files: set[str]) -> Iterator[str]:
    for load in STYLE_LOADS.finditer(COMMENT.sub("", text)):
        yield from _loaded(name, load[1] or load[2] or "", files)


def _leaves(address: str) -> bool:
    """Returns True if an address names another site, or no page at all."""
    return LEAVES.match(address) is not None


def _external(link: str) -> Iterator[str]:
    try:
        parts = urlsplit(link)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        yield f"{link} is no address"
        return
    if parts.scheme == "mailto" and re.fullmatch(r"[^@\s]+@[^@\s]+", parts.path):
        return
    if parts.scheme != "https":
        yield f"{link} is not https"
    elif HOST.fullmatch(host) is None or "@" in parts.netloc or port is not None or re.search(r"[\s<>\"{}|\\^`]", link):
        yield f"{link} has no form of an address of the internet"


def _internal(page: str, link: str, files: set[str], pages: Mapping[str, Markup]) -> Iterator[str]:
    path, _, anchor = link.partition("#")
    target = _resolved(page, path)
    if target not in files:
        yield f"{link} leads nowhere"
    elif anchor and target in pages and unquote(anchor) not in pages[target].anchors:
        yield f"{link} names no place of {target}"


def _loaded(page: str, address: str, files: set[str]) -> Iterator[str]:
    if address.startswith(("data:", "#")):
        return
    if _leaves(address):
        yield f"{address} is loaded from elsewhere"
    elif _resolved(page, address.partition("#")[0]) not in files:
        yield f"{address} is loaded, and is not there"


def _resolved(page: str, path: str) -> str:
    """Returns the file that a path on a page leads to. A path that begins with / is on this site, whatever its address is."""
    path = unquote(path.partition("?")[0])
    if not path:
        return page
    resolved = normpath(path.lstrip("/") or "." if path.startswith("/") else str(PurePosixPath(page).parent / path))
    return normpath(f"{resolved}/index.html") if path.endswith("/") or resolved == "." else resolved
