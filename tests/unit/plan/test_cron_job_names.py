"""App `chat` with trigger `a-b` and App `chat-a` with trigger `b` need one CronJob name: both run, and neither is changed again."""

from __future__ import annotations

import copy

from dynamiq_operator.desired.base import CRON_JOB
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.world import World, a_world
from tests.unit.support.plan_lines import shown

PLAIN = "chat-a-b"
APART = names.trigger_apart("chat", "a-b")
NIGHTLY: Manifest = {"name": "a-b", "schedule": "0 3 * * *"}


def others(**labels: str) -> Manifest:
    """Returns the CronJob of App chat-a's trigger b."""
    marked = names.labels("chat-a") | names.run_selector("chat-a", "b") | labels
    owner = {"apiVersion": "dynamiq.getdynamiq.ai/v1alpha1", "kind": "App", "name": "chat-a", "uid": "uid-of-chat-a"}
    meta = {"name": PLAIN, "namespace": given.NAMESPACE, "labels": marked, "ownerReferences": [owner]}
    return {"apiVersion": CRON_JOB.api_version, "kind": CRON_JOB.kind, "metadata": meta, "spec": {"schedule": "0 1 * * *"}}


def serving(*taken: Manifest) -> World:
    world = a_world(given.with_triggers(NIGHTLY))
    for made in taken:
        world.add(made)
    world.deploy("a", "v1")
    world.run()
    return world


def cron_jobs(world: World) -> list[str]:
    return sorted(name for _, kind, name in world.objects if kind == CRON_JOB.kind)


def test_the_name_is_plain_where_no_other_app_has_it() -> None:
    assert cron_jobs(serving()) == [PLAIN]


def test_the_second_app_gets_another_name_and_the_first_keeps_its_cron_job() -> None:
    taken = others()
    world = serving(taken)
    assert cron_jobs(world) == [PLAIN, APART]
    assert world.child(CRON_JOB.kind, PLAIN)["spec"] == taken["spec"]
    assert world.child(CRON_JOB.kind, APART)["spec"]["schedule"] == NIGHTLY["schedule"]
    assert world.condition("TriggersReady") == ("True", "Scheduled")


def test_it_keeps_that_name_when_the_operator_starts_anew_and_when_the_plain_one_is_free() -> None:
    world = serving(others())
    made = copy.deepcopy(world.child(CRON_JOB.kind, APART))
    world.problems.clear()
    assert shown(world.plan()) == []
    del world.objects[(CRON_JOB.api_version, CRON_JOB.kind, PLAIN)]
    assert shown(world.plan()) == []
    assert world.child(CRON_JOB.kind, APART) == made


def test_a_cron_job_that_is_no_apps_stays_a_condition() -> None:
    world = serving(others(**{names.MANAGED_BY: "helm"}))
    assert cron_jobs(world) == [PLAIN]
    assert world.condition("TriggersReady") == ("False", "NameTaken")


def test_two_pairs_of_one_plain_name_differ_apart_and_the_longest_fits() -> None:
    assert names.trigger("chat", "a-b") == names.trigger("chat-a", "b") == PLAIN
    assert names.trigger_apart("chat-a", "b") != APART
    assert APART.startswith(f"{PLAIN}-")
    assert len(names.trigger_apart("a" * 40, "b" * 20)) <= names.CRON_JOB_MAX
