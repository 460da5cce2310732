"""Notes the last failed row on children that rows decide, so that late writes for it are refused."""

from __future__ import annotations

from dynamiq_operator.desired import child_kinds
from dynamiq_operator.desired.base import SERVICE
from dynamiq_operator.desired.pin_labels import selected_pins
from dynamiq_operator.model import names
from dynamiq_operator.model.base import SEQUENCE_MAX
from dynamiq_operator.model.objects import Manifest

DIGITS_MOST = len(str(SEQUENCE_MAX))


def noting_given_up(manifest: Manifest, observed: Manifest | None, given_up: int) -> Manifest:
    """Returns the manifest with the note of the last failed row, if rows decide this kind of child."""
    # The note makes a write even where nothing else changes. A late request for that row, from an earlier operator, then names an old
    # resourceVersion and is refused.
    if observed is None or manifest is observed or not _is_of_row(manifest):
        return manifest
    noted = (observed["metadata"].get("annotations") or {}).get(names.GIVEN_UP_ANNOTATION, "")
    last = max(given_up, int(noted) if noted.isdecimal() and len(noted) <= DIGITS_MOST else 0)  # others may have written it
    if not last:
        return manifest
    meta = manifest["metadata"]
    return {**manifest, "metadata": {**meta, "annotations": {**meta.get("annotations", {}), names.GIVEN_UP_ANNOTATION: str(last)}}}


def _is_of_row(manifest: Manifest) -> bool:
    """Returns True if rows decide the child: a Service under strategy Switch, whose selector is the switch, and kinds with `of_row`."""
    if manifest["kind"] == SERVICE.kind:
        is_apps = manifest["metadata"]["name"] == names.service(manifest["metadata"]["labels"][names.APP_LABEL])
        return is_apps and bool(selected_pins(manifest["spec"]["selector"]))
    return child_kinds.child_kind(manifest["kind"]).of_row
