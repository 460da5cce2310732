"""Sessions of an App and callbacks of its background runs, with texts of strangers: they are read, magnified, and used by keyboard."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, Route, expect

from tests.console.conftest import PageAs
from tests.console.support.reading import cut, magnified
from tests.console.support.runs import CONVERSATIONS, MESSAGES, SESSIONS
from tests.support.browser import answers
from tests.support.browser.answers import OPEN_RUN, Everything, answered, example
from tests.support.browser.pages import Window, axe

MARKUP = '<img src=x onerror="document.title=1"><a href="https://elsewhere.example.net">here</a>'
NAMED = f"../..?a=b#{MARKUP} {'x' * 200}"
"""A session as a stranger may name it."""

SEND = f"{OPEN_RUN}/callbacks"
ENDED = {"status": "completed", "state": "completed", "ended_at": "2026-11-24T22:31:05.204000Z"}


def opened(page_as: PageAs) -> tuple[Window, str]:
    """Returns a window that has prepared answers to every call, and the path of an App."""
    window = page_as("deployer", None)
    everything = Everything(lambda text: text)
    everything.given_to(window.page)
    return window, f"/console/apps/{everything.ids['app']}"


def readable(page: Page) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in (1280, 320):
            with magnified(page, width):
                assert cut(page) == []
                assert axe(page) == []
    page.emulate_media(color_scheme="light")


def test_a_session_is_read_by_keyboard_and_its_texts_stay_texts(page_as: PageAs) -> None:
    window, app = opened(page_as)
    page = window.page
    sessions, messages = example("GET", SESSIONS), example("GET", MESSAGES)
    sessions["data"][0] |= {"id": NAMED, "session_id": NAMED, "input": {"question": f"{MARKUP} {'long ' * 400}"}}
    messages["data"][0] |= {"input": {"question": MARKUP}, "output": {"answer": f"{MARKUP} {'y' * 400}"}}
    answered(page, "GET", SESSIONS, 200, sessions)
    answered(page, "GET", MESSAGES, 200, messages)
    window.goto(f"{app}/sessions")
    table = page.get_by_role("table", name="Sessions")
    link = table.get_by_role("link")
    expect(link).to_have_text(NAMED)
    expect(table.get_by_role("cell").last).to_contain_text("onerror=")
    readable(page)

    link.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Session")
    turn = dialog.get_by_role("listitem")
    expect(turn).to_contain_text("v2 #2")
    expect(dialog.get_by_role("region", name="Input of turn 1")).to_have_text(MARKUP)
    expect(dialog.get_by_role("link")).to_have_text(["Trace of turn 1", "Its runs"])
    expect(dialog.locator("img")).to_have_count(0)
    readable(page)
    page.reload()
    expect(turn).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert page.title() != "1"


def test_conversations_by_row_are_in_the_history_and_in_monitoring(page_as: PageAs) -> None:
    window, app = opened(page_as)
    page = window.page
    window.goto(f"{app}/history")
    count = example("GET", CONVERSATIONS)["data"][0]["sessions"]
    expect(page.get_by_role("row").get_by_text(re.compile(f"^{count} conversations"))).to_have_count(1)
    window.goto(f"{app}/monitoring")
    panel = page.get_by_role("region", name="Conversations", exact=True)
    expect(panel.get_by_role("link")).to_have_text("v2 #2")
    readable(page)


def test_a_callback_is_sent_again_after_a_question(page_as: PageAs) -> None:
    window, app = opened(page_as)
    page = window.page
    error = f"unreachable; the App's network.egress may not allow it {MARKUP}"
    failed = {"n": 0, "host": "hooks.example.com", "state": "failed", "tries": 3, "status": None, "error": error}
    run: dict[str, Any] = example("GET", OPEN_RUN)["data"] | ENDED | {"callbacks": [failed | {"last_at": None, "next_at": None}]}
    sent = []

    def send(route: Route) -> None:
        sent.append(route.request.post_data_json)
        run["callbacks"][0] |= {"state": "delivered", "tries": 4, "status": 204, "error": None}
        route.fulfill(json=answers.checked("POST", SEND, 200, {"data": run}))

    page.route(re.compile(rf"/runs/{run['id']}$"), lambda route: route.fulfill(json=answers.checked("GET", OPEN_RUN, 200, {"data": run})))
    page.route(re.compile(rf"/runs/{run['id']}/callbacks$"), send)
    window.goto(f"{app}/runs/{run['id']}?open=true")
    panel: Locator = page.get_by_role("region", name="Callbacks")
    expect(panel).to_contain_text(error)
    expect(panel.locator("img, a")).to_have_count(0)
    readable(page)
    panel.get_by_role("button", name="Send again… to hooks.example.com").press("Enter")
    assert sent == []
    panel.get_by_role("button", name="Send it again").press("Enter")
    expect(panel).to_contain_text("HTTP 204")
    expect(panel).to_contain_text("Delivered")
    assert sent == [{"n": 0}]
    assert page.evaluate("document.activeElement !== document.body")
