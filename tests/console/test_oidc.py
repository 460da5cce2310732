"""Signing in with OIDC under real hostnames: the console, a certified provider on another site, and an API server that trusts it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Response, expect

from local import console_build
from local.clusters import Cluster
from tests.console.support import provider
from tests.console.support.provider import CALLBACK, ISSUER, Provider
from tests.support import rest
from tests.support.api import Api
from tests.support.browser import names, served
from tests.support.browser.chromium import Places
from tests.support.browser.pages import Window, Windows, kept
from tests.support.browser.served import Served
from tests.support.history_stage import HistoryStage
from tests.support.waiting import eventually

SSO = f"https://{names.SSO}"
ANNA, BRIEF, UNVERIFIED = "anna@example.org", "brief@example.org", "unverified@example.org"
SESSION, ATTEMPT = "__Host-dynamiq-0", "__Host-oidc"
TARGET = "/console/workflows?q=a%26b%3Dc"


@pytest.fixture(scope="module")
def login_provider(cluster: Cluster, folder: Path, places: Places, stage: HistoryStage) -> Iterator[Provider]:
    """Yields the provider, which the API server trusts. Anna and the user with a brief token may view the stage."""
    with provider.running(folder, places) as running, provider.trusted(cluster, places):
        api = Api.of(cluster)
        for user in (ANNA, BRIEF):
            assert api.apply(rest.of_user(user, stage.namespace, "view")).ok
        yield running


@pytest.fixture(scope="module")
def sso(login: Path, folder: Path, places: Places, login_provider: Provider) -> Iterator[Served]:
    console_build.install()
    with served.serving(login, folder, places, names.SSO, *login_provider.options, environment=login_provider.environment) as made:
        yield made


@pytest.fixture
def window(sso: Served, windows: Windows) -> Window:
    return windows.open(origin=SSO)


def to_provider(page: Page) -> None:
    """Follows the link of the sign-in screen to the provider's own page."""
    page.get_by_role("link", name="Sign in with Example").click()
    expect(page).to_have_url(re.compile(f"^{ISSUER}/interaction/"))


def at_provider(page: Page, user: str) -> None:
    """Signs in at the provider."""
    page.locator("input[name=login]").fill(user)
    page.locator("input[name=password]").fill("any")
    page.get_by_role("button", name="Sign-in").click()


def sign_in(window: Window, user: str, path: str = TARGET) -> None:
    page = window.goto(path)
    to_provider(page)
    at_provider(page, user)
    expect(page.get_by_role("button", name=f"Account: {user}")).to_be_visible()


def cookies(window: Window) -> dict[str, dict[str, object]]:
    """Returns the console's cookies by name."""
    return {each["name"]: dict(each) for each in window.context.cookies(SSO)}


def callback_of(window: Window, user: str) -> str:
    """Returns the address with this user's code to which the provider redirects. The browser is stopped before it opens it."""
    held: list[str] = []
    debugger = window.context.new_cdp_session(window.page)

    def hold(event: dict[str, Any]) -> None:
        held.append(event["request"]["url"])
        debugger.send("Fetch.failRequest", {"requestId": event["requestId"], "errorReason": "Aborted"})

    window.goto("/console/")
    to_provider(window.page)
    debugger.on("Fetch.requestPaused", hold)
    debugger.send("Fetch.enable", {"patterns": [{"urlPattern": f"{CALLBACK}*"}]})  # a route of Playwright sees no redirect
    with window.page.expect_event("requestfailed", lambda request: request.url.startswith(CALLBACK)):
        at_provider(window.page, user)
    debugger.detach()
    return held[0]


def test_a_sign_in_returns_from_the_other_site_to_the_requested_link(window: Window, sso: Served, login_provider: Provider) -> None:
    answers: list[Response] = []
    window.page.on("response", lambda answer: answers.append(answer))
    sign_in(window, ANNA)
    assert window.page.url == f"{SSO}{TARGET}"
    found = cookies(window)
    assert ATTEMPT not in found
    assert [(each["secure"], each["httpOnly"], each["sameSite"]) for each in found.values()] == [(True, True, "Strict")] * len(found)
    came = [answer for answer in answers if answer.url.startswith(CALLBACK)]
    assert [answer.status for answer in came] == [303]
    code = parse_qs(urlsplit(came[0].url).query)["code"][0]
    token = str(found[SESSION]["value"]).partition(".")[2]
    for secret in (code, token, *token.split(".")[1:]):
        assert secret not in kept(window.page)
        assert secret not in sso.log.read_text()
    window.page.reload()
    expect(window.page.get_by_role("button", name=f"Account: {ANNA}")).to_be_visible()


