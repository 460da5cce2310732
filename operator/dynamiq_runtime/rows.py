"""Names the row of an answer, and checks that a hop has arrived where it belongs. Answers have these headers in Apps with conversations."""

from __future__ import annotations

from aiohttp import web

from dynamiq_runtime.errors import HttpError
from dynamiq_runtime.metrics import MISDIRECTED

ROW_HEADER = "X-Dynamiq-Row"
HOP, HOP_ROW = "X-Dynamiq-Hop", "X-Dynamiq-Hop-Row"
"""Headers of a turn that another pod sends here: App and pins that must answer it, and the conversation's row."""
ROW = web.RequestKey("row", int)
"""The row of a call's conversation, if it is known."""
PINS = web.RequestKey("pins", str)
"""The pins of a stored run that answers a call."""
PASSED_ON = web.RequestKey("passed_on", bool)
"""Set where another pod's answer is passed on, with its headers."""


def check_hop(request: web.Request, app_id: str, pins: str | None) -> None:
    """Notes the row of a hop to this pod's App and pins. Raises HttpError 421 for another one: an address may have a new pod."""
    aim = request.headers.get(HOP)
    if aim is None:
        return
    if not app_id or pins is None or aim != f"{app_id}/{pins}":
        raise HttpError(421, MISDIRECTED, "this pod is of another App or version")
    row = request.headers.get(HOP_ROW, "")
    if row.isascii() and row.isdecimal():
        request[ROW] = int(row)


def note_row(request: web.Request, sequence: int | None) -> None:
    """Notes the row of a call's conversation; None if it is unknown."""
    if sequence is None:
        request.pop(ROW, None)
    else:
        request[ROW] = sequence
