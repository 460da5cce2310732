"""Serves the API with the console, over TLS by its name, on a cluster with an operator and the admission policies, and makes its users."""

from __future__ import annotations

import contextlib
import json
import ssl
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from local.clusters import Cluster
from tests.support import rest
from tests.support.api import Api
from tests.support.browser import names
from tests.support.browser.chromium import Places


@dataclass(frozen=True)
class User:
    """A person with a token."""

    name: str
    token: str


@dataclass(frozen=True)
class Answered:
    """An answered request; `caller`: the authenticated user, if known."""

    method: str
    route: str
    status: int
    caller: str


@dataclass(frozen=True)
class Served:
    """One process of the API."""

    host: str
    port: int
    log: Path

    @property
    def origin(self) -> str:
        return f"https://{self.host}"

    def answered(self) -> list[Answered]:
        """Returns all answered requests so far, by its own log."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if '"dynamiq.access"' in line]
        return [Answered(line["method"], line.get("route", ""), line["status"], line.get("caller", "")) for line in lines]


@contextlib.contextmanager
def serving(
    login: Path, folder: Path, places: Places, host: str = names.CONSOLE, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """Serves the API of this checkout at `host` while the block runs."""
    port = places.ports[host]
    log = folder / f"{host}.log"
    tls = ("--tls-cert", str(places.certificate), "--tls-key", str(places.key))
    flags = (*tls, "--console-url", f"https://{host}", *options)
    with rest.process(login, log, port, *flags, answers=lambda: answers(places, port), environment=environment):
        yield Served(host, port, log)


def answers(places: Places, port: int, path: str = "/readyz") -> bool:
    """Returns True if the server at a port, with the names' certificate, is ready."""
    try:
        with urllib.request.urlopen(
            f"https://127.0.0.1:{port}{path}", timeout=5, context=ssl.create_default_context(cafile=str(places.authority))
        ) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def users(cluster: Cluster, namespace: str) -> dict[str, User]:
    """Returns users of a namespace: an administrator, a deployer, and a viewer."""
    api, by_name = Api.of(cluster), {}
    for name, role in (("admin", "admin"), ("deployer", "dynamiq-deployer"), ("viewer", "view")):
        token = rest.account(api, namespace, name, role)
        rest.bind(api, "", name, "dynamiq-runtimes", namespace)
        by_name[name] = User(name, token)
    return by_name
