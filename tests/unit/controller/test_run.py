"""The end of kopf does not end the tasks beside it."""

from __future__ import annotations

import asyncio
from typing import Any

import kopf

from dynamiq_operator.controller.watching.watch_loop import TasksNotOfKopf
from tests.support.waiting import IN_TIME


async def test_kopf_takes_no_task_of_ours_for_its_own() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    registry, stop = kopf.OperatorRegistry(), asyncio.Event()

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server="http://127.0.0.1:1")  # nobody answers: kopf goes on trying

    kopfs = await kopf.spawn_tasks(registry=registry, standalone=True, clusterwide=True, stop_flag=stop)
    ours = asyncio.create_task(work())
    ending = asyncio.create_task(kopf.run_tasks(kopfs, ignored=TasksNotOfKopf()))
    stop.set()
    await asyncio.wait_for(ending, IN_TIME)
    assert not ours.done()
    assert all(task.done() for task in kopfs)
    ours.cancel()
