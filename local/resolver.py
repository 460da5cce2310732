"""Chooses the best Kubernetes that this machine can have, and explains the choice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from local.errors import LocalError
from local.progress import say

Profile = Literal["context", "kind", "node", "control-plane"]
FORCEABLE = get_args(Profile)[1:]
DOCKER_TIMEOUT = 10  # seconds


@dataclass(frozen=True)
class Machine:
    """The facts about this machine that the choice depends on."""

    docker_answers: bool
    kind_installed: bool
    is_linux: bool
    is_root: bool


@dataclass(frozen=True)
class Choice:
    """A profile and why it was chosen; `context` names the kube context of the profile of that name."""

    profile: Profile
    reason: str
    context: str = ""


def choose(env: Mapping[str, str], profile: str | None = None) -> Choice:
    """Returns the choice for this machine. Raises LocalError for a profile that this machine can't have."""
    return decide(env, profile, inspect_machine)


def inspect_machine() -> Machine:
    """Inspects this machine; calls Docker, which may take seconds."""
    return Machine(_docker_answers(), shutil.which("kind") is not None, sys.platform == "linux", os.geteuid() == 0)


def decide(env: Mapping[str, str], profile: str | None, inspect: Callable[[], Machine]) -> Choice:
    """Returns the choice for the machine that `inspect` returns; it is called only if needed. `profile` precedes `$PROFILE`."""
    context, forced, version = env.get("CLUSTER", ""), profile or env.get("PROFILE", ""), env.get("KUBERNETES", "")
    if forced and forced not in FORCEABLE:
        raise LocalError(f"there is no profile {forced!r}: choose one of {', '.join(FORCEABLE)}")
    if forced and context:
        raise LocalError(f"both CLUSTER={context} and the profile {forced} are asked for: choose one")
    if version and (context or forced == "kind"):
        raise LocalError(
            f"KUBERNETES={version} says what is built here, and {context or 'kind'} has a Kubernetes of its own: name one of them"
        )
    if context:
        return Choice("context", f"CLUSTER={context} asks for that kube context", context)
    machine = inspect()
    if not machine.is_linux and not (machine.docker_answers and machine.kind_installed):
        raise LocalError("the components run on Linux only: here, install Docker and kind, or name a kube context in CLUSTER")
    return _forced(forced, machine) if forced else _built(machine, version) if version else _best(machine)


def _built(machine: Machine, version: str) -> Choice:
    """Returns the best profile that builds its Kubernetes, for a requested version."""
    if not machine.is_linux:
        raise LocalError(f"KUBERNETES={version} is built, and what is built runs on Linux only")
    if machine.is_root:
        return Choice("node", f"KUBERNETES={version} is built here, and this is root on Linux")
    return Choice("control-plane", f"KUBERNETES={version} is built here, and this is not root, which real pods need")


def _best(machine: Machine) -> Choice:
    if machine.docker_answers and machine.kind_installed:
        return Choice("kind", "Docker answers")
    if machine.docker_answers:
        say("Docker answers, but kind is not on PATH: install it (https://kind.sigs.k8s.io) to use it; going on without")
    if machine.is_linux and machine.is_root:
        return Choice("node", "kind can't be used, and this is root on Linux")
    return Choice("control-plane", "neither kind can be used nor is this root on Linux, which real pods need")


def _forced(profile: str, machine: Machine) -> Choice:
    if profile == "kind":
        if not (machine.docker_answers and machine.kind_installed):
            raise LocalError("the kind profile needs a Docker that answers `docker info` and `kind` on PATH")
        return Choice("kind", "it was asked for")
    if profile == "node":
        if not (machine.is_linux and machine.is_root):
            raise LocalError("the node profile needs root on Linux; PROFILE=control-plane needs neither")
        return Choice("node", "it was asked for")
    return Choice("control-plane", "it was asked for")


def _docker_answers() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        return subprocess.run([docker, "info"], capture_output=True, timeout=DOCKER_TIMEOUT, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
