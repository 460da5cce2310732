"""What the Secrets and ConfigMaps that variables name have: their keys alone are kept, by name, and no value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import monotonic

from dynamiq_operator.controller.client import Client
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import BY_KIND
from dynamiq_operator.plan.observed.problems import ChildKey

TRUSTED = 2.0
"""Seconds for which what was seen is taken to be so still: a deploy looks at the same Secret several times."""

Seen = dict[ChildKey, tuple[frozenset[str] | None, float]]
"""Keys, or None where there is no such object, and when that was."""


async def look(client: Client, namespace: str, wanted: Iterable[ChildKey], seen: Seen) -> Mapping[ChildKey, frozenset[str] | None]:
    """The keys of each of `wanted`; `seen` is kept up. What may not be read is left out. Raises errors.ApiError."""
    found: dict[ChildKey, frozenset[str] | None] = {}
    for child in sorted(wanted):
        if child not in seen or monotonic() - seen[child][1] >= TRUSTED:
            try:
                seen[child] = (await _keys(client, namespace, child), monotonic())
            except errors.Denied:
                seen.pop(child, None)
                continue
        found[child] = seen[child][0]
    for child in seen.keys() - found.keys():
        del seen[child]
    return found


async def _keys(client: Client, namespace: str, child: ChildKey) -> frozenset[str] | None:
    """A variable takes no binary data of a ConfigMap, so that is no key of it."""
    try:
        found = await client.get(BY_KIND[child[0]], namespace, child[1])
    except errors.NotFound:
        return None
    return frozenset(found.get("data") or ())
