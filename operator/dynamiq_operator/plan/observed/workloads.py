"""The observed workloads of an App, and which of them its Service selects."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dynamiq_operator.desired.base import SERVICE, WORKLOAD, ChildKey, is_ending
from dynamiq_operator.desired.pin_labels import PLAIN, by_label, finishing_by_label, selected_pins
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, parse_time

DIGITS_MOST = 15


@dataclass(frozen=True)
class ObservedWorkloads:
    """Workloads by their pins label. `selected`: the label that the Service selects; None without a Service.

    `finishing`: those that only finish background runs, by the same label.
    """

    by_label: Mapping[str, Manifest]
    selected: str | None
    finishing: Mapping[str, Manifest] = field(default_factory=dict)

    @classmethod
    def of(cls, app: App, children: Mapping[ChildKey, Manifest]) -> ObservedWorkloads:
        name = app.meta.name
        service = children.get(SERVICE.key(name))
        workloads = [raw for (kind, _), raw in children.items() if kind == WORKLOAD.kind]
        selected = selected_pins(service["spec"].get("selector") or {}) if service is not None else None
        return cls(by_label(name, workloads), selected, finishing_by_label(name, workloads))

    def get(self, label: str | None) -> Manifest | None:
        return self.by_label.get(label) if label is not None else None

    @property
    def of_pins(self) -> tuple[str, ...]:
        """The labels of the workloads of strategy Switch."""
        return tuple(sorted(label for label in self.by_label if label != PLAIN))

    def served(self, label: str) -> int:
        """Returns the place of a workload in the order in which the Service last selected them; 0 if it never did."""
        return _served(self.by_label.get(label))[0]

    def served_since(self, label: str) -> datetime | None:
        """Returns when the Service last selected a workload; None if it never did."""
        return _served(self.by_label.get(label))[1]

    @property
    def last_served(self) -> int:
        return max((self.served(label) for label in self.by_label), default=0)

    def newest_served(self, *, but: Container[str | None] = ()) -> str | None:
        """Returns the label of the workload that the Service selected last, of those that are not terminating and not in `but`."""
        labels = [label for label in self.of_pins if self.served(label) and label not in but and not is_ending(self.by_label[label])]
        return max(labels, key=self.served, default=None)


def _served(raw: Manifest | None) -> tuple[int, datetime | None]:
    noted: str = ((raw or {}).get("metadata", {}).get("annotations") or {}).get(names.SERVED_ANNOTATION, "")
    number, _, since = noted.partition(" ")
    try:
        return (int(number), parse_time(since)) if number.isdecimal() and len(number) <= DIGITS_MOST else (0, None)
    except ValueError:
        return 0, None  # edited by another manager
