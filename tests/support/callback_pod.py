"""Delivers callbacks as a pod does, in a process that may be killed at any moment, by a journal whose time is faster."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from dynamiq_runtime.activity import Activity
from dynamiq_runtime.callbacks import AT_ONCE, Callbacks, SigningKey
from dynamiq_runtime.journal import Journal, JournalAwayError
from dynamiq_runtime.posting import Poster
from dynamiq_runtime.recorder_client import Recorder
from tests.support import programs
from tests.support.callbacks import KEY
from tests.support.journal import APP, POD

POLL = 0.5
"""Seconds of a long poll."""


class FastJournal(Journal):
    """A journal whose seconds are shorter. `pace`: how many of them pass in one."""

    def __init__(self, address: Recorder, app_id: str, pace: float) -> None:
        super().__init__(address, app_id)
        self._pace = pace

    async def callback_claims(self, free: int) -> tuple[list[dict[str, Any]], float | None]:
        claims, left = await super().callback_claims(free)
        return claims, None if left is None else left / self._pace

    def _tell(self, *answers: Mapping[str, Any]) -> None:
        for each in answers:
            seconds = each.get("callbacks_seconds")
            super()._tell({**each, "callbacks_seconds": None if seconds is None else seconds / self._pace})


def started(folder: Path, url: str, authority: Path, pace: float) -> BaseProcess:
    """Starts a pod. `authority`: of its receivers."""
    for name, text in (("token", POD), ("key", KEY)):
        if not (folder / name).exists():  # pods that run read them all the time
            (folder / name).write_text(text)
    process = programs._context().Process(target=_deliver, args=(str(folder), url, str(authority), pace), daemon=True)
    process.start()
    return process


def _deliver(folder: str, url: str, authority: str, pace: float) -> None:
    os.environ["SSL_CERT_FILE"] = authority
    asyncio.run(_serve(lambda: FastJournal(Recorder(url, Path(folder) / "token", None), APP.app_uid, pace), Path(folder) / "key"))


async def _serve(made: Callable[[], Journal], key: Path) -> None:
    journal = made()
    Callbacks(journal, SigningKey(key), Poster(AT_ONCE), Activity()).begin()
    while True:
        try:
            await journal.claims(free=1, held=0, wait=POLL)
        except JournalAwayError:
            await asyncio.sleep(POLL)
