"""Measures a page for readers who magnify it, and for those who use the keyboard."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Page

REDRAWN = 60.0  # seconds

CUT = """() => {
  const found = [];
  const name = (element) => element.tagName.toLowerCase() + [...element.classList].map((each) => "." + each).join("");
  const told = (element) => `${name(element)} ${JSON.stringify((element.innerText ?? "").slice(0, 40))}`;
  const width = document.documentElement.clientWidth;
  const page = document.scrollingElement;
  if (page.scrollWidth > page.clientWidth) found.push(`the page scrolls sideways: ${page.scrollWidth} in ${page.clientWidth}`);
  const scrolls = (element) => /auto|scroll/.test(getComputedStyle(element).overflowX);
  const isMeant = (element) => element.closest("pre, .diff, section.text, .log") !== null;
  const isTold = (element) => element.closest("[title]") !== null;
  for (const element of document.body.querySelectorAll("*")) {
    if (element.closest("svg, .hidden-label, option, .skip, noscript") || !element.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
    const style = getComputedStyle(element);
    if (style.display === "inline" || element.clientWidth === 0) continue;
    const wider = element.scrollWidth - element.clientWidth;
    if (wider > 1 && style.overflowX !== "visible" && !(style.textOverflow === "ellipsis" && isTold(element)) && !(scrolls(element) && isMeant(element)) && !element.matches("select, input, textarea")) {
      found.push(`${told(element)} is cut: ${element.scrollWidth} in ${element.clientWidth}`);
    }
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!hasText && !element.matches("button, input, select, textarea, a")) continue;
    const {left, right} = element.getBoundingClientRect();
    if ((right > width + 1 || left < -1) && !isMeant(element)) found.push(`${told(element)} lies from ${Math.round(left)} to ${Math.round(right)} of ${width}`);
  }
  return found;
}"""

FOLLOW = """() => {
  const isFollowed = window.followed !== undefined;
  window.followed = [];
  if (isFollowed) return;
  let places = 0;
  const name = (element) => element === document.body ? "" :
    `${element.tagName.toLowerCase()} ${(element.ariaLabel || element.innerText || element.closest("label")?.innerText || element.id || "").trim().slice(0, 40)}`;
  const isSeen = (element) => {
    for (let at = element; at && at !== document.body; at = at.parentElement) {
      if (getComputedStyle(at).outlineStyle !== "none") return true;
    }
    return false;
  };
  document.addEventListener("focusin", (event) => {
    const element = event.target;
    window.followed.push({
      name: name(element),
      isSeen: isSeen(element),
      isOver: element.closest("dialog") !== null,
      at: (element.dataset.followed ??= String(places++)),
    });
  }, true);
}"""

TABBABLE = """() => {
  const open = document.querySelector("dialog:modal") ?? document.body;
  const places = [...open.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")].filter((element) =>
    element.tabIndex >= 0 && !element.disabled && element.checkVisibility({visibilityProperty: true}) && !element.closest("[inert]")
    && !(element.type === "radio" && !element.checked && element.form?.querySelector(`[name="${element.name}"]:checked`)));
  // Day, month, year, hour, minute and the button of the calendar are a place each.
  return places.length + 7 * places.filter((element) => element.type === "datetime-local").length;
}"""


TABS_MOST = 300
"""Limit of the places that Tab reaches. No screen has so many."""


@contextlib.contextmanager
def magnified(page: Page, width: int, scale: int = 1) -> Iterator[None]:
    """Shows the page `width` CSS pixels wide, each `scale` by `scale` screen pixels. A `scale` of 2 is a zoom of 200 % at 1280."""
    session = page.context.new_cdp_session(page)
    try:
        session.send("Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": scale, "mobile": False})
        yield
    finally:
        session.send("Emulation.clearDeviceMetricsOverride")
        session.detach()


def cut(page: Page) -> list[str]:
    """Returns texts and controls that are cut, or need sideways scrolling, except those that are meant to.

    A chart is redrawn a moment after its width changes: the check repeats until nothing is cut, for `REDRAWN` seconds at most.
    """
    until = time.monotonic() + REDRAWN
    while True:
        found: list[str] = page.evaluate(CUT)
        if not found or time.monotonic() > until:
            return found
        page.wait_for_timeout(50)


def tabbed(page: Page) -> list[dict[str, Any]]:
    """Returns the places that Tab reaches, in order, until the first one returns. Raises AssertionError if the focus is trapped."""
    page.evaluate(FOLLOW)
    # Rows of a long list are rendered as Tab approaches them: the reachable places are counted again.
    pressed, more = 0, 2
    while True:
        most = max(more, page.evaluate(TABBABLE) + more - pressed)
        more = 10
        for _ in range(most):
            page.keyboard.press("Tab")
        pressed += most
        found: list[dict[str, Any]] = page.evaluate("window.followed")
        first = found[0]["at"]
        again = next((at for at, each in enumerate(found) if at and each["at"] == first), None)
        if again is not None:
            return found[:again]
        assert pressed <= TABS_MOST, f"Tab does not come back: {[each['name'] for each in found]}"
