"""What has to be true of every screen, over answers that the API could give: it fits, everybody can use it, and no state of it is a blank page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.console.conftest import PageAs
from tests.support.browser import answers
from tests.support.browser.pages import Window, axe, settled
from tests.support.browser.screens import DIALOGS, addresses

NARROW, PHONE, WIDE = ({"width": width, "height": height} for width, height in ((320, 640), (360, 740), (1440, 900)))
LONG = "x" * 120  # about as long as a name for people may be
TABS_MOST = 300  # no screen has so much to reach by the key Tab


def told(page_as: PageAs, status: int = 200, more: str = "", **options: Any) -> tuple[Window, dict[str, str]]:
    """A window to which every read is answered, each text of users with `more` behind it; and the addresses of the screens."""
    window = page_as("viewer", **options)
    everything = answers.Everything(lambda text: text + more, status)
    everything.given_to(window.page)
    return window, addresses(**everything.ids)


def opened(window: Window, name: str, path: str) -> Page:
    """The page when the screen is there, and the dialog where it is one."""
    page = window.goto(path)
    if name in DIALOGS:
        expect(page.locator("dialog[open]")).to_be_visible()
        settled(page)
    return page


def too_wide(page: Page) -> list[str]:
    """What makes the page wider than its window."""
    return list(
        page.evaluate(
            """() => {
              const most = document.documentElement.clientWidth;
              if (document.documentElement.scrollWidth <= most) return [];
              return [...document.querySelectorAll("body *")].filter((each) => each.getBoundingClientRect().right > most + 1)
                .map((each) => `${each.tagName}.${each.className} in ${each.parentElement?.className}: ${each.textContent.slice(0, 40)}`).slice(0, 6).concat(`${document.documentElement.scrollWidth} > ${most}`);
            }"""
        )
    )


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide and light", "phone and dark"])
def test_it_fits_and_is_for_everybody(page_as: PageAs, size: dict[str, int], scheme: str) -> None:
    window, places = told(page_as, viewport=size, color_scheme=scheme)
    for name, path in places.items():
        page = opened(window, name, path)
        assert too_wide(page) == [], name
        assert axe(page) == [], name
        assert page.title() not in ("", "Dynamiq"), name
        assert page.get_by_role("heading", level=1).count() >= 1, name


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_long_texts_of_users_make_no_page_wider_than_its_window(page_as: PageAs, size: dict[str, int]) -> None:
    window, places = told(page_as, more=f" {LONG}", viewport=size)
    found = {name: too_wide(opened(window, name, path)) for name, path in places.items()}
    assert not any(found.values()), json.dumps({name: each for name, each in found.items() if each}, indent=1)


@pytest.mark.parametrize("status", [403, 404, 503])
def test_an_error_is_told_in_the_words_of_the_api(page_as: PageAs, status: int) -> None:
    window, places = told(page_as, status, " in so many words", viewport=NARROW, color_scheme="dark")
    for name, path in places.items():
        page = window.goto(path)
        if name != "unknown":
            expect(page.locator("body")).to_contain_text("in so many words")
        assert too_wide(page) == [], name
        assert axe(page) == [], name


def test_what_is_not_there_yet_is_said_to_be_loading(page_as: PageAs) -> None:
    window = page_as("viewer")
    held: list[Route] = []
    window.page.route("**/v1/**", lambda route: held.append(route))
    for name, path in addresses(**answers.Everything(str).ids).items():
        window.page.goto(f"{window.origin}{path}")
        if name != "unknown":
            expect(window.page.get_by_role("status", name="Loading").first).to_be_visible()
        assert [found for found in axe(window.page) if found["id"] != "page-has-heading-one"] == [], name
    for route in held:
        route.abort()


def test_the_key_tab_leads_through_each_and_out_of_it(page_as: PageAs) -> None:
    window, places = told(page_as)
    for name, path in places.items():
        page = opened(window, name, path)
        page.evaluate("document.activeElement.blur()")
        seen: list[str] = []
        for _ in range(TABS_MOST):
            page.keyboard.press("Tab")
            at = page.evaluate("document.activeElement === document.body ? '' : document.activeElement.outerHTML.slice(0, 200)")
            if not at:
                break
            seen.append(at)
        else:
            raise AssertionError(f"the key Tab does not come out of {name}: {seen[-3:]}")
        assert len(seen) >= 3, f"{name}: {seen}"
    settled(window.page)
