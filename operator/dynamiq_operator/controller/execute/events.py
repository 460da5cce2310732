"""Writes Events. It ends nothing if an Event cannot be written."""

from __future__ import annotations

import contextlib
import logging
from datetime import UTC, datetime

from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import EVENTS
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import Manifest, Row, format_time
from dynamiq_operator.plan import operations

MESSAGE_MAX = 1024
INSTANCE_MAX = 128
"""Characters of an Event's message and of its reportingInstance that the API server accepts."""

log = logging.getLogger(__name__)


def an_event(involved: Manifest, metadata: Manifest, reason: str, message: str, identity: str, *, warning: bool) -> Manifest:
    """Returns an Event of now about the object that `involved` names. `identity`: of this replica."""
    now = format_time(datetime.now(UTC))
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": metadata,
        "involvedObject": involved,
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": message[:MESSAGE_MAX],
        "source": {"component": names.FIELD_MANAGER},
        "reportingComponent": names.FIELD_MANAGER,
        "reportingInstance": identity[:INSTANCE_MAX],
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


async def emit(execution: Execution, operation: operations.Emit) -> None:
    """Creates the Event by the first of its names that no Event has. An existing Event of the same reason is this one."""
    kind = kinds.ROW.kind if isinstance(operation.about, Row) else kinds.APP.kind
    meta = operation.about.meta
    involved = {"apiVersion": API_VERSION, "kind": kind, "name": meta.name, "namespace": meta.namespace, "uid": meta.uid}
    try:
        for place, name in enumerate(operation.names, 1):
            metadata = {"name": name, "namespace": meta.namespace}
            event = an_event(involved, metadata, operation.reason, operation.message, execution.identity, warning=operation.warning)
            with contextlib.suppress(errors.AlreadyExists):
                await execution.client.create(EVENTS, event)
                return
            if (
                place == len(operation.names)
                or (await execution.client.get(EVENTS, meta.namespace, name)).get("reason") == operation.reason
            ):
                return
    except errors.ApiError as error:
        log.warning("an Event of %s %r could not be written: HTTP %s", kind, meta.name, error.status)
