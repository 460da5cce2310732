"""Deletes the digests of Access Keys in the gate's namespace that no App needs. It writes none."""

from __future__ import annotations

import logging

from dynamiq_operator.controller.cached.cache import Cache
from dynamiq_operator.controller.cached.denials import Denials
from dynamiq_operator.desired.base import WORKLOAD
from dynamiq_operator.desired.gate_keys import owner_of
from dynamiq_operator.desired.pod_template import checks_keys
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPS, BY_KIND, ROWS, SECRETS
from dynamiq_operator.model import names, ownership
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.row import ConfigType

log = logging.getLogger(__name__)


class GateKeys:
    """The digests in `namespace`. `client` sends nothing once another replica may lead.

    `namespaces`: those whose Apps are cached; None is all.
    """

    def __init__(self, client: Client, cache: Cache, denials: Denials, namespace: str, namespaces: frozenset[str] | None) -> None:
        self._client, self._cache, self._denials = client, cache, denials
        self._namespace, self._namespaces = namespace, namespaces

    async def sweep(self) -> None:
        """Deletes digests of missing Apps, and of Apps that are no longer private and serverless.

        Raises errors.ApiError.
        """
        try:
            async for page in self._client.pages(SECRETS, self._namespace, label=names.MANAGED_SELECTOR):
                for raw in page["items"]:
                    if self._is_unneeded(raw):
                        meta = raw["metadata"]
                        await self._client.delete(SECRETS, self._namespace, meta["name"], meta["uid"], version=meta["resourceVersion"])
                        log.info("digests of Access Keys are deleted: no App needs %s", meta["name"])
        except (errors.Denied, errors.NotFound):
            return  # no gate is installed

    def _is_unneeded(self, raw: Manifest) -> bool:
        """Returns True if it is known that no App needs these digests. An App in a namespace that is not read is unknown, not missing."""
        owner = owner_of(raw)
        if owner is None or (self._namespaces is not None and owner[0] not in self._namespaces):
            return False
        if self._denials.of(owner[0]).keys() & {APPS, ROWS}:
            return False
        app = self._cache.get(APPS, *owner[:2])
        if app is None or app["metadata"].get("uid") != owner[2]:
            return True
        objects = list(self._cache.of_app((owner[0], owner[1])))
        rows = ownership.only_of(owner[2], (row for resource, row in objects if resource is ROWS))
        types = {((row["spec"].get("pinned") or {}).get("config") or {}).get("type") for row in rows}
        is_public = (app["spec"].get("access") or {}).get("type") == "public"
        # While a change of `access` is pending the pods check keys, and so does the gate.
        is_checked = any(checks_keys(raw["spec"]["template"]) for resource, raw in objects if resource is BY_KIND[WORKLOAD.kind])
        return (is_public and not is_checked) or types == {ConfigType.SERVER.value}
