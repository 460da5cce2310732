"""Describes the workloads of an App. Under strategy Switch each set of pins has its own, and some are standbys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dynamiq_operator.desired.pin_labels import PLAIN, SHORT, stored_digest
from dynamiq_operator.desired.template_note import applied_digest, applied_pins, noted_version
from dynamiq_operator.model import names
from dynamiq_operator.model.manifests import CLOSED, VARIABLES_HELD, Manifest

# The plugin's `status` imports this module. Imports that load pydantic's models stay inside functions: they would double its time.
if TYPE_CHECKING:
    from dynamiq_operator.model.app import Access
    from dynamiq_operator.model.objects import App
    from dynamiq_operator.model.row import Pinned


@dataclass(frozen=True)
class Pods:
    """A workload's counts of pods. `new`: of its newest template. `old`: of earlier ones, or of the workload that serves meanwhile."""

    wanted: int
    ready: int
    new: int
    old: int

    @classmethod
    def of(cls, workload: Manifest) -> Pods:
        status = workload.get("status") or {}
        new = status.get("updatedReplicas", 0)
        return cls(
            wanted=workload["spec"].get("replicas", 1),
            ready=status.get("readyReplicas", 0),
            new=new,
            old=max(status.get("replicas", 0) - new, 0),
        )


WARM, STARTING = "warm", "starting"


@dataclass(frozen=True)
class IdleWorkload:
    """A workload of strategy Switch that does not serve. `role`: `starting`, or `warm` for a standby, which served before."""

    role: str
    name: str
    version: str | None
    ready: int
    wanted: int

    @property
    def is_warm(self) -> bool:
        return self.role == WARM


@dataclass(frozen=True)
class PodReadiness:
    """The number of a row's Ready pods, and of those that it should have."""

    ready: int
    wanted: int


@dataclass(frozen=True)
class AppWorkloads:
    """The workloads of an App by their pins label. `serving`: the label that the Service selects."""

    by_label: dict[str, Manifest]
    serving: str

    @property
    def switches(self) -> bool:
        """True if a row goes live by a switch of the Service. While the workload of strategy Rolling serves, rows roll out in that."""
        return self.serving != PLAIN

    @property
    def access(self) -> Access | None:
        """The access that the pods that serve enforce; None if there is no such workload."""
        from dynamiq_operator.desired.pod_template import access_of

        serving = self.by_label.get(self.serving)
        return access_of(serving["spec"]["template"]) if serving is not None else None

    def of_row(self, raw: Manifest | None) -> str:
        """Returns the label of a row's workload; that of strategy Rolling without a pinned row."""
        pins = raw["spec"].get("pinned") if raw is not None else None
        return stored_digest(pins)[:SHORT] if pins is not None and self.switches else PLAIN

    def version(self, label: str) -> str | None:
        """Returns the workflow version of a workload of strategy Switch; None if it has none noted."""
        return noted_version(self.by_label[label])

    def has_served(self, label: str) -> bool:
        """Returns True if the Service ever selected this workload of strategy Switch."""
        return names.SERVED_ANNOTATION in (self.by_label[label]["metadata"].get("annotations") or {})

    def beside(self, under_way: Iterable[Manifest]) -> Iterator[IdleWorkload]:
        """Yields the workloads that do not serve. `under_way`: the undecided rows."""
        starting = {self.of_row(raw) for raw in under_way}
        for label, raw in sorted(self.by_label.items()):
            if label != self.serving:
                pods = Pods.of(raw)
                role = WARM if self.has_served(label) and label not in starting else STARTING
                yield IdleWorkload(role, raw["metadata"]["name"], self.version(label), pods.ready, pods.wanted)

    def pods_of(self, raw: Manifest | None) -> Pods | None:
        """Counts the pods of a row, and those that serve until it does; returns None if there are neither."""
        own, serving = self.by_label.get(self.of_row(raw)), self.by_label.get(self.serving)
        before = Pods.of(serving) if serving is not None else None
        if own is None:
            return Pods(before.wanted, before.ready, 0, before.new + before.old) if before is not None and raw is not None else before
        pods = Pods.of(own)
        if raw is not None and "outcome" not in raw["spec"] and _is_before(own, raw):
            pods = Pods(pods.wanted, pods.ready, 0, pods.new + pods.old)  # the workload has not changed yet: its pods are of the row before
        if own is serving or before is None:
            return pods
        return Pods(pods.wanted, pods.ready, pods.new, pods.old + before.new + before.old)

    def ready_of(self, raw: Manifest) -> PodReadiness | None:
        """Counts the Ready pods of a row's own pins; returns None if the row is closed, or has no workload."""
        own, pins = self.by_label.get(self.of_row(raw)), raw["spec"].get("pinned")
        if own is None or pins is None or (raw.get("status") or {}).get("phase") in CLOSED:
            return None
        pods = Pods.of(own)
        # All older pods in the same workload are taken for Ready: the row's own count may be too low, but never too high.
        return PodReadiness(min(max(pods.ready - pods.old, 0), pods.new) if _runs_row(own, raw) else 0, pods.wanted)


def _runs_row(workload: Manifest, raw: Manifest) -> bool:
    """Returns True if a workload's newest pods are the row's: it has the row's pins, and its controller has observed them."""
    if not (pins := raw["spec"].get("pinned")):
        return False
    is_seen = (workload.get("status") or {}).get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
    return applied_pins(workload) == stored_digest(pins) and (is_seen or "outcome" in raw["spec"])


def _is_before(workload: Manifest, raw: Manifest) -> bool:
    """Returns True if a workload still has other pins than a row that rolls out."""
    # An older operator noted no digest: such a workload is taken for the row's.
    return applied_digest(workload) is not None and not _runs_row(workload, raw)


@dataclass(frozen=True)
class Warm:
    """The pods for a deploy by a switch: those that are Ready already, and those that start before calls move."""

    ready: int
    to_start: int


def may_serve_otherwise(status: Mapping[str, Any]) -> bool:
    """Returns True if, by the App's status, pods may check callers otherwise than its `access`: a change may be held until the next row."""
    return any(each["type"] == VARIABLES_HELD and each["status"] == "True" for each in status.get("conditions") or ())


def warm(workloads: AppWorkloads, app: App, then: Pinned) -> Warm:
    """Counts the Ready pods for the pins to deploy, and those still to start."""
    from dynamiq_operator.desired.inputs import needed_replicas
    from dynamiq_operator.desired.pins import Pins
    from dynamiq_operator.desired.workload import runs, template_digest

    pins = Pins.of(then)
    serving, own = workloads.by_label.get(workloads.serving), workloads.by_label.get(pins.label)
    needed = needed_replicas(then, Pods.of(serving).wanted if serving is not None else None)
    if own is None or not runs(own, template_digest(app, pins, own)):
        return Warm(0, needed)
    ready = Pods.of(own).ready
    return Warm(ready, max(needed - ready, 0))
