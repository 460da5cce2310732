"""Signing in to the console with a token, and signing out. The token is never stored where scripts could read it."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.console.conftest import PageAs
from tests.support.browser.pages import ORIGIN, Windows, kept, sign_in
from tests.support.browser.served import Served, User
from tests.support.waiting import eventually


def cookies(page: Page) -> list[dict[str, object]]:
    return [dict(each) for each in page.context.cookies()]


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Account").click()
    page.get_by_role("button", name="Sign out").click()


def test_a_sign_in_returns_to_the_requested_link(console: Served, windows: Windows, users: dict[str, User]) -> None:
    window = windows.open()
    page = window.goto("/console/workflows?project=&q=a%26b")
    expect(page).to_have_url(re.compile(r"/console/sign-in\?to="))
    expect(page).to_have_title(re.compile("Sign in"))
    sign_in(window, users["viewer"].token)
    expect(page).to_have_url(re.compile(r"/console/workflows\?(.*&)?q=a%26b"))
    expect(page.get_by_role("heading", level=1, name="Workflows")).to_be_focused()
    page.reload()
    expect(page.get_by_role("link", name="Workflows")).to_have_attribute("aria-current", "page")


def test_the_heading_that_has_the_focus_after_the_sign_in_has_no_ring_and_what_keys_go_to_has_one(
    console: Served, windows: Windows, users: dict[str, User]
) -> None:
    window = windows.open()
    page = window.goto("/console/sign-in")
    page.get_by_label("Token").fill(users["viewer"].token)
    page.keyboard.press("Enter")
    heading = page.get_by_role("heading", level=1, name="Deployments")
    expect(heading).to_be_focused()
    expect(heading).to_have_css("outline-style", "none")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_css("outline-style", "solid")


def test_a_token_that_the_cluster_does_not_take_is_refused_in_words_and_leaves_nothing(console: Served, windows: Windows) -> None:
    window = windows.open()
    page = window.goto("/console/sign-in")
    token = page.get_by_label("Token")
    expect(token).to_be_focused()
    for wrong, words in (("not-a-token", "Get a new token"), ("with a space", "it has no spaces")):
        token.fill(wrong)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text(words)).to_be_visible()
        expect(token).to_have_attribute("aria-invalid", "true")
        expect(token).to_be_focused()
        assert cookies(page) == []


def test_a_sign_out_ends_the_session_in_every_tab_and_the_former_page_shows_nothing(page_as: PageAs) -> None:
    window = page_as("viewer")
    other = window.another()
    other.goto("/console/workflows")
    sign_out(window.page)
    for page in (window.page, other.page):
        expect(page).to_have_url(re.compile(r"/console/sign-in"))
    assert cookies(window.page) == []
    window.page.go_back()
    expect(window.page.get_by_label("Token")).to_be_visible()


def test_the_token_is_in_a_cookie_that_no_script_reads_and_nowhere_else(console: Served, windows: Windows, users: dict[str, User]) -> None:
    user = users["deployer"]
    window = windows.open()
    page = window.goto("/console/sign-in?to=/console/workflows")
    sign_in(window, user.token)
    page.get_by_role("link", name="Deployments").first.click()
    expect(page).to_have_url(re.compile(r"/console/(\?.*)?$"))
    found = cookies(page)
    assert [each["name"] for each in found] == ["__Host-dynamiq-0"]
    assert [(each["secure"], each["httpOnly"], each["sameSite"], each["path"]) for each in found] == [(True, True, "Strict", "/")]
    pieces = [user.token, *user.token.split(".")]
    assert not [piece for piece in pieces if piece in kept(page)]
    requests = [f"{request.url} {request.headers.get('referer')}" for request in window.seen.requests]
    assert not [piece for piece in pieces for each in requests if piece in each]
    assert not [piece for piece in pieces if piece in console.log.read_text()]


def test_only_the_choice_of_a_theme_is_kept_in_the_browser(page_as: PageAs) -> None:
    page = page_as("viewer").page
    page.get_by_role("button", name="Account").click()
    page.get_by_role("radio", name="Dark").check()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("JSON.stringify({...localStorage})") == '{"theme":"dark"}'
    assert page.evaluate("sessionStorage.length") == 0


def test_a_page_is_served_with_its_policy_and_loads_nothing_from_elsewhere(page_as: PageAs) -> None:
    window = page_as("viewer")
    answer = window.page.reload()
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    for part in (
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ):
        assert part in policy
    assert answer.headers["cache-control"] == "no-store"
    assert {request.url.removeprefix(ORIGIN)[0] for request in window.seen.requests} == {"/"}


INJECT = """() => {
  const told = [];
  const tried = (attempt) => { try { attempt(); told.push("let"); } catch (refused) { told.push(refused.name); } };
  tried(() => document.body.insertAdjacentHTML("beforeend", "<b>x</b>"));
  tried(() => { const made = document.createElement("script"); made.text = "window.ran = 1"; document.head.append(made); });
  tried(() => { const made = document.createElement("script"); made.append("window.ran = 1"); document.head.append(made); });
  tried(() => { const made = document.createElement("img"); made.src = "https://elsewhere.example.net/"; document.body.append(made); });
  return told;
}"""


def test_the_policy_is_in_force_and_this_suite_would_notice(page_as: PageAs) -> None:
    window = page_as("viewer")
    assert window.page.evaluate(INJECT)[:2] == ["TypeError", "TypeError"]
    eventually("the image is refused", lambda: window.page.title() and any("elsewhere.example.net" in text for text in window.seen.refused))
    assert window.page.evaluate("window.ran") is None
    assert any("TrustedScript" in text or "script-src" in text for text in window.seen.refused)
    window.seen.refused.clear()
    window.seen.errors.clear()
