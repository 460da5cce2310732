"""Reads the keys of the Secrets and ConfigMaps that an App's variables name. It keeps no value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from dynamiq_operator.controller.app_state import CachedKeys
from dynamiq_operator.desired.base import ChildKey
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import BY_KIND

TTL = 2.0
"""Seconds for which the keys of an object are cached: a deploy needs those of one Secret several times."""


async def read_keys(
    client: Client, namespace: str, objects: Iterable[ChildKey], cached: CachedKeys, clock: Callable[[], float]
) -> Mapping[ChildKey, frozenset[str] | None]:
    """Returns the keys of each of `objects`, without those that may not be read. It updates `cached`.

    `clock`: monotonic seconds. Raises errors.ApiError.
    """
    keys: dict[ChildKey, frozenset[str] | None] = {}
    for child in sorted(objects):
        if child not in cached or clock() - cached[child][1] >= TTL:
            try:
                cached[child] = (await _read(client, namespace, child), clock())
            except errors.Denied:
                cached.pop(child, None)
                continue
        keys[child] = cached[child][0]
    for child in cached.keys() - keys.keys():
        del cached[child]
    return keys


async def _read(client: Client, namespace: str, child: ChildKey) -> frozenset[str] | None:
    """Returns the keys of an object; None if it is missing. Binary data of a ConfigMap is left out: a variable cannot take it."""
    try:
        raw = await client.get(BY_KIND[child[0]], namespace, child[1])
    except errors.NotFound:
        return None
    return frozenset(raw.get("data") or ())
