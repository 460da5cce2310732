"""Does all that people do with an App in the console, step after step, by mouse or by the keyboard alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from playwright.sync_api import Locator, Page, expect

from tests.support.browser import keys
from tests.support.browser.deploying import dialog, rolled_out
from tests.support.browser.histories import row

Way = Literal["mouse", "keys"]
LIVE_WITHIN = 240_000
"""Milliseconds until pods that have to start are ready."""


@dataclass(frozen=True)
class Reader:
    """A person at a page of an App. `path`: the App's own, below the origin."""

    page: Page
    origin: str
    path: str
    way: Way

    def press(self, target: Locator) -> None:
        if self.way == "mouse":
            target.click()
        else:
            expect(target).to_be_enabled()
            keys.press(self.page, target)

    def tick(self, target: Locator) -> None:
        if self.way == "mouse":
            target.check()
        else:
            keys.press(self.page, target, "Space")

    def choose(self, target: Locator, option: str) -> None:
        if self.way == "mouse":
            target.select_option(label=target.locator("option", has_text=option).first.inner_text())
        else:
            keys.choose(self.page, target, option)

    def write(self, target: Locator, text: str) -> None:
        if self.way == "mouse":
            target.fill(text)
        else:
            keys.tab_to(self.page, target)
            self.page.keyboard.press("ControlOrMeta+a")
            self.page.keyboard.type(text)

    def goto(self, more: str = "") -> Page:
        self.page.goto(f"{self.origin}{self.path}{more}")
        return self.page

    # The steps.

    def deploy(self, version: str, message: str) -> None:
        page = self.goto()
        self.press(page.get_by_role("link", name="Deploy", exact=True))
        panel = dialog(page, "Deploy")
        self.choose(panel.get_by_label("Source version"), version)
        self.write(panel.get_by_label("Message"), message)
        preview = panel.get_by_role("region", name="Preview")
        expect(preview.get_by_role("definition").first).to_contain_text(version)
        expect(preview).to_have_attribute("aria-busy", "false")
        self.press(panel.get_by_role("button", name=f"Deploy {version}"))
        self.follow(version)

    def roll_back(self, version: str) -> None:
        """Rolls back with two actions: the row's own in the history, and the button that names both versions."""
        page = self.goto("/history")
        self.press(page.get_by_role("link", name=f"Roll back to {version}").first)
        self.press(dialog(page, "Roll back").get_by_role("button", name=re.compile(rf"^Roll back to {version} \(#\d+\)")))
        self.follow(version)

    def follow(self, version: str) -> None:
        """Watches the rollout until it is over."""
        rolled_out(self.page)
        expect(self.page.get_by_text(f"{version} serves", exact=True).first).to_be_visible(timeout=LIVE_WITHIN)

    def compare(self, first: int, second: int) -> None:
        page = self.goto("/history")
        for sequence in (first, second):
            self.tick(row(page, sequence).get_by_role("checkbox"))
        self.press(page.get_by_role("link", name="Compare", exact=True))
        expect(page.get_by_role("row", name=re.compile(r"^Version \(differs\)"))).to_be_visible()
        expect(page.get_by_role("region", name="Flow: what changes")).to_be_visible()

    def verify(self) -> None:
        page = self.goto("/history")
        self.press(page.get_by_role("button", name="Verify", exact=True))
        expect(page.get_by_role("region", name="Verify")).to_contain_text(re.compile(r"\d+ rows fit"))

    def make_and_revoke_a_key(self, name: str) -> None:
        page = self.goto("/configuration")
        panel, opened = page.get_by_role("region", name="Access Keys"), page.get_by_role("dialog")
        self.press(panel.get_by_role("button", name="Create a key"))
        self.write(opened.get_by_label("Name"), name)
        self.press(opened.get_by_role("button", name="Create the key"))
        self.tick(opened.get_by_label("I have stored it"))
        self.press(opened.get_by_role("button", name="Done"))
        self.press(panel.get_by_role("button", name=f"Revoke {name}"))
        self.press(opened.get_by_role("button", name=f"Revoke {name}"))
        expect(panel.get_by_role("row", name=re.compile(f"^{name}"))).to_have_count(0)

    def promote(self, version: str) -> None:
        page = self.goto()
        self.press(page.get_by_role("link", name="Promote deployment", exact=True))
        panel = dialog(page, "Promote deployment")
        expect(panel.get_by_label("Environment").locator("option:checked")).to_have_text("Production")
        if (hostname := panel.get_by_label("Hostname")).count():
            self.write(hostname, f"promoted-by-{self.way}.example.com")
        self.press(panel.get_by_role("button", name="Promote deployment"))
        self.follow(version)
