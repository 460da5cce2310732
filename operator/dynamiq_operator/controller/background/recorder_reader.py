"""Calls the recorder's API, for background readers. The recorder may be slow, away, or not ours: an answer counts only within limits of
time and size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import TypeVar

import aiohttp
import msgspec
import orjson

from dynamiq_operator.controller.background.reader import BackgroundReader, Pauses
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.kube.bodies import body_of
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.kube.trust import trust_of

NO_ACCESS = "the operator was told of no recorder, or has no token for it"

T = TypeVar("T")


class RecorderError(Exception):
    """A request without a usable answer. The message is the reason, in words that stay the same.

    `status`: of the answer; 0 for another reason. `is_away`: the recorder did not answer, or accepts nothing from this operator. `is_alone`:
    another request may be answered all the same.
    """

    def __init__(self, message: str, *, status: int = 0, is_away: bool = False, is_alone: bool = False) -> None:
        super().__init__(message)
        self.status, self.is_away, self.is_alone = status, is_away, is_alone


class RecorderReader(BackgroundReader):
    """A background reader that calls the recorder, if it has `access`."""

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

    async def _call(
        self,
        path: str,
        decode: Callable[[bytes], T],
        within: float,
        most: int,
        *,
        params: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        body: object = None,
    ) -> T:
        """Returns a decoded answer of at most `most` bytes, to a POST if there is a body. Raises RecorderError."""
        if self._access is None:
            raise RecorderError(NO_ACCESS)
        method, sent = ("GET", None) if body is None else ("POST", orjson.dumps(body))
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._token(self._access.token_file)}"}
        headers |= {} if body is None else {"Content-Type": "application/json"}
        url, timeout = f"{self._access.url}/v1/apps/{path}", aiohttp.ClientTimeout(total=within)
        try:
            async with self._opened().request(
                method, url, params=params, data=sent, headers=headers, allow_redirects=False, timeout=timeout
            ) as response:
                if (status := response.status) != 200:
                    is_away = status in (401, 403) or status >= 500
                    raise RecorderError(
                        f"the recorder answers with status {status}", status=status, is_away=is_away, is_alone=status >= 500
                    )
                return decode(await body_of(response, most))
        except TimeoutError:
            raise RecorderError(f"the recorder takes longer than {within:g} s", is_away=True, is_alone=True) from None
        except (aiohttp.ClientError, OSError):
            raise RecorderError("the recorder cannot be reached", is_away=True) from None
        except (ValueError, KeyError, TypeError, msgspec.MsgspecError):
            raise RecorderError("what the recorder says cannot be read") from None

    def _token(self, file: Path) -> str:
        try:
            return file.read_text().strip()
        except (OSError, ValueError):
            raise RecorderError("the operator has no token for the recorder", is_away=True) from None

    def _connector(self) -> aiohttp.TCPConnector:
        ssl = trust_of(self._access.url, self._access.ca) if self._access is not None else True
        return aiohttp.TCPConnector(limit=self._at_once, ssl=ssl)
