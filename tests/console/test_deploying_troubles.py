"""Trouble during a deploy in the console: others deploy, answers are lost, a session or a right ends. The form can be continued."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import PageAs
from tests.console.support.silence import answers_lost
from tests.support.browser import names, served
from tests.support.browser.chromium import Places
from tests.support.browser.deploying import Deploying, dialog, previewed, rolled_out
from tests.support.browser.everything import LIVE_WITHIN
from tests.support.browser.pages import Window, Windows, sign_in
from tests.support.browser.served import User
from tests.support.history_stage import HistoryStage

DEPLOY = re.compile(r"/v1/apps/[^/]+/deploy$")
MESSAGE = "kept whatever happens"


@pytest.fixture(scope="module")
def deploying(stage: HistoryStage, users: dict[str, User]) -> Deploying:
    made = Deploying.made(stage, "troubled")
    users["operator-on-call"] = made.user("operator-on-call", "edit")
    return made


@pytest.fixture
def panel_of(page_as: PageAs, deploying: Deploying) -> Callable[..., Window]:
    """Returns a function that opens the Deploy panel of a new App and fills it in."""

    def opened(app: str, user: str = "operator-on-call") -> Window:
        uid = deploying.app(app, "v1")
        window = page_as(user, f"/console/apps/{uid}/deploy")
        fill_in(window.page)
        return window

    return opened


def fill_in(page: Page) -> None:
    """Fills in the panel: a version and a message."""
    panel = dialog(page, "Deploy")
    panel.get_by_label("Source version").select_option(label="v2 · What v2 does")
    panel.get_by_label("Message").fill(MESSAGE)
    previewed(page, "v2")


def deploy(page: Page) -> None:
    page.get_by_role("button", name="Deploy v2").click()


def is_kept(page: Page) -> None:
    """Asserts that the form keeps everything that was filled in."""
    expect(page.get_by_label("Message")).to_have_value(MESSAGE)
    expect(page.get_by_label("Source version").locator("option:checked")).to_contain_text("v2")


def deployed(deploying: Deploying, page: Page, app: str, rows: int = 2) -> None:
    """Asserts that the version was deployed once."""
    rolled_out(page)
    row = deploying.stage.row(deploying.stage.until_served("v2", app, rows=rows))
    assert row["spec"]["message"] == MESSAGE


def test_a_retry_sends_the_same_request(panel_of: Callable[..., Window], deploying: Deploying) -> None:
    window = panel_of("held")
    page = window.page
    message = page.get_by_label("Message")
    message.focus()
    with answers_lost(page, "*/deploy"):
        page.keyboard.press("Control+Enter")
        again = page.get_by_role("button", name="Try again")
        expect(again).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text("The deploy of v2 to held had no answer")
    for field in (message, page.get_by_label("Source version"), page.get_by_label("Select deployment")):
        expect(field).to_be_disabled()
    is_kept(page)
    page.keyboard.press("Enter")
    deployed(deploying, page, "held")


@pytest.mark.long("two rollouts on a real cluster; the panel that follows what others deploy: operator/console/tests/deploying.test.tsx")
def test_the_workflows_panel_follows_what_others_deploy(page_as: PageAs, stage: HistoryStage, users: dict[str, User]) -> None:
    alone = Deploying.made(stage, "followed")
    users["follower"] = alone.user("follower", "edit")
    alone.app("followed-app", "v1")
    page = page_as("follower", f"/console/workflows/{alone.workflow_id}/deploy").page
    panel = dialog(page, "Deploy")
    panel.get_by_label("Source version").select_option(label="v2 · What v2 does")
    previewed(page, "v2")
    alone.live("followed-app", "v3")
    expect(page.locator(".pairs .was").first).to_contain_text("v3 (#2)")
    expect(panel.get_by_label("Source version").locator("option", has_text="(deployed)")).to_contain_text("v3")
    expect(panel.get_by_label("Source version").locator("option:checked")).to_contain_text("v2")


def test_the_form_goes_on_when_the_api_is_back(
    login: Path, tmp_path: Path, places: Places, windows: Windows, deploying: Deploying, users: dict[str, User]
) -> None:
    uid = deploying.app("replica-killed", "v1")
    window = windows.open()
    page = window.page
    with served.serving(login, tmp_path, places, names.REPLICA) as console:
        page.goto(f"{console.origin}/console/sign-in?to=/console/apps/{uid}/deploy")
        sign_in(window, users["operator-on-call"].token)
        fill_in(page)
    deploy(page)
    expect(page.get_by_role("alert").filter(has_text="whether it was done is not known")).to_be_visible()
    expect(page.get_by_role("dialog").get_by_text("The API does not answer at this moment")).to_be_visible()
    is_kept(page)
    with served.serving(login, tmp_path, places, names.REPLICA):
        expect(page.get_by_text("The API does not answer at this moment")).to_have_count(0, timeout=LIVE_WITHIN)
        is_kept(page)
        page.get_by_role("button", name="Try again").click()
        deployed(deploying, page, "replica-killed")
        page.close()


def test_a_user_who_signs_in_again_in_a_second_window_continues(
    panel_of: Callable[..., Window], deploying: Deploying, users: dict[str, User]
) -> None:
    page = panel_of("expired").page
    page.context.clear_cookies()
    deploy(page)
    again = page.get_by_role("dialog").get_by_role("button", name="Sign in again")
    expect(page.get_by_role("alert").filter(has_text="Nothing was done")).to_be_visible()
    is_kept(page)
    with page.expect_popup() as popup:
        again.click()
    window = popup.value
    window.get_by_label("Token").fill(users["operator-on-call"].token)
    with window.expect_event("close"):
        window.get_by_role("button", name="Sign in").click(no_wait_after=True)
    expect(again).to_have_count(0)
    is_kept(page)
    previewed(page, "v2")
    deploy(page)
    deployed(deploying, page, "expired")
