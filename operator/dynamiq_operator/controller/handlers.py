"""What kopf calls: a login, and one handler of watch events for each resource. Nothing is decided here."""

from __future__ import annotations

from typing import Any

import kopf

from dynamiq_operator.controller.client import Client
from dynamiq_operator.controller.informers import Informers
from dynamiq_operator.kube.resources import ApiResource


def registry(informers: Informers, client: Client) -> kopf.OperatorRegistry:
    """The handlers of every watched resource that the cluster serves, and no others."""
    handlers = kopf.OperatorRegistry()
    _log_in(handlers, client)
    for resource in informers.resources():
        _watch(handlers, informers, resource)
    return handlers


def _log_in(handlers: kopf.OperatorRegistry, client: Client) -> None:
    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(**await client.credentials())


def _watch(handlers: kopf.OperatorRegistry, informers: Informers, resource: ApiResource) -> None:
    @kopf.on.event(resource.group, resource.version, resource.plural, registry=handlers)
    def on_watch_event(event: Any, **_: Any) -> None:
        informers.on_watch_event(resource, event["type"], event["object"])