def test_the_request_has_a_challenge_a_state_and_a_nonce_of_its_own_each_time(window: Window) -> None:
    seen = []
    for _ in range(2):
        with window.page.expect_request(re.compile(f"^{ISSUER}/auth")) as request:
            window.goto("/console/")
            to_provider(window.page)
        seen.append({name: values[0] for name, values in parse_qs(urlsplit(request.value.url).query).items()})
    assert [(each["response_type"], each["code_challenge_method"], each["redirect_uri"]) for each in seen] == [
        ("code", "S256", CALLBACK)
    ] * 2
    for name in ("state", "nonce", "code_challenge"):
        assert seen[0][name] != seen[1][name]
        assert len(seen[0][name]) >= 43
    attempt = cookies(window)[ATTEMPT]
    assert (attempt["secure"], attempt["httpOnly"], attempt["sameSite"], attempt["path"]) == (True, True, "Lax", "/")


def test_a_planted_link_with_anothers_code_starts_no_session(window: Window, windows: Windows, sso: Served) -> None:
    planted = callback_of(window, ANNA)
    victim = windows.open(origin=SSO)
    victim.page.goto(planted)
    expect(victim.page.get_by_role("alert")).to_contain_text("The sign-in took longer")  # none was begun in this browser, or it is over
    assert SESSION not in cookies(victim)
    assert urlsplit(victim.page.url).path == "/console/sign-in"
    begun = windows.open(origin=SSO)
    to_provider(begun.goto("/console/"))
    begun.page.goto(planted)
    expect(begun.page.get_by_role("alert")).to_contain_text("started in another window")
    assert SESSION not in cookies(begun)


def test_a_code_is_taken_once(window: Window, sso: Served) -> None:
    back = callback_of(window, ANNA)
    attempt = [each for each in window.context.cookies(SSO) if each["name"] == ATTEMPT]
    window.page.goto(back)
    expect(window.page.get_by_role("button", name=f"Account: {ANNA}")).to_be_visible()
    window.context.clear_cookies(name=re.compile("__Host-dynamiq"))
    window.page.goto(back)
    expect(window.page.get_by_role("alert")).to_contain_text("The sign-in took longer")
    window.context.add_cookies(cast(Any, attempt))
    assert ATTEMPT in cookies(window)
    window.page.goto(back)
    eventually("the API says why", lambda: window.page.title() and "this attempt was used before" in sso.log.read_text())
    assert SESSION not in cookies(window)


def test_a_changed_state_is_refused_and_the_attempt_is_over(window: Window, sso: Served) -> None:
    back = callback_of(window, ANNA)
    window.page.goto(re.sub(r"state=[^&]+", "state=" + "x" * 43, back))
    expect(window.page.get_by_role("alert")).to_contain_text("started in another window")
    assert cookies(window) == {}
    window.page.goto(back)
    expect(window.page.get_by_role("alert")).to_be_visible()
    assert cookies(window) == {}


def test_a_sign_in_that_was_cancelled_at_the_provider_is_reported_and_can_be_repeated(window: Window, sso: Served) -> None:
    page = window.goto(TARGET)
    to_provider(page)
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("you cancelled it there")
    assert cookies(window) == {}
    to_provider(page)
    at_provider(page, ANNA)
    expect(page).to_have_url(f"{SSO}{TARGET}")


def test_a_user_whom_the_api_server_does_not_take_is_not_signed_in(window: Window, sso: Served) -> None:
    page = window.goto("/console/")
    to_provider(page)
    at_provider(page, UNVERIFIED)
    expect(page.get_by_role("alert")).to_contain_text("The cluster does not accept this provider's token")
    assert cookies(window) == {}


TARGETS = ("https://elsewhere.example.net/", "/\\elsewhere.example.net")
"""Examples of refused targets. tests/unit/rest/test_console_oidc.py and operator/console/src/pure/sign-in.test.ts have all of them."""


def test_a_sign_in_ends_in_the_console_for_every_link(window: Window, sso: Served) -> None:
    sign_in(window, ANNA, "/console/")
    for to in TARGETS:
        for path in ("/console/oidc/start", "/console/sign-in"):
            window.page.goto(f"{SSO}{path}?to={to}")
            expect(window.page.get_by_role("button", name=f"Account: {ANNA}")).to_be_visible()
            assert urlsplit(window.page.url)[:3] == ("https", names.SSO, "/console/"), to


def test_a_user_whose_session_ends_signs_in_again_in_a_second_window_and_the_page_continues(window: Window, sso: Served) -> None:
    sign_in(window, BRIEF, "/console/")
    again = window.page.get_by_role("button", name="Sign in again")
    expect(again).to_be_visible(timeout=(provider.BRIEF + 240) * 1000)
    window.page.evaluate("window.isTheSamePage = true")
    with window.page.expect_popup() as opened:
        again.click()
    second = opened.value
    second.get_by_role("link", name="Sign in with Example").click()
    # The provider still knows the user.
    expect(again).to_have_count(0)
    expect(window.page.get_by_role("button", name=f"Account: {BRIEF}")).to_be_visible()
    assert window.page.evaluate("window.isTheSamePage") is True
    assert second.is_closed() or second.url.startswith(SSO)
