"""Every screen with very long texts of users, and with an API that finds nothing: it fits, and shows the error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import PageAs
from tests.console.support.reading import cut
from tests.console.support.screens import DIALOGS, REFUSED, SCREENS, addresses
from tests.support.browser import answers
from tests.support.browser.pages import Window, axe, settled

NARROW = {"width": 320, "height": 640}
LONG = "x" * 120  # about as long as a name for people may be
OTHERS = pytest.mark.long(
    "drawn by the components of the screens that make test has here; words and axe: operator/console/tests/states.test.tsx"
)


def answered_window(page_as: PageAs, status: int = 200, more: str = "", **options: Any) -> tuple[Window, dict[str, str]]:
    """Returns a window with prepared answers to every read, and the addresses of the screens. `more`: is added to each text of users."""
    window = page_as("viewer", None, **options)
    everything = answers.Everything(lambda text: text + more, status)
    everything.given_to(window.page)
    return window, addresses(**everything.ids)


def opened(window: Window, name: str, path: str) -> Page:
    """Returns the page once the screen is shown, or its dialog is open."""
    page = window.go_on(path)
    if name in DIALOGS:
        expect(page.locator("dialog[open]")).to_be_visible()
        settled(page)
    return page


def test_long_texts_of_users_make_no_page_wider_than_its_window(page_as: PageAs) -> None:
    window, places = answered_window(page_as, more=f" {LONG}", viewport=NARROW)
    found = {name: cut(opened(window, name, path)) for name, path in places.items()}
    assert not any(found.values()), json.dumps({name: each for name, each in found.items() if each}, indent=1)


@pytest.mark.parametrize(
    "names", [pytest.param(REFUSED | {"unknown"}, id="few"), pytest.param(SCREENS.keys() - REFUSED, id="others", marks=OTHERS)]
)
def test_a_missing_object_is_shown_with_the_message_of_the_api(page_as: PageAs, names: frozenset[str]) -> None:
    window, places = answered_window(page_as, 404, " in so many words", viewport=NARROW, color_scheme="dark")
    for name in sorted(names):
        page = window.go_on(places[name])
        if name != "unknown":
            expect(page.locator("body")).to_contain_text("in so many words")
        assert cut(page) == [], name
        assert axe(page) == [], name
