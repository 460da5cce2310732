"""Helpers of the tests of an App's tabs and of workflows: addresses of Apps, their specs, and buttons by name."""

from __future__ import annotations

from playwright.sync_api import Locator, Page

from dynamiq_operator.model import kinds
from tests.support.api import Manifest
from tests.support.history_stage import HistoryStage


def address(stage: HistoryStage, app: str, tab: str = "configuration") -> str:
    """Returns the path of one of the App's tabs."""
    return f"/console/apps/{stage.get(kinds.APP.kind, app)['metadata']['uid']}/{tab}"


def spec(stage: HistoryStage, app: str) -> Manifest:
    found: Manifest = stage.get(kinds.APP.kind, app)["spec"]
    return found


def button(where: Page | Locator, name: str) -> Locator:
    return where.get_by_role("button", name=name, exact=True)
