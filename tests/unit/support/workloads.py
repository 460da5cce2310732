"""Makes workloads of App chat as the API server has them: one for strategy Rolling, and one for each set of pins with Switch."""

from __future__ import annotations

from datetime import timedelta

from dynamiq_operator.desired.inputs import WorkloadInputs
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.workload import workload_manifest
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, format_time
from dynamiq_operator.model.row import Pinned
from tests.support import factories as given
from tests.support import managed_fields

SERVED = "1 2026-11-24T12:00:00Z"


def rolling(wanted: int, ready: int, new: int, old: int) -> Manifest:
    """Returns the workload of strategy Rolling."""
    return {"metadata": {"name": given.NAME}, "spec": {"replicas": wanted}, "status": _status(ready, new, old)}


def plain(version: str, app: App | None = None) -> Manifest:
    """Returns the whole workload of strategy Rolling, as it was made for the pins of this version."""
    made = workload_manifest(app or given.an_app(), WorkloadInputs("", Pins.of(pinned(version))))
    assert made is not None
    return managed_fields.applied(made)


def checking(*origins: str, keys: bool) -> Manifest:
    """Returns the same workload with its pods, which check Access Keys or serve any caller. `origins`: those of pages that may call."""
    access = {"type": "private" if keys else "public", "origins": list(origins)}
    made = plain("v2", given.an_app(given.with_spec(access=access)))
    return {**made, "status": _status(1, 1, 0)}


def of_pins(
    version: str, wanted: int, ready: int, *, serves: bool = False, warm: bool = False, app: App | None = None, **pins: object
) -> Manifest:
    """Returns the workload of this version's pins. `serves`, `warm`: the Service has selected it; otherwise it is starting."""
    found = Pins.of(pinned(version, **pins))
    noted = SERVED if serves or warm else None
    made = workload_manifest(app or given.an_app(), WorkloadInputs(found.label, found, served_note=noted))
    assert made is not None
    return managed_fields.applied({**made, "spec": {**made["spec"], "replicas": wanted}, "status": _status(ready, wanted, 0)})


def pod(name: str, version: str, status: Manifest | None = None, *, switches: bool = False, seconds: float = 0) -> Manifest:
    """Returns a pod of this version's pins, created `seconds` after NOW. It is Ready unless `status` differs."""
    found = Pins.of(pinned(version))
    made = workload_manifest(given.an_app(), WorkloadInputs(found.label if switches else "", found))
    assert made is not None
    template = made["spec"]["template"]
    meta: Manifest = {"name": name, "namespace": given.NAMESPACE, "uid": f"uid-of-{name}", "labels": template["metadata"]["labels"]}
    meta["creationTimestamp"] = format_time(given.NOW + timedelta(seconds=seconds))
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": meta, "spec": {**template["spec"], "nodeName": "node-1"}, "status": {**ready, **(status or {})}}


def pinned(version: str, **pins: object) -> Pinned:
    """Returns the pins of a row with this version."""
    found = given.a_row("x", given.live(1, version, **pins)).pinned
    assert found is not None
    return found


def service(version: str | None, **pins: object) -> Manifest:
    """Returns the Service, which selects the pods of this version's pins; None: pods of any pins."""
    selector = {names.APP_LABEL: given.NAME} | ({names.PINS_LABEL: Pins.of(pinned(version, **pins)).label} if version is not None else {})
    return {"metadata": {"name": given.NAME}, "spec": {"selector": selector}}


def _status(ready: int, new: int, old: int) -> Manifest:
    return {"readyReplicas": ready, "updatedReplicas": new, "replicas": new + old}
