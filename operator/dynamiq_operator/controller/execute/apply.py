"""Server-side apply of a child, and what has to happen before the first one: the fields of its POST are handed to apply."""

from __future__ import annotations

import logging

from dynamiq_operator.controller import field_managers
from dynamiq_operator.controller.client import JSON_PATCH, Client
from dynamiq_operator.desired.drift import first_difference
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model.objects import Manifest

ADOPTION_ATTEMPTS = 4

log = logging.getLogger(__name__)


async def apply(client: Client, resource: ApiResource, manifest: Manifest) -> Manifest:
    """Applies a manifest; where that leaves, or is refused for, items of other managers in our lists, replaces those lists whole."""
    try:
        applied = await client.apply(resource, manifest)
        if first_difference(manifest, applied) is None:
            return applied
    except errors.Invalid as error:
        log.info("%s is refused as it is, so its lists are replaced: %s", manifest["kind"], error)
    meta = manifest["metadata"]
    patch = {"metadata": {"uid": meta["uid"]} if "uid" in meta else {}, "spec": manifest.get("spec", {})}
    return await adopt(client, resource, await client.patch(resource, meta["namespace"], meta["name"], patch))


async def adopt(client: Client, resource: ApiResource, observed: Manifest) -> Manifest:
    """Hands the fields of our POST or patch to server-side apply; after a conflict the object is read anew.

    Controllers write a new workload at once, so conflicts are usual. After the last attempt it is left to the next apply.
    """
    meta = observed["metadata"]
    for _ in range(ADOPTION_ATTEMPTS):
        if field_managers.is_adopted(observed):
            return observed
        try:
            return await client.patch(resource, meta["namespace"], meta["name"], field_managers.adoption(observed), kind=JSON_PATCH)
        except errors.Conflict:
            observed = await client.get(resource, meta["namespace"], meta["name"])
    return observed
