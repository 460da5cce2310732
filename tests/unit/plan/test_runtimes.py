"""Tests what pods report of the features of their runtime: read once for an image, kept in the status of the App, and compared in previews."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dynamiq_operator.model.app_status import AppStatus, RuntimeReport
from dynamiq_operator.model.guards import RowOf
from dynamiq_operator.plan.background.readings import due
from dynamiq_operator.plan.observed.activity import Activity
from dynamiq_operator.views.features import lost_features
from tests.support.world import World, a_world

CAN = ("files", "run_events")


def live() -> World:
    world = a_world()
    world.deploy("a", "v1")
    world.run()
    return world


def reported(world: World, *capabilities: str) -> None:
    """Makes each pod report these features."""
    world.activity |= {pod["metadata"]["uid"]: Activity(world.now, 1.0, 1.0, 0, False, capabilities=capabilities) for pod in world.pods}


def test_one_pod_of_an_image_is_read_once() -> None:
    world = live()
    (pod,) = due(world.snapshot(), world.app)
    assert pod in {each["metadata"]["uid"] for each in world.pods}
    reported(world, *CAN)
    world.settle()
    (report,) = world.app.status.runtimes
    assert report.capabilities == CAN
    assert report.image == world.pods[0]["spec"]["containers"][0]["image"]
    world.activity.clear()
    assert due(world.snapshot(), world.app) == {}
    assert world.plan().operations == ()


def test_a_runtime_from_before_the_list_is_known_to_have_none() -> None:
    world = live()
    reported(world)
    world.settle()
    assert [each.capabilities for each in world.app.status.runtimes] == [()]


def test_a_silent_pod_is_not_read_for_its_features_again() -> None:
    world = live()
    world.silent = {pod["metadata"]["uid"] for pod in world.pods}
    assert due(world.snapshot(), world.app) == {}


def test_pods_of_one_image_that_differ_change_nothing() -> None:
    world = live()
    reported(world, *CAN)
    world.settle()
    world.scale(2)
    world.run()
    reported(world, "files")
    uid = world.pods[0]["metadata"]["uid"]
    world.activity[uid] = replace(world.activity[uid], capabilities=CAN)
    world.settle()
    assert [each.capabilities for each in world.app.status.runtimes] == [CAN]


@pytest.mark.parametrize(
    ("known", "restores", "sentence"),
    [
        ({"new": CAN, "old": ()}, False, "runtime 0.9.0 is older than the live one, and does not serve: files with a run, run events"),
        ({"new": CAN, "old": ("files",)}, False, "runtime 0.9.0 is older than the live one, and does not serve: run events"),
        ({"new": CAN, "old": (*CAN, "later")}, True, None),
        ({"new": CAN}, False, None),
        ({"new": CAN}, True, "it is unknown if runtime 0.9.0 serves what callers use now: no pod of it reported to this operator"),
        ({"old": CAN}, True, None),
    ],
)
def test_a_preview_tells_what_callers_lose(known: dict[str, tuple[str, ...]], restores: bool, sentence: str | None) -> None:
    status = AppStatus(runtimes=tuple(RuntimeReport(image=image, capabilities=can) for image, can in known.items()))
    row_of = live().snapshot().rows.observed[0]
    pinned = row_of.pinned
    assert pinned is not None
    now = pinned.model_copy(update={"runtime": pinned.runtime.model_copy(update={"image": "new", "version": "1.0.0"})})
    row = RowOf.model_construct(row="a", sequence=1) if restores else None
    then = pinned.model_copy(update={"runtime": pinned.runtime.model_copy(update={"image": "old", "version": "0.9.0"}), "restores": row})
    assert lost_features(status, now, then) == ((sentence,) if sentence else ())
