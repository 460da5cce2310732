"""Server-side apply of a child: its creation, and what has to happen before an apply of one that exists."""

from __future__ import annotations

import logging

from dynamiq_operator.controller import field_managers
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import JSON_PATCH, Client
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model.objects import Manifest

ATTEMPTS = 4
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
    """Applies a manifest to the object as it was observed. Raises errors.Conflict where it is not that any more.

    What others write beside its spec, such as its status, changes nothing of what was decided: then it is applied to that.
    """
    for _ in range(ATTEMPTS):
        adopted = await adopt(client, resource, manifest, observed)
        try:
            return await _apply(client, resource, manifest, adopted["metadata"])
        except errors.Conflict:
            found = await client.get(resource, observed["metadata"]["namespace"], observed["metadata"]["name"])
            if not _decides_the_same(observed, found):
                raise
            observed = found
    raise errors.Conflict(f"{manifest['kind']} {manifest['metadata']['name']} is written by others again and again")


async def _apply(client: Client, resource: ApiResource, manifest: Manifest, observed: Manifest) -> Manifest:
    """Applies to the object of this metadata, in this version; where that is refused for what others left in our lists, replaces its spec."""
    version = {key: observed[key] for key in ("uid", "resourceVersion")}
    try:
        return await client.apply(resource, {**manifest, "metadata": {**manifest["metadata"], **version}})
    except errors.Invalid as error:
        log.info("%s is refused as it is, so its lists are replaced: %s", manifest["kind"], error)
    patch = {"metadata": version, "spec": manifest.get("spec", {})}
    return await adopt(client, resource, manifest, await client.patch(resource, observed["namespace"], observed["name"], patch))


def _decides_the_same(observed: Manifest, found: Manifest) -> bool:
    """Whether an object is still the one, with the spec, that a decision was made on; kinds without a generation are compared."""
    if found["metadata"]["uid"] != observed["metadata"]["uid"]:
        return False
    generation = found["metadata"].get("generation")
    if generation is not None:
        return bool(generation == observed["metadata"].get("generation"))
    return bool(found.get("spec") == observed.get("spec"))


async def adopt(client: Client, resource: ApiResource, manifest: Manifest, observed: Manifest) -> Manifest:
    """Hands to our apply what is to be ours or to go, before it; after a conflict the object is read anew.

    Controllers write a workload at once, so conflicts are usual. After the last attempt it is left to the next apply.
    """
    meta = observed["metadata"]
    for _ in range(ATTEMPTS):
        if field_managers.is_adopted(manifest, observed):
            return observed
        try:
            patch = field_managers.adoption(manifest, observed)
            return await client.patch(resource, meta["namespace"], meta["name"], patch, kind=JSON_PATCH)
        except errors.Conflict:
            observed = await client.get(resource, meta["namespace"], meta["name"])
    return observed
