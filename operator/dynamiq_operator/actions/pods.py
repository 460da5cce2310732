"""Finds the pods of one row, as far as the caller may read them. They run the row's pins, which other rows may have, too."""

from __future__ import annotations

from functools import cached_property

from dynamiq_operator.actions.reads import typed
from dynamiq_operator.desired.pin_labels import label_of, stored_digest
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.pod_template import runs_pins
from dynamiq_operator.desired.workload import template_digests
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import PODS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, Row


class RowPods:
    """A test for the pods of one row. It evaluates the App and the row once, for any number of pods."""

    def __init__(self, app: Manifest, row: Manifest) -> None:
        """Raises NotNow if this version cannot read the row."""
        pinned = typed(Row, row).pinned
        self._app, self._name = app, app["metadata"]["name"]
        self._pins = Pins.of(pinned) if pinned is not None else None

    def has(self, pod: Manifest) -> bool:
        """Returns True if the pod is one of the row's.

        Raises NotNow if this version cannot read the App.
        """
        labels = pod["metadata"].get("labels") or {}
        if self._pins is None or app_of(pod) != self._name or labels.get(names.MANAGED_BY) != names.FIELD_MANAGER:
            return False
        if label := label_of(pod):
            return label == self._pins.label
        return runs_pins(pod, self._pins) or labels.get(names.TEMPLATE_LABEL) in self._digests

    @cached_property
    def _digests(self) -> tuple[str, ...]:
        return template_digests(typed(App, self._app), self._pins) if self._pins is not None else ()


def pods_of_row(api: Api, app: Manifest, row: Manifest) -> list[Manifest]:
    """Lists the pods of a row; none if it was never rolled out.

    Raises NotNow if this version cannot read the App or the row, and kube.errors.ApiError.
    """
    if "pinned" not in row["spec"]:
        return []
    meta, of_row = app["metadata"], RowPods(app, row)
    # Most rows have no pods that only finish background runs, and cost no second request.
    finishing = {each.get("pins") for each in (app.get("status") or {}).get("finishing") or ()}
    labels = (names.APP_LABEL, names.FINISHING_OF_LABEL) if stored_digest(row["spec"]["pinned"]) in finishing else (names.APP_LABEL,)
    selectors = (f"{label}={meta['name']},{names.MANAGED_SELECTOR}" for label in labels)
    return [pod for selector in selectors for pod in requests.items(api, PODS, meta["namespace"], label=selector) if of_row.has(pod)]


def app_of(pod: Manifest) -> str:
    """Returns the App of a pod that answers callers, or finishes background runs; empty for any other pod."""
    labels = pod["metadata"].get("labels") or {}
    return str(labels.get(names.APP_LABEL) or labels.get(names.FINISHING_OF_LABEL) or "")
