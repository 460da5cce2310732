"""Reads the pins of the live row, which a deploy keeps unless it names others."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from time import monotonic
from typing import Any

from dynamiq_operator.actions import running
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import ROWS, RUNTIMES
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import IN_MEMORY, ApiContext
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.parts.config_fields import FIRST_CONFIG

KNOWN_FOR = 60.0
"""Seconds for which pins are cached: as long as a token's user."""
Pins = Mapping[str, Any]


def kept_pins(context: ApiContext, session: CallerSession, app: Manifest, runtime: str | None, restores: str | None = None) -> Pins | None:
    """Returns the pins of the live row; None if nothing is live or readable.

    Their runtime is replaced by `runtime` if a deploy names one, else by that of the row `restores`.
    """
    namespace, live = app["metadata"]["namespace"], (app.get("status") or {}).get("live")
    pins = _pins(context, session, namespace, live["row"]) if live else None
    if restores is not None and (restored := _pins(context, session, namespace, restores)) is not None:
        pins = {**(pins or {}), "runtime": restored["runtime"]}
    if runtime is None or (pins is not None and pins["runtime"]["name"] == runtime):
        return pins
    try:
        spec = session.api.request("GET", RUNTIMES.path("", runtime))["spec"]
    except (errors.NotFound, errors.Denied):
        return pins
    return {**(pins or {}), "runtime": {"name": runtime, **spec}}


def config_to_be(session: CallerSession, app: Manifest) -> Mapping[str, Any] | None:
    """Returns the config of a deploy that names none, for an App without a live row; None if the caller may not read it.

    It is the config of the App's newest row, which the API shows as the App's. A first row is serverless.
    """
    meta = app["metadata"]
    try:
        rows = running.rows(session.api, meta["namespace"], meta["name"], meta["uid"])
    except errors.Forbidden:
        return None
    own = [row["spec"] for row in rows]
    return ((own[0].get("pinned") or {}).get("config") or own[0].get("config")) if own else FIRST_CONFIG


def _pins(context: ApiContext, session: CallerSession, namespace: str, name: str) -> Pins | None:
    """Returns the pins of a row; None if it has none or the caller may not read them."""
    uid = context.id_of(ROWS, namespace, name)
    if uid is not None and (known := context.pins.get((session.token_hash, uid), monotonic())) is not None:
        return known
    # Pins never change, so a row from the API server's watch cache suffices once it has them.
    for query in (IN_MEMORY, None):
        with contextlib.suppress(errors.NotFound, errors.Denied):
            row = session.api.request("GET", ROWS.path(namespace, name), query=query)
            if pins := row["spec"].get("pinned"):
                context.pins.put((session.token_hash, row["metadata"]["uid"]), pins, monotonic() + KNOWN_FOR)
                return dict(pins)
    return None
