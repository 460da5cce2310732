"""Builds, downloads or installs what a command needs before a cluster starts, and only what is missing.

One lane compiles Kubernetes and what runs beside it. The other lane downloads and installs, which waits for the network. It also compiles
Contour, which uses the processors while Kubernetes' packages wait for one another.
"""

from __future__ import annotations

from local import builds, components, envoy, images, packages, steps
from local.progress import say
from local.resolver import Profile
from local.steps import Step

FOR_TESTS = (*components.NODE, components.KWOK, components.METRICS_SERVER)


def for_cluster(profile: Profile) -> None:
    """Prepares a cluster of this profile. Raises BuildError, LocalError."""
    if profile == "node":
        _run(builds.missing(components.NODE), packages.missing())
    elif profile == "control-plane":
        _run(builds.missing(components.CONTROL_PLANE))


def for_demo(profile: Profile) -> None:
    """Prepares the demo: a cluster, the images, and a gateway if the node can be entered. Raises BuildError, ImageError, LocalError."""
    if profile == "node":
        beside = [*packages.missing(), *envoy.missing(), *images.missing(), *builds.missing(components.GATEWAY)]
        _run(builds.missing(components.NODE), beside)
    elif profile == "kind":
        _run(images.missing())
    else:
        for_cluster(profile)


def for_release(profile: Profile) -> None:
    """Prepares the demo without images, which a release brings. Raises BuildError, LocalError."""
    if profile == "node":
        beside = [*packages.missing(), *envoy.missing(), *builds.missing(components.GATEWAY)]
        _run(builds.missing(components.NODE), beside)
    else:
        for_cluster(profile)


def for_tests() -> None:
    """Prepares `make test`. Raises BuildError, ImageError, LocalError."""
    tools = builds.missing((*components.GATEWAY, components.HELM, components.OTELCOL, components.HEALTH))
    beside = [*envoy.missing(), *images.missing(), *tools]
    _run(builds.missing(FOR_TESTS), beside)


def _run(*lanes: list[Step]) -> None:
    if number := sum(map(len, lanes)):
        say(f"{number} {'step' if number == 1 else 'steps'} first, once per version; builds are kept in {builds.cache_root()}")
    steps.run(*lanes)
