"""The operator's metrics: each event is counted once where it was done, and figures that another replica reports are left out."""

from __future__ import annotations

import asyncio
import re

from dynamiq_operator.controller.telemetry.live_rows import LiveRows
from dynamiq_operator.controller.workqueue import WorkQueue
from dynamiq_operator.desired.base import owner
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Row
from dynamiq_operator.model.row import Outcome, Result
from dynamiq_operator.plan import operations
from tests.support import factories as given
from tests.support.controller import Process, at, execute, stored
from tests.support.scripted import Script, failure
from tests.support.waiting import IN_TIME

APP = (given.NAMESPACE, given.NAME)
ROW = at(ROWS, "a")


def sample(process: Process, name: str, **labels: str) -> float | None:
    return process.metrics.registry.get_sample_value(name, labels)


def ending(result: Result, at: str = "2026-01-01T00:05:00Z") -> operations.EndRow:
    row = Row.of(stored(given.row_manifest("a", given.progressing(3))))
    assert row.pinned is not None
    began = row.pinned.model_copy(update={"created_at": "2026-01-01T00:04:00Z"})
    row = Row(row.meta, row.spec.model_copy(update={"pinned": began}), row.status, row.raw_spec)
    return operations.EndRow(row, Outcome(result=result, reason="", at=at, digest=given.UNSEALED))


async def test_a_deploy_is_counted_once_its_outcome_is_written_and_not_before(process: Process, script: Script) -> None:
    assert sample(process, "dynamiq_deploys_total", result="Failed") == 0, "an alert on an increase needs the series from the start"
    script.on("PATCH", ROW, failure(409, "Conflict"), stored(given.row_manifest("a", given.failed(3)), 9))
    await process.lead()
    plan = operations.Plan((operations.Group("all", (ending(Result.FAILED),)),))
    assert await process.executor.execute(APP, plan)
    assert sample(process, "dynamiq_deploys_total", result="Failed") == 0
    assert not await process.executor.execute(APP, plan)
    assert sample(process, "dynamiq_deploys_total", result="Failed") == 1
    assert sample(process, "dynamiq_deploy_duration_seconds_sum", result="Failed") == 60


async def test_a_row_that_takes_a_version_back_is_a_revert_and_one_of_git_is_none(process: Process, script: Script) -> None:
    revert = names.revert_row(given.NAME, "a")
    script.on("POST", at(ROWS), stored(given.row_manifest("b")), stored(given.row_manifest(revert)), failure(409, "AlreadyExists"))
    script.on("GET", at(ROWS, revert), stored(given.row_manifest(revert)))
    app = given.an_app()
    declared = operations.CreateRow(app, "b", {"workflowVersion": "v2"}, "anna")
    taken_back = operations.CreateRow(app, revert, {"restores": "a"}, "operator")
    await execute(process, APP, declared, taken_back, taken_back)
    assert sample(process, "dynamiq_reverts_total") == 1, "a repeat that meets its own row makes none"


async def test_a_row_past_the_rules_is_counted_once_it_is_pinned(process: Process, script: Script) -> None:
    owned = given.with_meta(ownerReferences=[owner(given.an_app())])
    row = given.a_row("a", given.with_spec(bypass={"reason": "night"}), owned)
    live = given.a_row("a", given.live(3, "v1"))
    script.on("PATCH", ROW, failure(409, "Conflict"), stored(given.row_manifest("a", given.live(3, "v1")), 9))
    await process.lead()
    complete = operations.CompleteRow(given.an_app(), row, 3, live.pinned)
    plan = operations.Plan((operations.Group("all", (complete,)),))
    await process.executor.execute(APP, plan)
    assert sample(process, "dynamiq_bypasses_total") == 0, "its write was refused"
    await process.executor.execute(APP, plan)
    assert sample(process, "dynamiq_bypasses_total") == 1


