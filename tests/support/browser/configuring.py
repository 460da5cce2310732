"""What the tests of an App's tabs and of workflows begin with: where an App is, what it asks for, and a page by the keyboard alone."""

from __future__ import annotations

from playwright.sync_api import Locator, Page

from dynamiq_operator.model import kinds
from tests.support.api import Manifest
from tests.support.history_stage import HistoryStage

TABS_MOST = 60


def address(stage: HistoryStage, app: str, tab: str = "configuration") -> str:
    """The path of one of the App's tabs."""
    return f"/console/apps/{stage.get(kinds.APP.kind, app)['metadata']['uid']}/{tab}"


def spec(stage: HistoryStage, app: str) -> Manifest:
    found: Manifest = stage.get(kinds.APP.kind, app)["spec"]
    return found


def button(where: Page | Locator, name: str) -> Locator:
    return where.get_by_role("button", name=name, exact=True)


def tab_to(page: Page, target: Locator) -> None:
    """Presses Tab until the focus is on what is meant, as somebody without a mouse does."""
    for _ in range(TABS_MOST):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no Tab comes to {target}")


def press(page: Page, target: Locator, key: str = "Enter") -> None:
    """Goes to a control by Tab, and presses a key there."""
    tab_to(page, target)
    page.keyboard.press(key)
