"""Answers that never come back to a page, though what it asked was done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Page


@contextlib.contextmanager
def answers_lost(page: Page, addresses: str) -> Iterator[None]:
    """What the page asks of these addresses comes to the API and is done; of the answers none comes back."""
    session = page.context.new_cdp_session(page)

    def lose(event: dict[str, Any]) -> None:
        session.send("Fetch.failRequest", {"requestId": event["requestId"], "errorReason": "ConnectionReset"})

    session.on("Fetch.requestPaused", lose)
    session.send("Fetch.enable", {"patterns": [{"urlPattern": addresses, "requestStage": "Response"}]})
    yield
    session.send("Fetch.disable")
    session.detach()
