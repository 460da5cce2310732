"""What kopf calls: each event is taken in, and the Apps that it may matter to go on the queue. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kopf

from dynamiq_operator.controller.client import Client
from dynamiq_operator.controller.informers import Watching
from dynamiq_operator.kube.resources import WATCHED, ApiResource

BACKOFFS = (0.1, 0.5, 1.0, 2.0, 5.0)
PAGE = 500


def registry(watching: Watching, client: Client) -> kopf.OperatorRegistry:
    """A registry with a handler for each watched resource, and no other; kopf logs in as `client` does."""
    made = kopf.OperatorRegistry()

    @kopf.on.login(registry=made)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(**await client.credentials())

    for resource in watching.resources():
        _watch(made, watching, resource)
    return made


def _watch(made: kopf.OperatorRegistry, watching: Watching, resource: ApiResource) -> None:
    @kopf.on.event(resource.group, resource.version, resource.plural, registry=made)
    def seen(event: Any, **_: Any) -> None:
        watching.saw(resource, event["type"], event["object"])


def settings() -> kopf.OperatorSettings:
    """Selectors on the server's side, no writes of kopf's own, and no error of the API server that ends the process."""
    made = kopf.OperatorSettings()
    for resource in WATCHED:
        key = (resource.group, resource.version, resource.plural)
        if resource.label_selector:
            made.watching.label_selectors[key] = resource.label_selector
        if resource.field_selector:
            made.watching.field_selectors[key] = resource.field_selector
    made.watching.chunk_size = PAGE
    made.posting.enabled = False
    made.peering.standalone = True
    made.scanning.disabled = True
    made.queueing.worker_limit = None
    made.queueing.idle_timeout = 0.2
    made.networking.error_backoffs = _Endless()
    return made


class _Endless:
    """Backoffs, in seconds, without an end."""

    def __iter__(self) -> Iterator[float]:
        yield from BACKOFFS
        while True:
            yield BACKOFFS[-1]
