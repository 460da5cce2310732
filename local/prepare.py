"""What a command needs before a cluster starts: built, downloaded or installed, and only what is missing.

One lane compiles Kubernetes and what runs beside it. The other downloads and installs, which waits for the network, and compiles
Contour, which uses the processors when Kubernetes' packages wait for one another.
"""

from __future__ import annotations

from local import builds, components, envoy, images, packages, steps
from local.progress import say
from local.resolver import Profile
from local.steps import Step

FOR_TESTS = (*components.NODE, components.KWOK, components.METRICS_SERVER)


def for_cluster(profile: Profile) -> None:
    """What a cluster of this profile is made of. Raises BuildError, LocalError."""
    if profile == "node":
        _run(builds.missing(components.NODE), packages.missing())
    elif profile == "control-plane":
        _run(builds.missing(components.CONTROL_PLANE))


def for_demo(profile: Profile) -> None:
    """What the demo needs: a cluster, the images, and where it can be entered a gateway. Raises BuildError, ImageError, LocalError."""
    if profile == "node":
        beside = [*packages.missing(), *envoy.missing(), *images.missing(), *builds.missing(components.GATEWAY)]
        _run(builds.missing(components.NODE), beside)
    elif profile == "kind":
        _run(images.missing())
    else:
        for_cluster(profile)


def for_release(profile: Profile) -> None:
    """What the demo needs where a release brings the images. Raises BuildError, LocalError."""
    if profile == "node":
        beside = [*packages.missing(), *envoy.missing(), *builds.missing(components.GATEWAY)]
        _run(builds.missing(components.NODE), beside)
    else:
        for_cluster(profile)


def for_tests() -> None:
    """What `make test` needs. Raises BuildError, ImageError, LocalError."""
    tools = builds.missing((*components.GATEWAY, components.HELM, components.OTELCOL, components.HEALTH))
    beside = [*envoy.missing(), *images.missing(), *tools]
    _run(builds.missing(FOR_TESTS), beside)


def _run(*lanes: list[Step]) -> None:
    if number := sum(map(len, lanes)):
        say(f"{number} {'step' if number == 1 else 'steps'} first, once per version; builds are kept in {builds.cache_root()}")
    steps.run(*lanes)