async def test_a_reconcile_is_timed_and_its_error_has_the_name_of_the_api_servers(process: Process, script: Script) -> None:
    process.cache.update(APPS, given.stored(given.app_manifest()))
    script.on("GET", at(APPS, given.NAME), failure(503, "ServiceUnavailable"))
    await process.lead()
    process.queue.add(APP)
    await process.reconciler.process(await asyncio.wait_for(process.queue.get(), IN_TIME))
    assert sample(process, "dynamiq_reconcile_duration_seconds_count") == 1
    assert all(re.match(r"([A-Z][a-z]*|1)\b.*[.]$", family.documentation) for family in process.metrics.registry.collect())
    errors = {
        each.labels["reason"]: each.value
        for family in process.metrics.registry.collect()
        for each in family.samples
        if each.name == "dynamiq_reconcile_errors_total"
    }
    assert {reason for reason, value in errors.items() if value == 0} >= {"Denied", "Invalid", "InternalError"}
    assert {reason: value for reason, value in errors.items() if value} == {"Unavailable": 1}


async def test_each_app_has_one_series_of_what_it_serves_while_this_replica_leads(process: Process) -> None:
    process.metrics.registry.register(LiveRows(process.cache, lambda: process.election.leads))
    row = given.row_manifest("a", given.live(3, "v2"))
    served = {"row": "a", "sequence": 3, "workflowVersion": "v2", "runtime": "1"}
    process.cache.update(ROWS, given.stored(row))
    app = given.stored(given.app_manifest(given.with_status(live=served)))
    process.cache.update(APPS, app)
    process.cache.update(APPS, given.stored(given.app_manifest(name="empty")))
    pinned = Row.of(given.stored(row)).pinned
    assert pinned is not None
    of_app = {"namespace": APP[0], "app": APP[1], "workflow_version": "v2", "sequence": "3", "pins": Pins.of(pinned).digest}

    def series() -> list[dict[str, str]]:
        (family,) = (each for each in process.metrics.registry.collect() if each.name == "dynamiq_app_live_row")
        assert all(each.value == 1 for each in family.samples)
        return [each.labels for each in family.samples]

    assert (series(), sample(process, "dynamiq_leader")) == ([], 0), "a replica that follows would say all of it a second time"
    await process.lead()
    assert (series(), sample(process, "dynamiq_leader")) == ([of_app], 1)
    process.cache.delete(APPS, app)
    assert series() == [], "of an App that is gone nothing is left"
    process.clock.later(11)
    assert sample(process, "dynamiq_leader") == 0, "it did not renew its lease"


async def test_series_of_an_app_follows_its_status_and_has_the_pins_of_a_row_that_is_listed_after_it(process: Process) -> None:
    process.metrics.registry.register(LiveRows(process.cache, lambda: True))

    def serve(row: str, sequence: int, version: int) -> None:
        live = {"row": row, "sequence": sequence, "workflowVersion": f"v{sequence}", "runtime": "1"}
        app = given.stored(given.app_manifest(given.with_status(live=live)))
        app["metadata"]["resourceVersion"] = str(version)
        process.cache.update(APPS, app)

    def series() -> tuple[str, bool]:
        (family,) = (each for each in process.metrics.registry.collect() if each.name == "dynamiq_app_live_row")
        (labels,) = (each.labels for each in family.samples)
        return labels["sequence"], bool(labels["pins"])

    serve("a", 3, 10)
    assert series() == ("3", False)
    process.cache.update(ROWS, given.stored(given.row_manifest("a", given.live(3, "v3"))))
    assert series() == ("3", True)
    process.cache.update(ROWS, given.stored(given.row_manifest("b", given.live(4, "v4"))))
    serve("b", 4, 11)
    assert series() == ("4", True)


async def test_a_queued_key_is_counted_once_and_aged_from_its_first_change() -> None:
    queue = WorkQueue[str]()
    assert (queue.depth, queue.oldest) == (0, 0)
    queue.add_low(["a", "b"])
    queue.add("a")
    queue.add_after("c", 3600)
    assert queue.depth == 2, "c does not wait yet"
    await asyncio.sleep(0.05)  # the time that is measured
    assert 0.05 <= queue.oldest < 240
    first, _ = await queue.get(), await queue.get()
    assert (queue.depth, queue.oldest) == (0, 0), "what is processed does not wait"
    queue.add(first)
    await asyncio.sleep(0.05)
    assert queue.depth == 1
    assert queue.oldest >= 0.05, "a key that changed while a reconcile of it hangs waits, too"
    queue.done(first)
    assert queue.oldest >= 0.05
