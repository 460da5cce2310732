"""Makes worlds with triggers, and reads the runs in their Apps' status."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from dynamiq_operator.desired.base import CRON_JOB, JOB
from dynamiq_operator.model.objects import Manifest, format_time
from tests.support import factories as given
from tests.support.world import World, serving

NIGHTLY: Manifest = {"name": "nightly", "schedule": "0 3 * * *"}
CRON = "chat-nightly"
HOUR = 3600


def at(seconds: float) -> str:
    """Returns a time of a trigger, `seconds` after the start of worlds."""
    return format_time(given.NOW + timedelta(seconds=seconds))


def triggering(*triggers: Manifest) -> World:
    """Returns a world at rest in which v1 is live."""
    return serving("v1", given.with_triggers(*triggers))


def change(world: World, *triggers: Manifest) -> None:
    """Replaces the App's triggers as its owner."""
    app = world.objects[("dynamiq.getdynamiq.ai/v1alpha1", "App", given.NAME)]
    app["spec"]["triggers"] = list(triggers)
    world.edited(app)


def cron_jobs(world: World) -> list[str]:
    return sorted(name for _, kind, name in world.objects if kind == CRON_JOB.kind)


def jobs(world: World) -> list[str]:
    return sorted(name for _, kind, name in world.objects if kind == JOB.kind)


def told(world: World) -> list[tuple[str, str, str | None, str | None]]:
    """Returns trigger, outcome, message and version of each run in the App's status, newest first."""
    return [(run.trigger, run.outcome.value, run.message, run.workflow_version) for run in world.app.status.triggers]


def said(world: World) -> list[tuple[str, str]]:
    return [(reason, message) for _, reason, message in world.events.values() if reason.startswith("Trigger")]


def container(world: World) -> Any:
    return world.child(CRON_JOB.kind, CRON)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
