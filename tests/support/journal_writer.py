"""Writes to a journal's store until it is killed, in a process that is forked from one that has imported all of it.

It notes a line for each operation once that is acknowledged: its kind, the run's id, and the number of the save.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

from dynamiq_recorder.journal import operations
from dynamiq_recorder.journal.committer import Committer
from dynamiq_recorder.journal.model import Limits, Save
from dynamiq_recorder.journal.store import opened
from tests.support import programs
from tests.support.journal import APP
from tests.support.journal_store import a_new_run, a_save, an_end

PODS, SAVES = 8, 4
"""Runs at a time, and the saves of each before its end. A save has this many events and parts:"""
EVENTS = 2


async def write(address: str) -> None:
    committer = Committer(opened(address).commit, lambda _: None, lambda _: None)
    limits = Limits(of_app=10**9, of_key=10**9, of_namespace=1 << 50)

    async def pod() -> None:
        for _ in itertools.count():
            new = a_new_run(input=b'{"text":"%s"}' % (b"long " * 1000))
            await committer.put(APP.namespace, partial(operations.accept, place=APP, new=new, limits=limits, claims=True))
            print("accepted", new.id, 0, flush=True)
            for number in range(1, SAVES + 1):
                await save(a_save(new.id, 1, number, parts={f"n{number}": bytes(2000)}, events=EVENTS), "saved")
            await save(a_save(new.id, 1, SAVES + 1, end=an_end(record=bytes(500))), "ended")

    async def save(one: Save, kind: str) -> None:
        (result,) = await committer.put(APP.namespace, partial(operations.save, place=APP, saves=[one]))
        assert result.ok
        print(kind, one.id, one.number, flush=True)

    await asyncio.gather(*(pod() for _ in range(PODS)))


def begin(address: str, log: str) -> None:
    """Becomes the writer, in a child. Its notes and errors go to `log`."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(output, stream)
    asyncio.run(write(address))


def forked(address: str, log: Path) -> BaseProcess:
    log.touch()
    process = programs._context().Process(target=begin, args=(address, str(log)), daemon=True)
    process.start()
    return process
