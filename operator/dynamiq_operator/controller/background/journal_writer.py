"""Sends requests to the journal, for background callers. It decides nothing, and keeps no answer."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import aiohttp
import orjson

from dynamiq_operator.controller.background.reader import BackgroundReader, Pauses
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.kube.bodies import body_of
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.kube.trust import trust_of


class JournalWriter(BackgroundReader):
    """A background caller of the journal; without `access` it makes no request."""

    def __init__(
        self,
        requeue: Callable[[AppKey], None],
        slots: tuple[int, int],
        pauses: Pauses,
        access: RecorderAccess | None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(requeue, *slots, pauses, clock)
        self._at_once, self._access = slots[0], access

    async def _send(self, access: RecorderAccess, method: str, path: str, body: object, within: float, most: int) -> bytes:
        """Returns the content of an answer of at most `most` bytes, which came in `within` seconds.

        Raises aiohttp.ClientError, TimeoutError, OSError, and ValueError for any other answer.
        """
        headers = {"Authorization": f"Bearer {access.token_file.read_text().strip()}", "Content-Type": "application/json"}
        url, timeout = f"{access.url}/v1/apps/{path}", aiohttp.ClientTimeout(total=within)
        async with self._opened().request(
            method, url, data=orjson.dumps(body), headers=headers, allow_redirects=False, timeout=timeout
        ) as response:
            content = await body_of(response, most)
            if response.status != 200:
                raise ValueError(f"the journal answers with status {response.status}")
        return content

    def _connector(self) -> aiohttp.TCPConnector:
        trust = trust_of(self._access.url, self._access.ca) if self._access is not None else True
        return aiohttp.TCPConnector(limit=self._at_once, ssl=trust)
