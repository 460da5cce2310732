"""The Kubernetes that is used on each machine, and the message if the wanted one is not possible."""

from __future__ import annotations

from dataclasses import replace

import pytest

from local.errors import LocalError
from local.resolver import Choice, Machine, decide

BARE_ROOT = Machine(docker_answers=False, kind_installed=False, is_linux=True, is_root=True)
DOCKER = replace(BARE_ROOT, docker_answers=True)
KIND = replace(DOCKER, kind_installed=True)
USER = replace(BARE_ROOT, is_root=False)
MAC = replace(USER, is_linux=False)


def choose(machine: Machine, env: dict[str, str], profile: str | None = None) -> Choice:
    return decide(env, profile, lambda: machine)


@pytest.mark.parametrize(
    ("machine", "env", "profile", "expected"),
    [
        (KIND, {"CLUSTER": "mine"}, None, "context"),
        (KIND, {}, None, "kind"),
        (replace(KIND, is_linux=False), {}, None, "kind"),
        (DOCKER, {}, None, "node"),
        (BARE_ROOT, {}, None, "node"),
        (USER, {}, None, "control-plane"),
        (KIND, {"PROFILE": "node"}, None, "node"),
        (KIND, {"PROFILE": "node"}, "control-plane", "control-plane"),
        (BARE_ROOT, {"PROFILE": "control-plane"}, None, "control-plane"),
        (KIND, {"KUBERNETES": "1.36"}, None, "node"),
        (replace(KIND, is_root=False), {"KUBERNETES": "1.36"}, None, "control-plane"),
        (KIND, {"KUBERNETES": "1.36", "PROFILE": "control-plane"}, None, "control-plane"),
    ],
)
def test_the_best_profile_is_taken(machine: Machine, env: dict[str, str], profile: str | None, expected: str) -> None:
    assert choose(machine, env, profile).profile == expected


def test_docker_without_kind_names_the_installation(capsys: pytest.CaptureFixture[str]) -> None:
    choose(DOCKER, {})
    assert "kind is not on PATH: install it" in capsys.readouterr().out


def test_a_context_is_taken_without_a_look_at_the_machine() -> None:
    def look() -> Machine:
        raise AssertionError

    assert decide({"CLUSTER": "mine"}, None, look).context == "mine"


@pytest.mark.parametrize(
    ("machine", "env", "message"),
    [
        (KIND, {"PROFILE": "nodes"}, "there is no profile 'nodes'"),
        (KIND, {"PROFILE": "node", "CLUSTER": "mine"}, "both CLUSTER=mine and the profile node"),
        (DOCKER, {"PROFILE": "kind"}, "needs a Docker that answers .* and `kind` on PATH"),
        (USER, {"PROFILE": "node"}, "needs root on Linux; PROFILE=control-plane needs neither"),
        (MAC, {}, "on Linux only: here, install Docker and kind"),
        (KIND, {"KUBERNETES": "1.36", "CLUSTER": "mine"}, "KUBERNETES=1.36 says what is built here, and mine has a Kubernetes of its own"),
        (KIND, {"KUBERNETES": "1.36", "PROFILE": "kind"}, "KUBERNETES=1.36 says what is built here, and kind has a Kubernetes of its own"),
        (replace(KIND, is_linux=False), {"KUBERNETES": "1.36"}, "KUBERNETES=1.36 is built, and what is built runs on Linux only"),
    ],
)
def test_a_wish_that_can_not_be_met_is_refused(machine: Machine, env: dict[str, str], message: str) -> None:
    with pytest.raises(LocalError, match=message):
        choose(machine, env)
