"""Routes that serve a hostname, by their age: it says whose the hostname is where its claim was lost."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

AppKey = tuple[str, str]
"""Namespace and name of an App."""


class Age(NamedTuple):
    """Of a route; of two the one that sorts first has the hostname. `changed`: its spec was, so it may have had another hostname before.

    `deployed`: when what its App serves was deployed, which a restore leaves as it was: of two routes of one second it is what tells them apart.
    """

    changed: bool
    created: datetime
    deployed: datetime

    def precedes(self, claimed: datetime) -> bool:
        """Whether the route had its hostname before that. A caller who may edit a route could give an old one any hostname."""
        return not self.changed and self.created < claimed


@dataclass(frozen=True)
class Serving:
    """What an App serves a hostname by. `wanted`: whether the App has this hostname still."""

    age: Age
    wanted: bool


@dataclass(frozen=True)
class LostClaim:
    """A claim to be made again. `others`: Apps whose routes have the hostname, too, oldest first; `tied`: whether the first of them is as old."""

    hostname: str
    app: AppKey
    since: datetime
    others: tuple[AppKey, ...] = ()
    tied: bool = False


def in_order(serving: Mapping[AppKey, Age]) -> list[AppKey]:
    """The Apps by the age of their routes, oldest first; those that are as old as each other by namespace and name."""
    return sorted(serving, key=lambda app: (serving[app], app))


def lost_claims(served: Mapping[str, Mapping[AppKey, Serving]], claimed: Container[str]) -> Iterator[LostClaim]:
    """The claims of hostnames that are served and that nobody has claimed, the oldest first. `served`: by hostname, the Apps that serve it.

    An App that wants another hostname by now has the claim as long as its route is there, and then, as ever, for the time that it is kept. A route
    that was changed says nothing of that: it may have been given the hostname a moment ago.
    """
    found = []
    for hostname, apps in served.items():
        ages = {app: each.age for app, each in apps.items() if each.wanted or not each.age.changed}
        if hostname in claimed or not ages:
            continue
        first, *others = in_order(ages)
        tied = bool(others) and ages[others[0]] == ages[first]
        found.append((ages[first], LostClaim(hostname, first, ages[first].created, tuple(others), tied)))
    yield from (lost for _, lost in sorted(found, key=lambda each: (each[0], each[1].hostname)))
