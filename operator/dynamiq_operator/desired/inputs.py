"""What makers of children take: all that decides what a child is to be, and nothing of what it is now, but for the workload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from dynamiq_operator.model.app import Trigger
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.record import Autoscaling, Pinned
from dynamiq_operator.model.settings import Settings


class TemplateChoice(Enum):
    """Which pod template the workload is to have."""

    PINNED = "that of the pins"
    APPLIED = "the one that was applied last, though the App wants other variables or another access by now"
    OBSERVED = "the observed one, untouched, or none: a new one could not start, or must not"


@dataclass(frozen=True)
class Inputs:
    """Of an App that is to run `pinned`, the pins of `row`; without pins, of an App that runs nothing.

    `may_route`: whether the App may have a route for its hostname. `kept_annotations`: what its Ingress keeps of annotations that are
    refused. `workload`: the workload as observed. `key_note`: what the
    workload is to note of the Access Keys. `schedules`: by the name of its CronJob, each trigger that is to run on a schedule.
    """

    app: App
    settings: Settings = field(default_factory=Settings)
    row: str = ""
    pinned: Pinned | None = None
    may_route: bool = False
    kept_annotations: Mapping[str, str] = field(default_factory=dict)
    template_choice: TemplateChoice = TemplateChoice.PINNED
    workload: Manifest | None = None
    key_note: str | None = None
    schedules: Mapping[str, Trigger] = field(default_factory=dict)


def scale_of(pinned: Pinned) -> Autoscaling:
    """The row's replicas and target; a pinned config leaves none of them out."""
    return pinned.config.autoscaling or Autoscaling(min_replicas=1, max_replicas=1, target_cpu=80)
