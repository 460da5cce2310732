"""Applies children server-side: creates them, and prepares the apply of one that exists. It decides nothing."""

from __future__ import annotations

import logging

from dynamiq_operator.controller.execute import field_managers
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import JSON_PATCH, Client
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model.objects import Manifest

ATTEMPTS = 4
OF_NO_OBJECT = "1"
"""A resourceVersion that no object has: an apply with it creates the object, and is refused if the object exists."""

log = logging.getLogger(__name__)


async def create(client: Client, resource: ApiResource, manifest: Manifest) -> Manifest:
    """Creates the object by apply. It never changes one that exists.

    Raises errors.AlreadyExists if an object of its name exists, whosever it is.
    """
    meta = manifest["metadata"]
    try:
        return await client.apply(resource, {**manifest, "metadata": {**meta, "resourceVersion": OF_NO_OBJECT}})
    except errors.Conflict as error:
        raise errors.AlreadyExists(str(error)) from error


async def apply(client: Client, resource: ApiResource, manifest: Manifest, observed: Manifest) -> Manifest:
    """Applies a manifest to the object as it was observed. Changes by others beside its spec, such as of its status, do not matter.

    Raises errors.Conflict if it is another object, or its spec has changed.
    """
    for _ in range(ATTEMPTS):
        adopted = await adopt(client, resource, manifest, observed)
        try:
            return await _apply(client, resource, manifest, adopted["metadata"])
        except errors.Conflict:
            current = await client.get(resource, observed["metadata"]["namespace"], observed["metadata"]["name"])
            if not _decides_the_same(observed, current):
                raise
            observed = current
    raise errors.Conflict(f"{manifest['kind']} {manifest['metadata']['name']} is written by others again and again")


async def _apply(client: Client, resource: ApiResource, manifest: Manifest, observed: Manifest) -> Manifest:
    """Applies to the object of this metadata, in this version. If that is invalid by what others left in our lists, replaces its spec."""
    version = version_of(observed)
    try:
        return await client.apply(resource, {**manifest, "metadata": {**manifest["metadata"], **version}})
    except errors.Invalid as error:
        log.info("%s is refused as it is, so its lists are replaced: %s", manifest["kind"], error)
    patch = {"metadata": version, "spec": manifest.get("spec", {})}
    return await adopt(client, resource, manifest, await client.patch(resource, observed["namespace"], observed["name"], patch))


def version_of(observed: Manifest) -> Manifest:
    """Returns the metadata by which a write is refused if the object is another one, or was written since."""
    return {key: observed[key] for key in ("uid", "resourceVersion")}


def _decides_the_same(observed: Manifest, current: Manifest) -> bool:
    """Returns True if an object is still the one, with the spec, of a decision. Kinds without a generation are compared by spec."""
    if current["metadata"]["uid"] != observed["metadata"]["uid"]:
        return False
    generation = current["metadata"].get("generation")
    if generation is not None:
        return bool(generation == observed["metadata"].get("generation"))
    return bool(current.get("spec") == observed.get("spec"))


async def adopt(client: Client, resource: ApiResource, manifest: Manifest, observed: Manifest) -> Manifest:
    """Hands to our apply, before it, the fields that become ours or are to be removed; reads the object anew after a conflict.

    Controllers write a workload at once, so conflicts are usual. After the last attempt the fields are left to the next apply.
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
