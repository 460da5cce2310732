"""Registers a login and a handler of watch events for each resource with kopf. It decides nothing."""

from __future__ import annotations

from typing import Any, cast

import aiohttp
import kopf

from dynamiq_operator.controller.watching.informers import Informers
from dynamiq_operator.controller.watching.watch_session import WatchSession
from dynamiq_operator.kube.resources import WATCHED, ApiResource

SERVER = "http://feeds"
"""Replaces the API server's address, which the session knows."""


def registry(informers: Informers) -> kopf.OperatorRegistry:
    """Returns the handlers of every watched resource, and no others."""
    handlers = kopf.OperatorRegistry()
    _log_in(handlers, informers)
    for resource in WATCHED:
        _watch(handlers, informers, resource)
    return handlers


def _log_in(handlers: kopf.OperatorRegistry, informers: Informers) -> None:
    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.AiohttpSession:
        session = cast(aiohttp.ClientSession, WatchSession(informers))
        return kopf.AiohttpSession(server=SERVER, aiohttp_session=session)


def _watch(handlers: kopf.OperatorRegistry, informers: Informers, resource: ApiResource) -> None:
    @kopf.on.event(resource.group, resource.version, resource.plural, registry=handlers)
    async def on_watch_event(event: Any, **_: Any) -> None:
        informers.on_watch_event(resource, event["type"], event["object"])
