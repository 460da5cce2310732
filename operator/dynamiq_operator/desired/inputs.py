"""Defines the inputs of makers: everything that decides what a child is to be. They contain no observed state but the workload's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.model.app import Trigger
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.row import Autoscaling, ConfigType, Pinned
from dynamiq_operator.model.settings import Settings

AWAKE_CPU = 80
"""Percent of the requested CPU that the autoscaler of a serverless App targets while the App is awake."""


class TemplateChoice(Enum):
    """The pod template that the workload is to have."""

    PINNED = "that of the pins"
    APPLIED = "the one that was applied last, though the App wants other variables or another access by now"
    OBSERVED = "the observed one, untouched, or none: a new one could not start, or must not"


@dataclass(frozen=True)
class WorkloadInputs:
    """A workload that the App is to have.

    `label`: the pins label of strategy Switch, empty for the one workload of strategy Rolling. `pins`: None if unknown; then it stays as
    observed. `key_note`, `served_note`, `room_note`: its notes on the Access Keys, on when it served, and on the room made for its pods.
    `row_note`: the row of its template, where variables wait for a row. `replicas`: used at its creation only. `recorder`,
    `journal`: their URLs, for a new template. `callbacks`: True if its pods mount the key for callbacks. `renewed`: True to make a new template although its inputs are the same. `app`: the App with the variables
    of the template, where they differ from those that the App asks for now. `finishes`: True if no caller reaches its pods: they only finish
    background runs.
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
    journal: str | None = None
    callbacks: bool = False
    renewed: bool = False
    app: App | None = None
    finishes: bool = False


@dataclass(frozen=True)
class Inputs:
    """Inputs of an App that is to run `pinned`; without pins the App runs nothing.

    `may_route`: True if the App may have a route for its hostname. `kept_annotations`: refused annotations that its Ingress keeps.
    `workloads`: those that it is to have. `selected`: the pins label that the Service selects, empty for all pods.
    `watches_endpoints`: True if the Service's EndpointSlices are to be watched. `scaled`: the pins label of the workload that the
    autoscaler scales; `scale`: its limits. `guarded`: the pins label of the pods that the disruption budget counts.
    `verifies`: True if the operator and a Job call new pods before callers reach them.
    `finishes`: True if pods only finish background runs, now or soon.
    `turns`: the labels of pins whose pods are reached by turns of conversations, each through a Service of its own.
    `schedules`: each trigger that is to run on a schedule, by the name of its CronJob.
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
    finishes: bool = False
    turns: tuple[str, ...] = ()


def hold_of(pinned: Pinned | None) -> int:
    """Returns the seconds for which a call may wait for the App to wake; 0 for an App that never sleeps."""
    return pinned.config.hold_seconds or 0 if pinned is not None else 0


def scale_of(pinned: Pinned) -> Autoscaling:
    """Returns the row's replicas and CPU target; for a serverless App those while it is awake."""
    # A pinned config leaves none of them out.
    config = pinned.config
    if config.type is ConfigType.SERVERLESS:
        return Autoscaling(min_replicas=1, max_replicas=config.max_replicas, target_cpu=AWAKE_CPU)
    return config.autoscaling or Autoscaling(min_replicas=1, max_replicas=1, target_cpu=80)


def needed_replicas(pinned: Pinned | None, serving: int | None) -> int:
    """Returns the pods that a row needs before callers move to it: no fewer than serve now, within its limits.

    `serving`: the pods that serve now; None if none do.
    """
    scale = scale_of(pinned) if pinned is not None else Autoscaling(min_replicas=1, max_replicas=1)
    least, most = scale.min_replicas or 1, scale.max_replicas or 1
    return least if serving is None else min(max(least, serving), max(most, least))
