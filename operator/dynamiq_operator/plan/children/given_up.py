"""The note, on what rows decide, of the last row that was given up."""

from __future__ import annotations

from dynamiq_operator.desired import child_kinds
from dynamiq_operator.desired.base import SERVICE
from dynamiq_operator.desired.pins import selected_pins
from dynamiq_operator.model import names
from dynamiq_operator.model.base import SEQUENCE_MAX
from dynamiq_operator.model.objects import Manifest

DIGITS_MOST = len(str(SEQUENCE_MAX))


def noting_given_up(manifest: Manifest, observed: Manifest | None, given_up: int) -> Manifest:
    """The manifest, noting the last row that was given up, where rows decide what it is.

    So such a child is written when a row is given up, even where it need not change: whatever an operator before this one may have
    sent for that row, and is still on its way, names a version of the child that is gone then, and is refused.
    """
    if observed is None or manifest is observed or not _is_of_row(manifest):
        return manifest
    noted = (observed["metadata"].get("annotations") or {}).get(names.GIVEN_UP_ANNOTATION, "")
    last = max(given_up, int(noted) if noted.isdecimal() and len(noted) <= DIGITS_MOST else 0)  # others may have written it
    if not last:
        return manifest
    meta = manifest["metadata"]
    return {**manifest, "metadata": {**meta, "annotations": {**meta.get("annotations", {}), names.GIVEN_UP_ANNOTATION: str(last)}}}


def _is_of_row(manifest: Manifest) -> bool:
    """A Service is decided by rows under strategy Switch alone: what it selects is the switch."""
    if manifest["kind"] == SERVICE.kind:
        return bool(selected_pins(manifest["spec"]["selector"]))
    return child_kinds.child_kind(manifest["kind"]).of_row
