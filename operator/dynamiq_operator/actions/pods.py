"""The pods of one row, as far as the caller may read them: those that were made for what it pins, which other rows may pin as well."""

from __future__ import annotations

from dynamiq_operator.actions.history import typed
from dynamiq_operator.desired.pins import Pins, label_of
from dynamiq_operator.desired.pod_template import runs_pins
from dynamiq_operator.desired.workload import template_digests
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import PODS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, Record


def pods_of_row(api: Api, app: Manifest, row: Manifest) -> list[Manifest]:
    """The pods of a row; none of one that was never rolled out. Raises NotNow where this version cannot read the App or the row, and
    kube.errors.ApiError.
    """
    if "pinned" not in row["spec"]:
        return []
    meta = app["metadata"]
    found = requests.items(api, PODS, meta["namespace"], label=f"{names.APP_LABEL}={meta['name']},{names.MANAGED_SELECTOR}")
    return [pod for pod in found if is_of_row(pod, app, row)]


def is_of_row(pod: Manifest, app: Manifest, row: Manifest) -> bool:
    """Whether a pod is one of the row's. Raises NotNow where this version cannot read the App or the row."""
    labels, pinned = pod["metadata"].get("labels") or {}, typed(Record, row).pinned
    if pinned is None or labels.get(names.APP_LABEL) != app["metadata"]["name"] or labels.get(names.MANAGED_BY) != names.FIELD_MANAGER:
        return False
    pins = Pins.of(pinned)
    if label := label_of(pod):
        return label == pins.label
    return runs_pins(pod, pins) or labels.get(names.TEMPLATE_LABEL) in template_digests(typed(App, app), pins)
