"""The pods of one row, as far as the caller may read them: those that were made for what it pins, which other rows may pin as well."""

from __future__ import annotations

from functools import cached_property

from dynamiq_operator.actions.history import typed
from dynamiq_operator.desired.pins import Pins, label_of
from dynamiq_operator.desired.pod_template import runs_pins
from dynamiq_operator.desired.workload import template_digests
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import PODS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, Record


class RowPods:
    """Tells the pods of a row from others. What the App and the row say is worked out once, however many pods there are."""

    def __init__(self, app: Manifest, row: Manifest) -> None:
        """Raises NotNow where this version cannot read the row."""
        pinned = typed(Record, row).pinned
        self._app, self._name = app, app["metadata"]["name"]
        self._pins = Pins.of(pinned) if pinned is not None else None

    def has(self, pod: Manifest) -> bool:
        """Whether a pod is one of the row's. Raises NotNow where this version cannot read the App."""
        labels = pod["metadata"].get("labels") or {}
        if self._pins is None or labels.get(names.APP_LABEL) != self._name or labels.get(names.MANAGED_BY) != names.FIELD_MANAGER:
            return False
        if label := label_of(pod):
            return label == self._pins.label
        return runs_pins(pod, self._pins) or labels.get(names.TEMPLATE_LABEL) in self._digests

    @cached_property
    def _digests(self) -> tuple[str, ...]:
        return template_digests(typed(App, self._app), self._pins) if self._pins is not None else ()


def pods_of_row(api: Api, app: Manifest, row: Manifest) -> list[Manifest]:
    """The pods of a row; none of one that was never rolled out. Raises NotNow where this version cannot read the App or the row, and
    kube.errors.ApiError.
    """
    if "pinned" not in row["spec"]:
        return []
    meta, of_row = app["metadata"], RowPods(app, row)
    found = requests.items(api, PODS, meta["namespace"], label=f"{names.APP_LABEL}={meta['name']},{names.MANAGED_SELECTOR}")
    return [pod for pod in found if of_row.has(pod)]
