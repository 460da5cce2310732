"""Uses a page by the keyboard alone."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.support.waiting import eventually

TABS_MOST = 80


def focused(locator: Locator) -> bool:
    return bool(locator.evaluate("element => element === document.activeElement"))


def painted(page: Page) -> None:
    """Waits for the page's actions after painting: it listens for letters, and gives a first field the focus."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Presses Tab until `target` has the focus. Fails if the keyboard does not reach it."""
    expect(target).to_be_visible()
    painted(page)  # a field that gets the focus by itself has it by then, and does not take it from a later target
    for _ in range(TABS_MOST):
        if focused(target):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{TABS_MOST} times {key} do not lead to {target}")


def press(page: Page, target: Locator, key: str = "Enter") -> None:
    """Moves to a control by Tab, and presses a key there."""
    tab_to(page, target)
    page.keyboard.press(key)


def choose(page: Page, select: Locator, option: str) -> None:
    """Chooses an option of the focused <select> by typing its first letters."""
    tab_to(page, select)

    def chosen() -> bool:
        page.keyboard.type(option)
        return option in select.locator("option:checked").inner_text()

    eventually(f"{option} is chosen by its letters", chosen, every=1.5)  # letters more than a second apart start a new search
