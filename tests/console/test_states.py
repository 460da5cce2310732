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
    at.stand_in.hold(screen.reads)  # a look of the page's own would take the button away
    at.stand_in.answer()
    press(here, "Retry")
    at.stand_in.let_go()
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
        second.get_by_role("button", name="Sign in").click(no_wait_after=True)
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


REVIEW, ROLL_BACK, OVERVIEW = (next(each for each in SCREENS if each.name == name) for name in ("review", "roll back", "app"))


def test_what_ends_a_row_for_good_is_never_what_enter_does_however_it_waits_meanwhile(at: Stage) -> None:
    page = at.opened(REVIEW)
    review = page.get_by_role("dialog")
    expect(review.get_by_role("button", name="Approve")).to_be_focused()
    frozen = {**cast.whole(cast.LIVE + 2)["waits"], "reason": "Frozen", "approvals": None, "approvals_needed": None, "resumable": False}
    at.stand_in.says(REVIEW.reads, cast.one(cast.whole(cast.LIVE + 2, waits=frozen)))
    read_again(at)
    expect(review.get_by_role("button", name="Approve")).to_have_count(0)
    expect(review.get_by_role("button", name="Cancel")).to_be_focused()
    expect(review.get_by_role("button", name="Reject")).to_be_visible()
    expect(review.locator("[type=submit]")).to_have_count(0)
    at.stand_in.says(REVIEW.reads, cast.one(cast.whole(cast.LIVE + 2, waits=None)))
    read_again(at)
    expect(review.get_by_role("link", name="Look at the rollout")).to_be_focused()


def read_again(at: Stage) -> None:
    """The API was away for a moment: all that is shown is read again."""
    at.stand_in.is_away = True
    at.page.context.set_offline(True)
    expect(at.page.get_by_text(AWAY).first).to_be_visible()
    at.stand_in.is_away = False
    at.page.context.set_offline(False)
    expect(at.page.get_by_text(AWAY)).to_have_count(0)


def test_a_word_that_is_being_sent_keeps_the_focus_whatever_becomes_of_it(at: Stage) -> None:
    say = f"POST {cast.ROW_PATH}/approvals"
    page = at.opened(REVIEW)
    review = page.get_by_role("dialog")
    reject = review.get_by_role("button", name="Reject")
    reject.focus()
    at.stand_in.hold(say)
    with page.expect_request(at.stand_in.holds):
        page.keyboard.press("Enter")
    expect(reject).to_have_attribute("aria-disabled", "true")
    expect(reject).to_be_focused()
    at.stand_in.refuse(409, BUSY, say)
    at.stand_in.let_go()
    expect(review.get_by_text(BUSY)).to_be_visible()
    expect(reject).to_be_focused()
    at.stand_in.is_away = True
    page.keyboard.press("Enter")
    expect(review.get_by_role("button", name="Try again")).to_be_focused()


def test_a_row_whose_preview_fails_is_rejected_all_the_same(at: Stage) -> None:
    at.stand_in.refuse(429, BUSY, cast.READ_WAITING)
    at.window.goto(REVIEW.path)
    review = at.page.get_by_role("dialog")
    expect(review.get_by_role("button", name="Approve")).to_have_attribute("aria-disabled", "true")
    expect(review.get_by_role("button", name="Reject")).to_be_enabled()


def test_a_rollback_asks_for_a_hold_where_the_app_has_another_and_none_with_its_scaling(at: Stage) -> None:
    at.stand_in.says(cast.PREVIEW, cast.one(cast.preview(begins_hold=True)))
    page = at.opened(ROLL_BACK)
    call = page.get_by_role("region", name="API call")
    hold, scaling = page.get_by_label("Git waits afterwards"), page.get_by_label("Bring back its scaling")
    expect(hold).to_be_checked()
    hold.uncheck()
    expect(call).to_contain_text('"hold":false')
    hold.check()
    expect(call).not_to_contain_text("hold")
    hold.uncheck()
    scaling.check()
    expect(call).not_to_contain_text("hold")
    hold.focus()
    page.keyboard.press("Space")
    expect(hold).not_to_be_checked()
    expect(hold).to_have_attribute("aria-disabled", "true")
    expect(page.get_by_text("a deploy like any other, which begins no hold")).to_be_visible()
    assert axe(page) == []


def test_who_is_on_call_brings_a_row_back_and_asks_for_nothing_else(at: Stage) -> None:
    at.stand_in.says(cast.READ_RIGHTS, cast.one(cast.rights("deploy")))
    page = at.opened(ROLL_BACK)
    for label in ("Git waits afterwards", "Bring back its scaling"):
        box = page.get_by_label(label)
        expect(box).to_have_attribute("aria-disabled", "true")
        expect(box).to_have_accessible_name(re.compile(cast.ROLE))
        before = box.is_checked()
        box.focus()
        page.keyboard.press("Space")
        assert box.is_checked() is before
    expect(page.get_by_role("region", name="API call")).not_to_contain_text("hold")
    expect(page.get_by_role("dialog").locator("[type=submit]")).not_to_have_attribute("aria-disabled", "true")


@pytest.mark.parametrize("holds", [True, False])
def test_a_hold_is_resumed_once_the_rollback_that_began_it_is_live(at: Stage, holds: bool) -> None:
    of = {"row": "support-3", "sequence": 3}
    held = cast.data(cast.READ_APP)["guards"][0] | {"reason": "Held", "message": "Git is held after rollback #3", "until": None}
    at.stand_in.says(cast.READ_APP, cast.one(cast.app(guards=[held], waiting=[], holds=of)))
    at.stand_in.says(cast.READ_ROW, cast.one(cast.whole(holds=of if holds else None)))
    page = at.opened(OVERVIEW)
    rules = page.get_by_role("region", name="Rules for deploys")
    expect(rules).to_contain_text("Git is held after rollback #3")
    expect(rules.get_by_role("button", name="Resume…")).to_have_count(1 if holds else 0)


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
