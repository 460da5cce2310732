"""Writes to a journal's store: the stories of many runs at once, over and over, by one committer. It notes each acknowledged step.

It can be a process of its own, forked from one that has imported all of it, and writes until it is killed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from dynamiq_recorder.journal.committer import Committer
from dynamiq_recorder.journal.store import JournalStore, opened
from dynamiq_recorder.store.results import Unavailable
from tests.support import programs
from tests.support.journal import APP
from tests.support.journal_store import a_new_run
from tests.support.journal_stories import STORIES, a_life

PODS = 8
"""Runs at a time."""
AGAIN = 0.002
"""Seconds until a step that the store could not take is sent again."""


@dataclass
class Writer:
    """Runs on their way through a store. `note`: called with the story, the run's id and the number of each acknowledged step.

    `is_over`: True once no further run is to begin.
    """

    store: JournalStore
    note: Callable[[str, str, int], None]
    is_over: bool = False
    refused: int = 0
    """Steps that the store could not take, and that were sent again."""
    done: int = 0

    async def write(self) -> None:
        committer = Committer(self.store.commit, lambda _: None, lambda _: None)
        await asyncio.gather(*(self._pod(committer, f"{os.getpid():08x}{pod:08x}", pod) for pod in range(PODS)))
        await asyncio.to_thread(committer.close)

    async def _pod(self, committer: Committer, pins: str, first: int) -> None:
        for name in itertools.islice(itertools.cycle(STORIES), first, None):
            if self.is_over:
                return
            life = a_life(a_new_run().id, pins)
            for number, step in enumerate(STORIES[name], 1):
                while True:
                    try:
                        result = await committer.put(APP.namespace, step.operation(life))
                        break
                    except Unavailable:
                        self.refused += 1
                        await asyncio.sleep(AGAIN)
                assert step.is_done(life, result), (name, number, result)
                self.done += 1
                self.note(name, life.id, number)


def note(story: str, run_id: str, step: int) -> None:
    """Writes a line in one piece, so that a kill leaves no half of it."""
    os.write(1, f"{story} {run_id} {step}\n".encode())


def begin(address: str, log: str) -> None:
    """Becomes the writer, in a child. Its notes and errors go to `log`."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(output, stream)
    asyncio.run(Writer(opened(address), note).write())


def forked(address: str, log: Path) -> BaseProcess:
    log.touch()
    process = programs._context().Process(target=begin, args=(address, str(log)), daemon=True)
    process.start()
    return process
