"""Runs an OpenID Connect provider of another site, which the API server trusts, with the console's client of it."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from local import builds, console_build, steps
from local.clusters import Cluster
from local.steps import Step, Task
from tests.support import programs
from tests.support.api import Api
from tests.support.browser import names
from tests.support.browser.chromium import Places
from tests.support.browser.served import answers
from tests.support.cluster import REPOSITORY
from tests.support.waiting import eventually

SOURCE = REPOSITORY / "tests" / "console" / "provider"
RESOLVING = REPOSITORY / "tests" / "support" / "browser" / "resolving"
ISSUER = f"https://{names.LOGIN}"
CLIENT = "dynamiq-console"
CALLBACK = f"https://{names.SSO}/console/oidc/callback"
WELL_KNOWN = "/.well-known/openid-configuration"
BRIEF = 45
"""Seconds for which an ID token of `brief@…` is valid. A sign-in takes some of them on a busy machine."""

RELOADED_WITHIN = 300.0
"""Seconds until the API server has read a change: without a notification it checks once a minute."""


@dataclass(frozen=True)
class Provider:
    """A running provider. `secret`: the file with the client's secret."""

    log: Path
    secret: Path
    places: Places

    @property
    def options(self) -> tuple[str, ...]:
        """Options of the API for signing in by this provider."""
        given = {
            "--oidc-issuer": ISSUER,
            "--oidc-client-id": CLIENT,
            "--oidc-client-secret-file": self.secret,
            "--oidc-ca-file": self.places.authority,
            "--oidc-name": "Example",
        }
        return tuple(str(each) for pair in given.items() for each in pair)

    @property
    def environment(self) -> dict[str, str]:
        """Returns variables of the API's process, for which the provider's name must resolve to the same port as in the browser."""
        port = self.places.ports[names.LOGIN]
        return {"PYTHONPATH": f"{RESOLVING}:{REPOSITORY / 'operator'}", "TEST_NAMES": f"{names.LOGIN}={port}"}


@contextlib.contextmanager
def running(folder: Path, places: Places) -> Iterator[Provider]:
    """Runs the provider as a process until the block ends."""
    steps.run([Step("provider packages", _packages)])
    secret, log = folder / "client-secret", folder / "provider.log"
    secret.write_text(secrets.token_urlsafe(32))
    port = places.ports[names.LOGIN]
    settings = {
        "issuer": ISSUER,
        "port": port,
        "cert": str(places.certificate),
        "key": str(places.key),
        "client": {"id": CLIENT, "secret": secret.read_text(), "redirect": CALLBACK},
        "brief": BRIEF,
    }
    environment = console_build.environment() | {"PROVIDER": json.dumps(settings)}
    command: list[str | Path] = [console_build.node(), "server.mjs"]
    with programs.running(command, log, lambda: answers(places, port, WELL_KNOWN), environment=environment, cwd=SOURCE):
        yield Provider(log, secret, places)


@contextlib.contextmanager
def trusted(cluster: Cluster, places: Places) -> Iterator[None]:
    """Lets the API server accept the provider's ID tokens while the block runs: users by address, and their groups."""
    config = cluster.kubeconfig.parent / "etc" / "authentication.yaml"
    assert config.exists(), "the API server of this cluster cannot be told of a provider: these tests need one of `python -m local up`"
    before, api = config.read_text(), Api.of(cluster)
    settings = yaml.safe_load(before)
    settings["jwt"] = [
        {
            "issuer": {
                "url": ISSUER,
                "discoveryURL": f"https://127.0.0.1:{places.ports[names.LOGIN]}{WELL_KNOWN}",
                "certificateAuthority": places.authority.read_text(),
                "audiences": [CLIENT],
            },
            "claimMappings": {"username": {"claim": "email", "prefix": ""}, "groups": {"claim": "groups", "prefix": ""}},
        }
    ]
    reloads = _reloads(api)
    _replace(config, yaml.safe_dump(settings))
    try:
        eventually("the API server knows the provider", lambda: _reloads(api) > reloads, RELOADED_WITHIN, 0.5)
        yield
    finally:
        _replace(config, before)


def _replace(config: Path, text: str) -> None:
    """Replaces the file in one step, because the API server reads it at once."""
    partial = config.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(config)


def _reloads(api: Api) -> float:
    """Returns how often the API server has loaded a change of its configuration."""
    name = "apiserver_authentication_config_controller_automatic_reloads_total{"
    lines = api.request("GET", "/metrics", accept="text/plain").message.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name) and 'status="success"' in line)


def _packages(task: Task) -> str:
    with builds.locked("console"):
        console_build.packages(SOURCE, task)
    return ""
