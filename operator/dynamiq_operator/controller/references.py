"""The keys of the Secrets and ConfigMaps that an App's variables name. No value is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from dynamiq_operator.desired.base import ChildKey
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import BY_KIND

TTL = 2.0
"""Seconds for which the keys of an object are cached: a deploy needs those of one Secret several times."""

CachedKeys = dict[ChildKey, tuple[frozenset[str] | None, float]]
"""Keys of an object, None where it is absent, and the monotonic time at which they were read."""


async def read_keys(
    client: Client, namespace: str, wanted: Iterable[ChildKey], cached: CachedKeys, clock: Callable[[], float]
) -> Mapping[ChildKey, frozenset[str] | None]:
    """The keys of each of `wanted`, without those that may not be read; `cached` is updated. `clock`: monotonic seconds. Raises errors.ApiError."""
    found: dict[ChildKey, frozenset[str] | None] = {}
    for child in sorted(wanted):
        if child not in cached or clock() - cached[child][1] >= TTL:
            try:
                cached[child] = (await _read(client, namespace, child), clock())
            except errors.Denied:
                cached.pop(child, None)
                continue
        found[child] = cached[child][0]
    for child in cached.keys() - found.keys():
        del cached[child]
    return found


async def _read(client: Client, namespace: str, child: ChildKey) -> frozenset[str] | None:
    """Binary data of a ConfigMap is left out: a variable cannot take it."""
    try:
        found = await client.get(BY_KIND[child[0]], namespace, child[1])
    except errors.NotFound:
        return None
    return frozenset(found.get("data") or ())
