"""Draws pictures of every screen, dark, light and on a phone: `make console-pictures` draws docs/images, a usual run one look of each.

Nothing compares the pictures: the tests assert that each screen shows its content, and no failure.
"""

from __future__ import annotations

import math
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from local.clusters import Cluster
from tests.console.conftest import PageAs
from tests.console.support import portrait, runs
from tests.console.support.portrait import Portrait
from tests.support.browser.pages import Windows, settled
from tests.support.browser.served import Served, User
from tests.support.cluster import REPOSITORY

pytestmark = pytest.mark.long(
    "an operator and a project of its own for docs/images; each screen is laid out in tests/console/test_states.py"
)

TO = os.environ.get("PICTURES", "")
"""The folder of all pictures, in the repository; empty in a usual run, which draws a third of them."""

FOLDER = REPOSITORY / (TO or "build/tests/console/pictures")
WIDE = {"width": 1440, "height": 860}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": WIDE},
    "dark": {"color_scheme": "dark", "viewport": WIDE},
    "narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
}
BELOW = 16  # pixels between the end of a picture and what it shows last
SHOWN: dict[str, tuple[str, str]] = {
    "sign-in": ("Sign in", "Token"),
    "deployments": ("Deployments", "Frequent questions"),
    "overview": ("Live: v2", "Call it"),
    "history": ("Deployment history", "More callers are coming on Monday"),
    "row": ("v2 (#6) of Customer support", "More callers are coming on Monday"),
    "roll-back": ("Roll back", "Roll back to v1 (#1)"),
    "compare": ("Compare", "we will answer"),
    "rollout": ("Rollout of v2", "Pods"),
    "deploy": ("Deploy", "refund"),
    "promote": ("Promote deployment", "App support will be made in"),
    "runs": ("Runs", "Succeeded"),
    "run": ("Run ", "summarize"),
    "sessions": ("Sessions", "The same for invoice 2026-1192, please"),
    "session": ("Session", "Invoice 2026-1187 was sent on 2 November"),
    "monitoring": ("Monitoring", "Did the deploy make it worse?"),
    "configuration": ("Access Keys", "mobile-app"),
    "triggers": ("Triggers", "none"),
    "waiting": ("Deployment history", "0 of 1 approval"),
    "review": ("Review v3 (#2)", "refund"),
    "workflows": ("Workflows", "Answers customers' questions"),
    "workflow-version": ("support v3", "refund"),
    "question": ("Waiting for a person", "Refund 120 EUR to Lena Fischer?"),  # the last: its run would be in the other pictures, too
}
"""The content of each screen: its heading, and a text of its purpose."""


@pytest.fixture(scope="module")
def project(console: Served, cluster: Cluster, users: dict[str, User], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portrait]:
    ending = "" if TO else f"-{uuid.uuid4().hex[:6]}"
    with portrait.painted(cluster, tmp_path_factory.mktemp("portrait"), ending) as made:
        users["anna"] = made.user
        yield made


def drawn(look: str) -> list[str]:
    """Returns the screens of this look: all of them, or in a usual run every third, so that each screen is drawn once."""
    number = list(LOOKS).index(look)
    return [screen for place, screen in enumerate(SHOWN) if TO or place % len(LOOKS) == number]


@pytest.mark.parametrize("look", LOOKS)
def test_every_screen_shows_what_it_is_for(look: str, project: Portrait, page_as: PageAs, windows: Windows) -> None:
    assert SHOWN.keys() == project.screens.keys()
    signed_in = page_as("anna", "/console/", **LOOKS[look])
    runs.given(signed_in.page, project.recorded)
    for screen in drawn(look):
        window = windows.open(**LOOKS[look]) if screen == "sign-in" else signed_in
        if screen == "monitoring":
            runs.dated(window.page, project.recorded)
        if screen == "question":
            runs.asking(window.page, project.recorded)
        if screen in ("sessions", "session"):
            runs.conversing(window.page, project.recorded)
        page = window.goto(project.screens[screen])
        if screen == "question":
            page.get_by_role("button", name="Answer… refund").click()
            page.get_by_label("Reason").fill("The bank has both payments")
        if screen == "deploy":
            page.get_by_label("Source version").select_option(label="v3 · Refunds are a matter of billing, too")
        if screen == "promote":
            page.get_by_label("Hostname").fill("answers.example.com")
        shows(page, *SHOWN[screen])
        last = page.get_by_role("region", name="Background runs", exact=True) if screen == "question" else None
        draw(page, FOLDER / f"{screen}-{look}.png", last)


def shows(page: Page, heading: str, text: str) -> None:
    """Waits until the page, or the dialog over it, shows both texts, and asserts that it shows no failure."""
    top = on_top(page)
    expect(top.get_by_role("heading", name=re.compile(f"^{re.escape(heading)}")).first).to_be_visible()
    expect(top.get_by_text(text).filter(visible=True).first).to_be_visible()
    settled(page)
    expect(page.get_by_role("status", name="Loading")).to_have_count(0)
    expect(page.get_by_role("alert")).to_have_count(0)


def on_top(page: Page) -> Locator:
    dialog = page.get_by_role("dialog")
    if re.search(r"/(deploy|promote|roll-back|review)$|/(history|runs)/|\?session=", page.url):
        expect(dialog).to_be_visible()
        return dialog
    return page.locator("body")


def draw(page: Page, to: Path, last: Locator | None = None) -> None:
    """Writes a picture of the whole page, or of it down to `last`, without the caret and animations.

    Dialogs and endless lists are cut at the window.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    if last is not None:
        page.mouse.move(0, 0)
        page.evaluate("scrollTo(0, 0)")
        box, size = last.bounding_box(), page.viewport_size
        assert box is not None
        assert size is not None
        page.set_viewport_size({"width": size["width"], "height": math.ceil(box["y"] + box["height"]) + BELOW})
    page.screenshot(path=to, full_page=not page.get_by_role("dialog").or_(runs.table(page)).count(), animations="disabled")
