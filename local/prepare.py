"""What a command needs before a cluster can start: built, downloaded or installed, and only what is missing.

What compiles keeps the processors busy, and what is downloaded and installed waits for the network: each is a lane of its own.
"""

from __future__ import annotations

from local import builds, components, envoy, images, packages, steps
from local.progress import say
from local.steps import Step

_TEST_COMPONENTS = (*components.NODE, components.KWOK, components.METRICS_SERVER, *components.GATEWAY)


def for_node() -> None:
    """What a cluster with real pods needs. Raises BuildError, LocalError."""
    _run(builds.missing(components.NODE), packages.missing())


def for_control_plane() -> None:
    """What a cluster with simulated pods needs. Raises BuildError."""
    _run(builds.missing(components.CONTROL_PLANE))


def for_demo(profile: str) -> None:
    """What the demo needs on a cluster of this profile. Raises BuildError, ImageError, LocalError."""
    if profile == "node":
        _run(builds.missing((*components.NODE, *components.GATEWAY)), [*packages.missing(), *envoy.missing(), *images.missing()])
    elif profile == "control-plane":
        for_control_plane()
    else:
        _run(images.missing())


def for_tests() -> None:
    """What `make test` needs. Raises BuildError, ImageError, LocalError."""
    _run(builds.missing(_TEST_COMPONENTS), [*envoy.missing(), *images.missing()])


def _run(*lanes: list[Step]) -> None:
    if number := sum(map(len, lanes)):
        say(f"{number} {'step' if number == 1 else 'steps'} before the start, once per version; builds are kept in {builds.cache_root()}")
    steps.run(*lanes)
