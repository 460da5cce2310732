"""Runs the distribution's Chromium without windows, for tests: names resolve to this machine, and it trusts one certificate.

It installs Chromium and a font with apt-get, as root on Debian; elsewhere it names the packages to install.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, sync_playwright

from local import builds, console_build, pki, steps
from local.errors import LocalError
from local.steps import CommandError, Step, Task
from tests.support.browser import names
from tests.support.ports import free_port

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""The first is Chromium without windows around its pages. A whole one renders these for each page, visible or not."""
LAUNCHED_WITHIN = 180_000.0  # milliseconds
PACKAGES = ("chromium-headless-shell", "fonts-dejavu-core")
WANTED = (
    "the tests of the console drive Chromium, and there is none: install it (Debian: apt-get install chromium-headless-shell fonts-dejavu-core; "
    "Ubuntu: a snap, or Chrome's own package), so that `chromium` or `google-chrome` is on PATH"
)


@dataclass(frozen=True)
class Places:
    """The targets of names: a port of the loopback for each, and the one certificate for all."""

    ports: Mapping[str, int]
    certificate: Path
    key: Path
    authority: Path

    @classmethod
    def made(cls, folder: Path) -> Places:
        issuer = pki.Authority("tests of the console")
        issuer.issue(names.CONSOLE, hosts=[*names.ALL, "127.0.0.1", "localhost"]).write(folder, "names")
        (folder / "ca.crt").write_bytes(issuer.pair.certificate)
        ports = {name: free_port() for name in names.ALL}
        return cls(ports, folder / "names.crt", folder / "names.key", folder / "ca.crt")

    @property
    def flags(self) -> list[str]:
        """Returns Chromium's flags: the port of each name, and trust in the certificate. It caches the accepted answers as usual."""
        rules = ",".join(f"MAP {name} 127.0.0.1:{port}" for name, port in self.ports.items())
        public = x509.load_pem_x509_certificate(self.certificate.read_bytes()).public_key()
        digest = hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
        return [f"--host-resolver-rules={rules}", f"--ignore-certificate-errors-spki-list={base64.b64encode(digest).decode()}"]


def program() -> str:
    """Returns the program. If there is none, raises AssertionError with the packages to install."""
    path = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert path is not None, WANTED
    return path


@contextlib.contextmanager
def launched(*flags: str) -> Iterator[Browser]:
    """Runs a headless Chromium while the block runs."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program(), args=[*sandbox, "--disable-dev-shm-usage", *flags], timeout=LAUNCHED_WITHIN
        )
        try:
            yield browser
        finally:
            browser.close()


def missing() -> list[Step]:
    """Returns the step that installs it, if it is missing. Raises LocalError if it can't be installed."""
    if any(map(shutil.which, PROGRAMS)):
        return []
    if os.geteuid() != 0 or shutil.which("apt-get") is None or "ID=ubuntu" in Path("/etc/os-release").read_text().splitlines():
        raise LocalError(WANTED)
    return [Step(f"apt-get install {' '.join(PACKAGES)}", _install)]


def _install(task: Task) -> str:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with builds.locked("packages"):
        for arguments in (("update",), ("install", "--yes", "--no-install-recommends", *PACKAGES)):
            try:
                task.run(["apt-get", "-qq", *arguments], env=environment, interruptible=False)
            except CommandError as error:
                raise LocalError(f"`apt-get {' '.join(arguments)}` failed:\n{error}") from error
    return ""


def version() -> str:
    """Returns its version, as it prints it."""
    done = subprocess.run([program(), "--version", "--no-sandbox"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main() -> int:
    """Prepares what the tests of the console need beside a cluster, and prints the browser's version; returns the exit code."""
    try:
        steps.run(missing(), [Step("console packages", console_build.checked_out), *console_build.missing()])
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(version())
    return 0


if __name__ == "__main__":
    sys.exit(main())
