"""Every screen in every state: while it is read, refused, empty, without the right, without the API, and without the session."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.console.conftest import FAILED, PICTURES
from tests.support.browser import cast
from tests.support.browser.answers import answered, example
from tests.support.browser.pages import ORIGIN, Window, Windows, axe, settled, sign_in
from tests.support.browser.reading import cut, magnified, tabbed
from tests.support.browser.served import Served, User
from tests.support.browser.stand_in import StandIn
from tests.support.browser.states import FORMS, SCREENS, Barred, Nothing, Screen

BUSY = "Too much is asked of the cluster at this moment; ask again."
SECRET = "apps.dynamiq.getdynamiq.ai is forbidden: you cannot list it in demo"
ENDED = "Your session has ended"
AWAY = "The API does not answer at this moment"

OVER = "the token is over"
SESSION = "/console/session"


@dataclass
class Stage:
    """A window whose calls a stand-in answers, at one screen after another."""

    window: Window
    stand_in: StandIn
    user: User

    @property
    def page(self) -> Page:
        return self.window.page

    def opened(self, screen: Screen, shows: str = "") -> Page:
        """The screen as it is when all is answered and it shows what it is about, or this."""
        self.window.goto(screen.path)
        return self.shown(screen, shows)

    def shown(self, screen: Screen, shows: str = "") -> Page:
        """The same, where its address is open already."""
        for name in screen.opens:
            press(self.page, name)
        expect(place(self.page, screen).get_by_text(shows or screen.shows).first).to_be_visible()
        settled(self.page)
        return self.page

    def opened_by_keyboard(self, screen: Screen) -> Locator:
        """A dialog, opened from the screen below it: the button or link that opened it."""
        self.window.goto(screen.below)
        main = self.page.locator("main")
        found = main.get_by_role("button", name=screen.over, exact=True).or_(main.get_by_role("link", name=screen.over, exact=True)).first
        found.focus()
        self.page.keyboard.press("Enter")
        for name in screen.opens:
            if name != screen.over:
                press(self.page.get_by_role("dialog"), name)
        expect(place(self.page, screen).get_by_text(screen.shows).first).to_be_visible()
        settled(self.page)
        return found


def press(here: Page | Locator, name: str) -> None:
    named = re.compile(f"^{re.escape(name)}(:|$)")
    button, radio = here.get_by_role("button", name=named), here.get_by_role("radio", name=named)
    if button.or_(radio).first.get_attribute("type") == "radio":
        radio.check()
    else:
        button.first.click()


def place(page: Page, screen: Screen) -> Locator:
    """Where the screen is on the page."""
    return page.get_by_role("dialog") if screen.is_dialog else page.locator("body")


@pytest.fixture(scope="module")
def window(console: Served, browser: Browser, users: dict[str, User]) -> Iterator[Stage]:
    windows = Windows(browser)
    opened = windows.open(viewport={"width": 1280, "height": 900})
    opened.goto("/console/sign-in")
    sign_in(opened, users["admin"].token)
    yield Stage(opened, StandIn.before(opened.context), users["admin"])
    windows.close()


@pytest.fixture
def at(window: Stage, request: pytest.FixtureRequest) -> Iterator[Stage]:
    window.stand_in.begin(cast.usual())
    window.page.context.set_offline(False)
    yield window
    if request.node.stash.get(FAILED, False):
        to = PICTURES / (re.sub(r"\W+", "-", request.node.name) + ".png")
        to.parent.mkdir(parents=True, exist_ok=True)
        window.page.screenshot(path=to)
    window.page.goto("about:blank")
    seen, surprises = window.window.seen, window.stand_in.surprises
    told = [*surprises, *seen.refused, *seen.errors]
    for each in (surprises, seen.refused, seen.errors):
        each.clear()
    assert told == []


@pytest.mark.parametrize("screen", SCREENS, ids=str)
def test_it_waits_says_why_it_was_refused_is_there_after_retry_and_stays_without_api_and_session(at: Stage, screen: Screen) -> None:
    page, here = at.page, place(at.page, screen)
    at.stand_in.hold(screen.reads)
    with page.expect_request(at.stand_in.holds):
        page.goto(f"{ORIGIN}{screen.path}")
    expect(here.get_by_role("status", name="Loading").first).to_be_visible()
    assert axe(page) == []

    at.stand_in.refuse(429, BUSY, screen.reads)
    at.stand_in.let_go()
    refused(here, "This could not be read", BUSY)
    assert axe(page) == []
    at.stand_in.refuse(403, SECRET, screen.reads)
    press(here, "Retry")
    refused(here, "You may not see this", SECRET)
    at.stand_in.answer()
    press(here, "Retry")
    at.shown(screen)

    lost = here if screen.is_dialog else page
    at.stand_in.is_away = True
    page.context.set_offline(True)
    expect(lost.get_by_text(AWAY)).to_be_visible()
    assert axe(page) == []
    at.stand_in.is_away = False
    at.stand_in.refuse(401, OVER)
    page.context.set_offline(False)
    expect(lost.get_by_text(ENDED)).to_be_visible()
    expect(here.get_by_text(screen.shows).first).to_be_visible()
    assert axe(page) == []


def refused(here: Locator, title: str, says: str) -> None:
    alert = here.get_by_role("alert").filter(has_text=title).first
    expect(alert).to_be_visible()
    expect(alert).to_contain_text(says)
    expect(alert.get_by_role("button", name="Retry")).to_be_enabled()


EMPTY = [pytest.param(screen, nothing, id=f"{screen}: {nothing.says}") for screen in SCREENS for nothing in screen.nothing]


@pytest.mark.parametrize(("screen", "nothing"), EMPTY)
def test_where_there_is_nothing_it_says_so_and_what_comes_next(at: Stage, screen: Screen, nothing: Nothing) -> None:
    at.stand_in.begin(cast.usual(), nothing.answers)
    at.window.goto(f"{screen.path}{nothing.asked}")
    page = at.shown(screen, nothing.says)
    assert axe(page) == []
    with magnified(page, 320):
        assert cut(page) == []


@pytest.mark.parametrize(
    ("screen", "barred"), [pytest.param(each, each.barred, id=each.name) for each in [*SCREENS, *FORMS] if each.barred]
)
def test_what_the_caller_may_not_do_is_there_does_nothing_and_names_the_role(at: Stage, screen: Screen, barred: Barred) -> None:
    at.stand_in.says(barred.call, cast.one(cast.rights(*barred.rights, call=barred.call)))
    page = at.opened(screen)
    before = page.url
    for name in barred.buttons:
        button = place(page, screen).get_by_role("button", name=re.compile(f"^{re.escape(name)}( |$)")).first
        expect(button).to_have_attribute("aria-disabled", "true")
        expect(button).to_have_accessible_description(re.compile(cast.ROLE))
        button.focus()
        page.keyboard.press("Enter")
        expect(page).to_have_url(before)
    assert not [each for each in at.stand_in.asked if not each.startswith("GET ") and "/preview" not in each]
    assert axe(page) == []


@pytest.mark.parametrize("screen", [each for each in (*SCREENS, *FORMS) if each.filled], ids=str)
def test_a_filled_form_stays_while_somebody_signs_in_again_in_a_second_window(at: Stage, screen: Screen) -> None:
    assert screen.filled is not None
    page = at.opened(screen)
    field = page.get_by_label(screen.filled.label, exact=True)
    field.fill(screen.filled.text)
    page.context.clear_cookies()
    at.stand_in.refuse(401, OVER)
    page.context.set_offline(True)
    page.context.set_offline(False)
    with page.context.expect_page() as opened:
        press(page.get_by_role("dialog").or_(page.locator("body")).last, "Sign in again")
    second = opened.value
    second.get_by_label("Token").fill(at.user.token)
    at.stand_in.answer()
    with second.expect_event("close"):
        second.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text(ENDED)).to_have_count(0)
    expect(field).to_have_value(screen.filled.text)


@pytest.mark.parametrize("screen", [*SCREENS, *FORMS], ids=str)
def test_it_is_read_in_the_dark_and_magnified_and_gone_through_by_keyboard(at: Stage, screen: Screen) -> None:
    opener = at.opened_by_keyboard(screen) if screen.is_dialog else at.opened(screen)
    page = at.page
    assert page.title() not in ("", "Dynamiq")
    assert axe(page) == []
    page.emulate_media(color_scheme="dark")
    assert axe(page, "color-contrast") == []
    page.emulate_media(color_scheme="light")
    with magnified(page, 640, scale=2):
        assert cut(page) == []
    with magnified(page, 320):
        assert cut(page) == []
        assert axe(page) == []
    places = tabbed(page)
    assert [each["name"] for each in places if not each["isSeen"]] == []
    if isinstance(opener, Locator):
        assert [each["name"] for each in places if not each["isOver"]] == []
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(opener).to_be_focused()


@pytest.mark.parametrize("oidc", [None, {"name": "The single sign-on of the northern region"}], ids=["by token", "by OIDC, too"])
def test_sign_in_waits_for_the_cluster_keeps_what_is_filled_in_and_can_be_read(
    console: Served, windows: Windows, oidc: dict[str, str] | None
) -> None:
    page = windows.open().page
    answered(page, "GET", SESSION, 503, example("GET", SESSION, 503))
    page.goto(f"{ORIGIN}/console/sign-in?to=/console/workflows")
    refused(page.locator("body"), "The cluster does not answer at this moment", example("GET", SESSION, 503)["error"]["message"])
    assert axe(page) == []
    known = example("GET", SESSION)["data"] | {"user": None, "expires_at": None, "sign_in": {"token": True, "oidc": oidc}}
    answered(page, "GET", SESSION, 200, {"data": known})
    press(page, "Retry")
    token = page.get_by_label("Token")
    expect(token).to_be_visible()
    assert axe(page) == []
    page.emulate_media(color_scheme="dark")
    assert axe(page, "color-contrast") == []
    for width, scale in ((320, 1), (640, 2)):
        with magnified(page, width, scale):
            assert cut(page) == []
    assert [each["name"] for each in tabbed(page) if not each["isSeen"]] == []
    page.route(f"**{SESSION}", lambda route: route.abort("connectionrefused"))
    token.fill("a-token")
    token.press("Enter")
    expect(page.get_by_text("The API does not answer.")).to_be_visible()
    expect(token).to_have_value("a-token")
    assert axe(page) == []
