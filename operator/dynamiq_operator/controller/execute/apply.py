"""Server-side apply of a child: its creation, and what has to happen before an apply of one that exists."""

from __future__ import annotations

import logging

from dynamiq_operator.controller import field_managers
from dynamiq_operator.controller.client import JSON_PATCH, Client
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model.objects import Manifest

ADOPTION_ATTEMPTS = 4
OF_NO_OBJECT = "1"
"""A resourceVersion that no object has: an apply with it creates the object, and is refused where there is one."""

log = logging.getLogger(__name__)


async def create(client: Client, resource: ApiResource, manifest: Manifest) -> Manifest:
    """Creates the object by apply. Raises errors.AlreadyExists where there is one of its name, whosever, and does not touch it."""
    meta = manifest["metadata"]
    try:
        return await client.apply(resource, {**manifest, "metadata": {**meta, "resourceVersion": OF_NO_OBJECT}})
    except errors.Conflict as error:
        raise errors.AlreadyExists(str(error)) from error


async def apply(client: Client, resource: ApiResource, manifest: Manifest, observed: Manifest) -> Manifest:
    """Applies a manifest to the object that was observed, of its uid; where that is refused for what others left in our lists, replaces its spec."""
    adopted = await adopt(client, resource, manifest, observed)
    meta = {**manifest["metadata"], "uid": adopted["metadata"]["uid"]}
    try:
        return await client.apply(resource, {**manifest, "metadata": meta})
    except errors.Invalid as error:
        log.info("%s is refused as it is, so its lists are replaced: %s", manifest["kind"], error)
    patch = {"metadata": {"uid": meta["uid"]}, "spec": manifest.get("spec", {})}
    return await adopt(client, resource, manifest, await client.patch(resource, meta["namespace"], meta["name"], patch))


async def adopt(client: Client, resource: ApiResource, manifest: Manifest, observed: Manifest) -> Manifest:
    """Hands to our apply what is to be ours or to go, before it; after a conflict the object is read anew.

    Controllers write a workload at once, so conflicts are usual. After the last attempt it is left to the next apply.
    """
    meta = observed["metadata"]
    for _ in range(ADOPTION_ATTEMPTS):
        if field_managers.is_adopted(manifest, observed):
            return observed
        try:
            patch = field_managers.adoption(manifest, observed)
            return await client.patch(resource, meta["namespace"], meta["name"], patch, kind=JSON_PATCH)
        except errors.Conflict:
            observed = await client.get(resource, meta["namespace"], meta["name"])
    return observed
