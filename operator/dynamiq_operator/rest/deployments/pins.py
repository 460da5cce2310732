"""What the row that an App serves pins, for what a deploy leaves out."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import RECORDS, RUNTIMES
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import IN_MEMORY, ApiContext
from dynamiq_operator.rest.http.sessions import CallerSession

Pins = Mapping[str, Any]


def kept_pins(context: ApiContext, session: CallerSession, app: Manifest, runtime: str | None) -> Pins | None:
    """The pins of the row that the App serves; with a runtime that is asked for in place of its own."""
    live = (app.get("status") or {}).get("live")
    pins = _pins(context, session, app["metadata"]["namespace"], live["row"]) if live else None
    if runtime is None or (pins is not None and pins["runtime"]["name"] == runtime):
        return pins
    try:
        spec = session.api.request("GET", RUNTIMES.path("", runtime))["spec"]
    except (errors.NotFound, errors.Denied):
        return pins
    return {**(pins or {}), "runtime": {"name": runtime, **spec}}


def _pins(context: ApiContext, session: CallerSession, namespace: str, name: str) -> Pins | None:
    """What a row pins, which never changes: the row may be one from the API server's memory, keyed it has pins there."""
    uid = context.id_of(RECORDS, namespace, name)
    if uid is not None and (known := context.pins.get(session.token_hash, uid)) is not None:
        return known
    for query in (IN_MEMORY, None):
        with contextlib.suppress(errors.NotFound, errors.Denied):
            row = session.api.request("GET", RECORDS.path(namespace, name), query=query)
            if pins := row["spec"].get("pinned"):
                context.pins.put(session.token_hash, row["metadata"]["uid"], pins)
                return dict(pins)
    return None
