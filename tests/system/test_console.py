"""Tests `make console`: a cluster with the demo's Apps, the console on it, and a sign-in by its printed commands, until Ctrl-C."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from local import clusters, console, console_build, state
from tests.system.support.opened import opened

HERE = ("--profile", "control-plane")
ANSWERS_WITHIN = 120  # seconds


@pytest.fixture(scope="module")
def name() -> Iterator[str]:
    name = f"t{os.getpid()}-console"
    yield name
    clusters.stop(name)


def signed_in(origin: str, token: str, verify: Path | None = None) -> requests.Session:
    """Returns a session that signed in like the console's own page, with its cookies."""
    session = requests.Session()
    session.trust_env = False  # it would use a machine's certificates instead of ours
    session.headers.update({"Sec-Fetch-Site": "same-origin", "Origin": origin, "X-Dynamiq-Console": "1"})
    if verify is not None:
        session.verify = str(verify)
    answer = session.post(f"{origin}/console/session", json={"token": token}, timeout=ANSWERS_WITHIN)
    assert answer.status_code == 201, answer.text
    # requests, unlike a browser, sends no Secure cookie to localhost by http
    session.headers["Cookie"] = "; ".join(f"{cookie.name}={cookie.value}" for cookie in session.cookies)
    session.cookies.clear()
    return session


def test_it_serves_the_console_of_this_checkout_by_tls_to_whom_its_lines_sign_in(name: str, tmp_path: Path) -> None:
    """The other run is without TLS."""
    with opened(name, tmp_path / "said", *HERE, "--tls") as console_:
        origin = console_.origin()
        assert origin.startswith("https://")
        authority = state.folder(name) / "console" / "ca.crt"
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{origin}/console/", timeout=ANSWERS_WITHIN)
        for user in console.USERS:
            caller = signed_in(origin, console_.token(user), authority)
            assert (
                caller.get(f"{origin}/console/", timeout=ANSWERS_WITHIN).text == (console_build.ensure() / console_build.SHELL).read_text()
            )
            apps = caller.get(f"{origin}/v1/apps", timeout=ANSWERS_WITHIN).json()["data"]
            assert "Customer support" in [app["name"] for app in apps]
        assert (state.folder(name) / "console" / "tls.key").stat().st_mode & 0o077 == 0
        assert ssl.create_default_context(cafile=str(authority)).cert_store_stats()["x509_ca"] == 1
        assert console_.end() == 0
        assert "the cluster goes on running" in console_.said.splitlines()[-1]
    assert clusters.find(name) is not None
    with pytest.raises(requests.ConnectionError):
        caller.get(f"{origin}/console/", timeout=5)


def test_a_second_run_takes_the_demo_over_and_serves_the_sources_by_vite_with_the_same_api(name: str, tmp_path: Path) -> None:
    with opened(name, tmp_path / "said", *HERE, "--dev") as console_:
        assert "the demo's Apps are there" in console_.said
        origin = console_.origin()
        assert "/console/src/main.tsx" in requests.get(f"{origin}/console/", timeout=ANSWERS_WITHIN).text
        caller = signed_in(origin, console_.token("deployer"))
        assert caller.get(f"{origin}/v1/apps", timeout=ANSWERS_WITHIN).status_code == 200
        assert console_.end() == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{origin}/console/", timeout=5)


def test_a_port_that_is_taken_is_named(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        assert console.main(["--name", name, "--profile", "control-plane", "--port", str(port)]) == 1
    assert f"port {port} of the loopback is taken" in capfd.readouterr().err
