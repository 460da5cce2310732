"""What makers of children take: all that decides what a child is to be, and nothing of what it is now, but for the workload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.model.app import Trigger
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.record import Autoscaling, ConfigType, Pinned
from dynamiq_operator.model.settings import Settings

AWAKE_CPU = 80
"""CPU use, in percent of the request, that the autoscaler of a serverless App aims at while it is awake."""


class TemplateChoice(Enum):
    """Which pod template the workload is to have."""

    PINNED = "that of the pins"
    APPLIED = "the one that was applied last, though the App wants other variables or another access by now"
    OBSERVED = "the observed one, untouched, or none: a new one could not start, or must not"


@dataclass(frozen=True)
class WorkloadInputs:
    """A workload that the App is to have.

    `label`: the pins label of strategy Switch, empty for the one workload of strategy Rolling. `pins`: None where they are not known;
    then it stays as it is observed. `key_note`: what it is to note of the Access Keys. `served_note`: what it is to note of when it
    served; `room_note`: of the room that is made for its pods; `row_note`: the row that its template comes with, where that is held. `replicas`: at its creation alone. `recorder`: its URL, for a template that
    is made anew; `renewed`: whether one is made anew though its inputs are the same. `app`: the App with the variables that the template is to have,
    where they are others than the App asks for by now.
    """

    label: str
    pins: Pins | None
    choice: TemplateChoice = TemplateChoice.PINNED
    observed: Manifest | None = None
    key_note: str | None = None
    served_note: str | None = None
    room_note: str | None = None
    row_note: str | None = None
    replicas: int = 1
    recorder: str | None = None
    renewed: bool = False
    app: App | None = None


@dataclass(frozen=True)
class Inputs:
    """Of an App that is to run `pinned`; without pins, of an App that runs nothing.

    `may_route`: whether the App may have a route for its hostname. `kept_annotations`: what its Ingress keeps of annotations that are
    refused. `workloads`: those that it is to have. `selected`: the pins label that the Service selects, empty for pods of any.
    `watches_endpoints`: whether the Service's EndpointSlices are to be watched. `scaled`: the pins label of the workload that the
    autoscaler scales, and `scale` its limits; `guarded`: of the pods that the disruption budget counts.
    `verifies`: whether new pods are asked before a caller reaches them, by the operator and by a Job.
    `schedules`: by the name of its CronJob, each trigger that is to run on a schedule.
    """

    app: App
    settings: Settings = field(default_factory=Settings)
    pinned: Pinned | None = None
    may_route: bool = False
    kept_annotations: Mapping[str, str] = field(default_factory=dict)
    workloads: tuple[WorkloadInputs, ...] = ()
    selected: str = ""
    watches_endpoints: bool = False
    scaled: str = ""
    guarded: str = ""
    scale: Autoscaling | None = None
    schedules: Mapping[str, Trigger] = field(default_factory=dict)
    verifies: bool = False


def hold_of(pinned: Pinned | None) -> int:
    """Seconds for which a call may wait for the App to wake; 0 where it never sleeps."""
    return pinned.config.hold_seconds or 0 if pinned is not None else 0


def scale_of(pinned: Pinned) -> Autoscaling:
    """The row's replicas and target, of a serverless App while it is awake; a pinned config leaves none of them out."""
    config = pinned.config
    if config.type is ConfigType.SERVERLESS:
        return Autoscaling(min_replicas=1, max_replicas=config.max_replicas, target_cpu=AWAKE_CPU)
    return config.autoscaling or Autoscaling(min_replicas=1, max_replicas=1, target_cpu=80)


def needed_replicas(pinned: Pinned | None, serving: int | None) -> int:
    """As many pods as a row has to have before callers move to them: no fewer than serve now, within its limits. `serving`: None where none do."""
    scale = scale_of(pinned) if pinned is not None else Autoscaling(min_replicas=1, max_replicas=1)
    least, most = scale.min_replicas or 1, scale.max_replicas or 1
    return least if serving is None else min(max(least, serving), max(most, least))
