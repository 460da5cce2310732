"""Orders the routes that serve a hostname by age: the oldest gets the hostname if its claim was lost. It claims nothing."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

AppKey = tuple[str, str]
"""Namespace and name of an App."""


class Age(NamedTuple):
    """The age of a route; of two routes, the one that sorts first has the hostname.

    `changed`: its spec was changed, so it may have had another hostname. `deployed`: when its App's live row was deployed. A restore keeps
    that time, so it orders routes of the same second.
    """

    changed: bool
    created: datetime
    deployed: datetime

    def precedes(self, claimed: datetime) -> bool:
        """Returns True if the route had its hostname before `claimed`."""
        # Only unchanged routes count: whoever may edit a route could give an old one any hostname.
        return not self.changed and self.created < claimed


@dataclass(frozen=True)
class Serving:
    """A route by which an App serves a hostname. `wanted`: True if the App still wants this hostname."""

    age: Age
    wanted: bool


@dataclass(frozen=True)
class LostClaim:
    """A claim to be created again. `others`: other Apps whose routes have the hostname, oldest first. `tied`: the first is as old."""

    hostname: str
    app: AppKey
    since: datetime
    others: tuple[AppKey, ...] = ()
    tied: bool = False


def in_order(serving: Mapping[AppKey, Age]) -> list[AppKey]:
    """Returns the Apps by the age of their routes, oldest first, and then by namespace and name."""
    return sorted(serving, key=lambda app: (serving[app], app))


def lost_claims(served: Mapping[str, Mapping[AppKey, Serving]], claimed: Container[str]) -> Iterator[LostClaim]:
    """Yields the lost claims: of hostnames that are served and that no App claims, oldest first. `served`: by hostname, its Apps.

    An App that wants another hostname keeps the claim while its route exists, and then for the usual time.
    """
    aged_claims = []
    for hostname, apps in served.items():
        # A changed route of such an App proves nothing: it may have got the hostname a moment ago.
        ages = {app: each.age for app, each in apps.items() if each.wanted or not each.age.changed}
        if hostname in claimed or not ages:
            continue
        first, *others = in_order(ages)
        tied = bool(others) and ages[others[0]] == ages[first]
        aged_claims.append((ages[first], LostClaim(hostname, first, ages[first].created, tuple(others), tied)))
    yield from (lost for _, lost in sorted(aged_claims, key=lambda each: (each[0], each[1].hostname)))
