"""Reads anchors, links and loaded files from a page of the built site."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src", "embed": "src", "object": "data"}
"""The attribute of each element from which a browser loads a file by itself."""
FOLLOWED_BY_READERS = frozenset({"next", "prev", "canonical", "edit"})
"""Values of `rel` with which a `link` is not loaded."""


@dataclass
class Markup:
    """The addresses, scripts and styles of a page, exactly as the page writes them."""

    anchors: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    """Texts of scripts and of styles within the page itself."""
    styles: list[str] = field(default_factory=list)
    unsafe: list[str] = field(default_factory=list)
    """Attributes that a Content-Security-Policy without `unsafe-inline` ignores: handlers of events, and styles."""


def read(text: str) -> Markup:
    """Parses a page."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.markup


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.markup = Markup()
        self._within: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        markup = self.markup
        markup.anchors += [attributes[name] for name in ("id",) if name in attributes] + (
            [attributes["name"]] if tag == "a" and "name" in attributes else []
        )
        markup.unsafe += [f"<{tag} {name}>" for name in attributes if name == "style" or name.startswith("on")]
        if tag in ("a", "area") and "href" in attributes:
            markup.links.append(attributes["href"])
        if tag == "link" and "href" in attributes:
            followed = set(attributes.get("rel", "").lower().split()) <= FOLLOWED_BY_READERS
            (markup.links if followed else markup.resources).append(attributes["href"])
        if tag in LOADED and LOADED[tag] in attributes:
            markup.resources.append(attributes[LOADED[tag]])
        markup.resources += [each.split()[0] for each in attributes.get("srcset", "").split(",") if each.strip()]
        if tag == "script" and "src" not in attributes and attributes.get("type", "text/javascript") in ("text/javascript", "module"):
            markup.scripts.append("")
            self._within = markup.scripts
        elif tag == "style":
            markup.styles.append("")
            self._within = markup.styles

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._within = None

    def handle_data(self, data: str) -> None:
        if self._within is not None:
            self._within[-1] += data
