"""The frame around every screen: the place, the user, the theme, and the messages for a lost session or API."""

from __future__ import annotations

import json
import re
import uuid

import pytest
from playwright.sync_api import expect

from dynamiq_operator.model import kinds
from tests.console.conftest import PageAs
from tests.support import rest
from tests.support.browser.answers import Everything
from tests.support.browser.served import User
from tests.support.history_stage import APP, HistoryStage

NO_FILE = {"error": {"code": "not_found", "message": "the console has no such file: load the page again", "details": {}}}
WAS_HIDDEN = """(() => {
  const look = () => {
    const told = document.querySelector(".not-yet");
    window.wasHidden = told !== null && getComputedStyle(told).visibility === "hidden";
    if (!window.wasHidden) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})()"""
"""Notes whether the page hides its message that it is still loading, which it shows after five seconds.

A test on a busy machine may check later.
"""
AWAY = {"error": {"code": "unavailable", "message": "the cluster does not answer", "details": {}}}


@pytest.fixture
def app(stage: HistoryStage) -> str:
    """Makes a live App, and returns its path."""
    name = f"a-{uuid.uuid4().hex[:8]}"
    stage.app(name, workflow=APP)
    stage.live(name, "v1", runtime=stage.default_runtime)
    return f"/console/apps/{stage.get(kinds.APP.kind, name)['metadata']['uid']}"


@pytest.mark.usefixtures("app")  # without any App there is nothing to search
def test_a_page_whose_script_is_missing_reports_it_and_can_be_loaded_again(page_as: PageAs) -> None:
    """After an upgrade an older replica, which has no script of that name, may get the request for it."""
    page = page_as("viewer", "/console/", is_new=True).page
    page.add_init_script(WAS_HIDDEN)
    gone = re.compile("/console/assets/index-[^/]*[.]js$")
    page.route(gone, lambda route: route.fulfill(status=404, content_type="application/json", body=json.dumps(NO_FILE)))
    page.goto(f"{page.url}?q=support", wait_until="commit")
    again = page.get_by_role("link", name="load the page again")
    expect(again).to_be_visible()
    assert page.evaluate("window.wasHidden") is True, "a page that is merely slow says nothing"
    expect(page.get_by_text("The console is loading")).to_be_visible()
    page.unroute(gone)
    again.click()
    expect(page.get_by_role("heading", level=1, name="Deployments")).to_be_visible()
    expect(page.get_by_role("searchbox")).to_have_value("support")
    expect(page.get_by_text("The console is loading")).to_have_count(0)


def test_a_part_whose_files_are_missing_is_loaded_again(page_as: PageAs) -> None:
    window = page_as("viewer", None, is_new=True)
    everything = Everything(lambda text: text)
    everything.given_to(window.page)
    styles, all_of_it = re.compile("/assets/rest-[^/]*[.]css$"), re.compile("/assets/rest-")
    window.page.route(styles, lambda route: route.fulfill(status=404, json=NO_FILE), times=1)
    page = window.goto("/console/workflows")
    expect(page.get_by_role("heading", level=1, name="Workflows")).to_be_visible()
    assert page.locator("link[href*='/assets/rest-']").count() == 1, "the one that came"
    page.route(all_of_it, lambda route: route.fulfill(status=404, json=NO_FILE))
    page.goto(page.url)
    expect(page.get_by_text("This part of the console could not be loaded")).to_be_visible()
    page.unroute(all_of_it)
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("heading", level=1, name="Workflows")).to_be_visible()


def test_the_theme_is_chosen_by_the_keyboard_and_stays(page_as: PageAs) -> None:
    window = page_as("viewer", "/console/", color_scheme="light")
    page = window.page
    page.get_by_role("button", name="Account").press("Enter")
    page.get_by_role("radio", name="System").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Dark")).to_be_checked()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    page.reload()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


def test_a_user_who_signs_in_again_in_the_second_window_continues_at_the_same_place(
    page_as: PageAs, stage: HistoryStage, app: str, users: dict[str, User]
) -> None:
    users["everywhere"] = User("everywhere", rest.account(stage.api, stage.namespace, "everywhere", "view"))
    rest.bind(stage.api, "", "everywhere", "view", stage.namespace)
    page = page_as("everywhere", "/console/").page
    expect(page.locator(f"a[href='{app}']")).to_be_visible()
    page.get_by_role("searchbox").fill("a-")
    page.context.clear_cookies()
    page.get_by_role("combobox", name="Project").select_option(label=f"{stage.namespace} (staging)")
    expect(page.get_by_text("Your session has ended")).to_be_visible()
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Sign in again").click()
    second = opened.value
    second.get_by_label("Token").fill(users["everywhere"].token)
    with second.expect_event("close"):
        second.get_by_role("button", name="Sign in").click(no_wait_after=True)
    expect(page.get_by_text("Your session has ended")).to_have_count(0)
    expect(page.locator(f"a[href='{app}']")).to_be_visible()
    expect(page.get_by_role("searchbox")).to_have_value("a-")
