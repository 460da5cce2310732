"""Reads the journal's counts of open background runs, by a long poll. It keeps nothing between two answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import aiohttp
import msgspec

from dynamiq_operator.kube.bodies import body_of
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.kube.trust import trust_of

WAIT = 20
"""Seconds for which the journal may wait for a change before it answers."""
WITHIN = WAIT + 10.0
"""Seconds for one answer."""
BYTES_MAX = 32 << 20
PINS = re.compile("[0-9a-f]{16}")
FAILURES = (aiohttp.ClientError, TimeoutError, OSError, ValueError, msgspec.MsgspecError)
"""The errors of a read: there is no answer, or none that can be used."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with a zone: one without cannot be compared with the time."""


class OpenEntry(msgspec.Struct):
    """The open runs of one set of pins. `due`: when the oldest of the queued ones was accepted. `polled`: True if a pod asked for work lately.

    `questions`: open ones, to persons. `waiting_since`: when the oldest of them was asked.
    `recent_sessions`: conversations with a turn within the App's warmSeconds. `last_turn`: of all of them. `turns_wait`: one waits for a pod.
    `callbacks`: those that are due, and that no pod sends.
    """

    namespace: str
    app: str
    app_uid: str
    pins: str
    queued: int = 0
    running: int = 0
    waiting: int = 0
    held: int = 0
    oldest: Moment | None = None
    due: Moment | None = None
    polled: bool = False
    questions: int = 0
    waiting_since: Moment | None = None
    sessions: int = 0
    recent_sessions: int = 0
    last_turn: Moment | None = None
    turns_wait: bool = False
    callbacks: int = 0


class PlacedApp(msgspec.Struct):
    """An App with sessions. `placement`: the digest of the one that the journal has; None before the first."""

    namespace: str
    app: str
    app_uid: str
    placement: str | None = None


class OpenAnswer(msgspec.Struct):
    """The counts of one version. `apps`: those with sessions, also without a conversation."""

    version: str
    data: list[OpenEntry]
    apps: list[PlacedApp] = []


def journal_session(access: RecorderAccess) -> aiohttp.ClientSession:
    """Returns the HTTP session of a reader. Raises OSError if the certificates cannot be read."""
    connector = aiohttp.TCPConnector(ssl=trust_of(access.url, access.ca))
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


async def read_open(session: aiohttp.ClientSession, access: RecorderAccess, after: str) -> OpenAnswer:
    """Returns the counts once their version differs from `after`, or after WAIT; at once if `after` is empty. Raises one of FAILURES."""
    token = access.token_file.read_text().strip()
    headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
    params = {"after": after, "wait": str(WAIT)} if after else {"wait": "0"}
    timeout = aiohttp.ClientTimeout(total=WITHIN)
    async with session.get(f"{access.url}/v1/open", params=params, headers=headers, allow_redirects=False, timeout=timeout) as response:
        if response.status != 200:
            raise ValueError(f"the journal answers with status {response.status}")
        return msgspec.json.decode(await body_of(response, BYTES_MAX), type=OpenAnswer)


def usable(answer: OpenAnswer) -> Iterator[OpenEntry]:
    """Yields the entries with open runs. Others, and those whose pins no operator wrote, decide nothing."""
    for each in answer.data:
        counts = (each.queued, each.running, each.waiting, each.held)
        if PINS.fullmatch(each.pins) and min(counts) >= 0 and sum(counts) > 0:
            yield each


def with_sessions(answer: OpenAnswer) -> Iterator[OpenEntry]:
    """Yields the entries with conversations, or with a turn that waits for a pod."""
    for each in answer.data:
        if PINS.fullmatch(each.pins) and each.recent_sessions >= 0 and (each.sessions > 0 or each.turns_wait):
            yield each


def with_callbacks(answer: OpenAnswer) -> Iterator[OpenEntry]:
    """Yields the entries with callbacks that no pod sends."""
    return (each for each in answer.data if PINS.fullmatch(each.pins) and each.callbacks > 0)
