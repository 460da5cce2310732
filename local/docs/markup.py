"""What a page of the built site has in it: anchors, links, and what a browser loads for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src", "embed": "src", "object": "data"}
"""What a browser loads by itself, by the element's attribute."""
FOLLOWED_BY_READERS = frozenset({"next", "prev", "canonical", "edit"})
"""What a `link` may be without being loaded."""


@dataclass
class Markup:
    """Addresses are as they stand in the page."""

    anchors: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    """Texts of scripts and of styles that stand in the page itself."""
    styles: list[str] = field(default_factory=list)
    unsafe: list[str] = field(default_factory=list)
    """Attributes that a Content-Security-Policy without `unsafe-inline` takes no notice of: handlers of events, and styles."""


def read(text: str) -> Markup:
    """What a page has in it."""
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
        given = {name: value or "" for name, value in attrs}
        markup = self.markup
        markup.anchors += [given[name] for name in ("id",) if name in given] + ([given["name"]] if tag == "a" and "name" in given else [])
        markup.unsafe += [f"<{tag} {name}>" for name in given if name == "style" or name.startswith("on")]
        if tag in ("a", "area") and "href" in given:
            markup.links.append(given["href"])
        if tag == "link" and "href" in given:
            followed = set(given.get("rel", "").lower().split()) <= FOLLOWED_BY_READERS
            (markup.links if followed else markup.resources).append(given["href"])
        if tag in LOADED and LOADED[tag] in given:
            markup.resources.append(given[LOADED[tag]])
        markup.resources += [each.split()[0] for each in given.get("srcset", "").split(",") if each.strip()]
        if tag == "script" and "src" not in given and given.get("type", "text/javascript") in ("text/javascript", "module"):
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
