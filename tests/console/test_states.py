"""Every screen as a browser lays it out over prepared answers: dark, magnified, and by keyboard.

`operator/console/tests` tests the screens' texts in each state in a DOM.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.console.conftest import FAILED, PICTURES
from tests.console.support import prepared
from tests.console.support.prepared import Prepared, Screen
from tests.console.support.reading import cut, magnified, tabbed
from tests.support.browser.answers import answered, example
from tests.support.browser.pages import ORIGIN, Window, Windows, axe, settled, sign_in
from tests.support.browser.served import Served, User

SESSION = "/console/session"
LOOK_ALIKE = frozenset({"Print", "Keys", "revoked key", "suspension", "withdrawal of a rejection", "new deployment"})
"""Dialogs with the same parts as another one: Export, a new key, the deletion, a rejection, the deploy of a workflow."""
LAID_OUT = ("color-contrast", "target-size", "scrollable-region-focusable")
"""Rules of axe that need a layout. operator/console/tests checks the others for a wide window, and this file for a narrow one."""
AS_ANOTHER = pytest.mark.long("a dialog of the same parts as another one, which make test lays out by this test")
SHOWN = (
    *("deployments", "app", "history", "details of a row", "compare", "deploy", "deploy of a workflow", "roll back", "review", "promote"),
    *("rollout", "runs", "run", "background run", "sessions", "session", "monitoring"),
    *("workflows", "workflow", "version", "configuration", "triggers", "trigger"),
    *("change of the configuration", "verified history", "Export", "Print", "Keys", "account", "new deployment", "new key"),
    *("revoked key", "suspension", "deletion", "rejection", "withdrawal of a rejection", "new trigger", "release", "no such page"),
)


def test_the_table_of_screens_is_the_one_that_tests_in_a_dom_have() -> None:
    assert tuple(prepared.screens()) == SHOWN


@pytest.fixture(scope="module")
def opened(console: Served, browser: Browser, users: dict[str, User]) -> Iterator[tuple[Window, Prepared]]:
    windows = Windows(browser)
    window = windows.open(viewport={"width": 1280, "height": 900})
    window.goto("/console/sign-in")
    sign_in(window, users["admin"].token)
    yield window, Prepared.before(window.context)
    windows.close()


@pytest.fixture
def window(opened: tuple[Window, Prepared], request: pytest.FixtureRequest) -> Iterator[Window]:
    made, answers = opened
    yield made
    if request.node.stash.get(FAILED, False):
        to = PICTURES / (re.sub(r"\W+", "-", request.node.name) + ".png")
        to.parent.mkdir(parents=True, exist_ok=True)
        made.page.screenshot(path=to)
        made.page.goto("about:blank")
    problems = [*answers.surprises, *made.seen.refused, *made.seen.errors]
    for each in (answers.surprises, made.seen.refused, made.seen.errors):
        each.clear()
    assert problems == []


def press(here: Page | Locator, name: str) -> None:
    named = re.compile(f"^{re.escape(name)}(:|$)")
    button, radio = here.get_by_role("button", name=named), here.get_by_role("radio", name=named)
    if button.or_(radio).first.get_attribute("type") == "radio":
        radio.check()
    else:
        button.first.click()


def shown(window: Window, screen: Screen) -> Locator | None:
    """Opens a screen, a dialog by the keyboard from the screen below it. Returns the button or link that opened it."""
    opener: Locator | None = None
    page = window.go_on(screen.over[1] if screen.over else screen.path)
    if screen.over:
        named, main = screen.over[0], page.locator("main")
        opener = main.get_by_role("button", name=named, exact=True).or_(main.get_by_role("link", name=named, exact=True)).first
        opener.focus()
        page.keyboard.press("Enter")
    for name in screen.opens:
        if not screen.over or name != screen.over[0]:
            press(page.get_by_role("dialog") if screen.over else page, name)
    expect((page.get_by_role("dialog") if screen.over else page.locator("body")).get_by_text(screen.shows).first).to_be_visible()
    settled(page)
    return opener


@pytest.mark.parametrize("name", [pytest.param(name, marks=AS_ANOTHER if name in LOOK_ALIKE else ()) for name in SHOWN])
def test_a_screen_is_usable_in_the_dark_magnified_and_by_keyboard(window: Window, name: str) -> None:
    opener = shown(window, prepared.screens()[name])
    page = window.page
    assert page.title() not in ("", "Dynamiq")
    assert axe(page, *LAID_OUT) == []
    with magnified(page, 640, scale=2):
        assert cut(page) == []
    page.emulate_media(color_scheme="dark")
    with magnified(page, 320):
        assert cut(page) == []
        assert axe(page) == []
    page.emulate_media(color_scheme="light")
    places = tabbed(page)
    assert [each["name"] for each in places if not each["isSeen"]] == []
    if opener is not None:
        assert [each["name"] for each in places if not each["isOver"]] == []
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(opener).to_be_focused()


def test_sign_in_is_usable_magnified_and_by_keyboard(console: Served, windows: Windows) -> None:
    page = windows.open().page
    oidc = {"name": "The single sign-on of the northern region"}
    known = example("GET", SESSION)["data"] | {"user": None, "expires_at": None, "sign_in": {"token": True, "oidc": oidc}}
    answered(page, "GET", SESSION, 200, {"data": known})
    page.goto(f"{ORIGIN}/console/sign-in?to=/console/workflows")
    expect(page.get_by_label("Token")).to_be_visible()
    assert axe(page) == []
    page.emulate_media(color_scheme="dark")
    assert axe(page, "color-contrast") == []
    for width, scale in ((320, 1), (640, 2)):
        with magnified(page, width, scale):
            assert cut(page) == []
    assert [each["name"] for each in tabbed(page) if not each["isSeen"]] == []
