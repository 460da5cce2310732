"""Opens the web console on the demo's cluster: `make console`, and `make console-dev` from its sources.

It starts the cluster and runs the demo, if that has not been done. The management API then runs as a process of this machine under its own
account, until Ctrl-C; the cluster keeps running. People sign in with a token of an account of the demo's namespace; the console has that
account's rights alone. It listens only on the loopback.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from local import clusters, console_build, controlplane, demo, gateway, pki, prepare, recorder, steps
from local.clusters import Cluster
from local.errors import LocalError
from local.images import REPOSITORY
from local.operators import NAMESPACE as SYSTEM
from local.progress import say, wait_for
from local.state import DEFAULT_NAME
from local.steps import Step
from local.transcript import Transcript, heading

PORT, DEV_PORT = 8080, 5173
ACCOUNT = "dynamiq-api"
ACCOUNT_LIVES, TOKEN_LIVES = "720h", "8h"
USERS = {
    "admin": "all there is in namespace demo",
    "deployer": "deploys and rolls back, and changes nothing else",
    "viewer": "sees everything in it, and no Secret",
}
STARTS_WITHIN, ENDS_WITHIN = 180.0, 40.0  # seconds
LOG_TAIL = 2000  # bytes


@dataclass(frozen=True)
class Address:
    """The address at which the console is opened. All browsers but Safari keep its cookies over plain HTTP at localhost; Safari needs TLS."""

    port: int
    tls: bool = False

    @property
    def origin(self) -> str:
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"


@dataclass(frozen=True)
class Console:
    """The console on one cluster. `folder` holds the files of its processes."""

    cluster: Cluster
    kubectl: Transcript
    folder: Path

    @classmethod
    def on(cls, cluster: Cluster) -> Console:
        folder = cluster.kubeconfig.parent / "console"
        folder.mkdir(exist_ok=True)
        return cls(cluster, Transcript(cluster, REPOSITORY), folder)

    def let_in(self) -> None:
        """Creates the accounts that people sign in with, and the one that the API runs under. Raises LocalError."""
        heading("Who may sign in, and what the API itself may do")
        if not self.kubectl.ask("get", "clusterrole", "dynamiq-deployer", "-o", "name"):
            self.kubectl.run("apply", "-f", "manifests/rbac/users.yaml")
        users = self.folder / "users.yaml"
        users.write_text(controlplane.render("console-users.yaml", namespace=demo.NAMESPACE))
        self.kubectl.run("apply", "-f", str(users))
        if not self.kubectl.ask("get", "clusterrolebinding", ACCOUNT, "-o", "name"):
            self.kubectl.run("apply", "-n", SYSTEM, "-f", "manifests/api/service-account.yaml", "-f", "manifests/api/rbac.yaml")

    def login(self) -> Path:
        """Writes a kubeconfig that logs in as the API's account; returns its path. Raises LocalError."""
        token = self.kubectl.ask("create", "token", ACCOUNT, "-n", SYSTEM, f"--duration={ACCOUNT_LIVES}").strip()
        config = yaml.safe_load(self.kubectl.ask("config", "view", "--minify", "--raw", "--flatten"))
        if not token or not config:
            raise LocalError(f"the cluster gives no token for the account {ACCOUNT} of namespace {SYSTEM}")
        config["users"][0]["user"] = {"token": token}
        path = self.folder / "api.kubeconfig"
        pki.write_private(path, yaml.safe_dump(config).encode())
        return path

    @contextlib.contextmanager
    def serving(self, address: Address, settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        """Runs the management API as a process, ready on entry, until the block ends. Raises LocalError."""
        log = self.folder / "api.log"
        command = [sys.executable, "-m", "dynamiq_operator", "api", "--kubeconfig", str(self.login()), "--port", str(address.port)]
        command += [f"--{name}={value}" for name, value in settings.items()]
        if address.tls:
            issuer = pki.Authority("dynamiq console")
            (self.folder / "ca.crt").write_bytes(issuer.pair.certificate)
            issuer.issue("localhost", hosts=["localhost", "127.0.0.1"]).write(self.folder, "tls")
            command += ["--tls-cert", str(self.folder / "tls.crt"), "--tls-key", str(self.folder / "tls.key")]
        say(f"$ {shlex.join(['python', *command[1:]])} &")
        say(f"its log: {log}")
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=_environment(), stdout=output, stderr=output, start_new_session=True)

        def alive() -> None:
            if process.poll() is not None:
                raise LocalError(f"the API ended with exit code {process.returncode}; the end of {log}:\n{_tail(log)}")

        try:
            authority = self.folder / "ca.crt" if address.tls else None
            wait_for("the API", lambda: _answers(f"{address.origin}/readyz", authority), seconds=STARTS_WITHIN, every=0.1, still=alive)
            yield process
            alive()
        finally:
            _end(process)

    def print_instructions(self, origin: str) -> None:
        """Prints how to open it and to sign in."""
        heading("The console")
        say(f"open:       {origin}/console/")
        say(f"sign in:    with the token that one of these prints; it lives {TOKEN_LIVES}")
        kubectl = f"KUBECONFIG={shlex.quote(str(self.cluster.kubeconfig))} {shlex.quote(str(self.cluster.kubectl))}"
        for user, may in USERS.items():
            say(f"  {kubectl} create token {user} -n {demo.NAMESPACE} --duration={TOKEN_LIVES}    # {may}")
        if origin.startswith("http:"):
            say("browsers:   all but Safari, which keeps its cookies from plain HTTP: make console TLS=1")
        else:
            say("browsers:   they ask once whether the certificate is trusted: it was made for this cluster a moment ago")
        say("stop:       Ctrl-C; the cluster goes on running")


def main(arguments: list[str] | None = None) -> int:
    """Serves the console until Ctrl-C and returns the exit status: 0, or 1 with one message on standard error."""
    options = _parser().parse_args(arguments)
    try:
        cluster = _demo_cluster(options.name, options.profile)
        if cluster is None:
            return 1
        if options.dev:
            _develop(Console.on(cluster), Address(options.port or DEV_PORT))
        else:
            _serve(Console.on(cluster), Address(options.port or PORT, options.tls))
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("\nthe console is closed; the cluster goes on running, `make cluster-down` removes it")
    return 0


def _parser() -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m local.console", description=__doc__, formatter_class=layout)
    parser.add_argument("--name", default=DEFAULT_NAME, help="the cluster's name (default: %(default)s)")
    parser.add_argument("--profile", choices=("node", "control-plane", "kind"), help="force a profile; see `python -m local --help`")
    parser.add_argument("--port", type=int, help=f"port of the loopback to serve at (default: {PORT}, with --dev {DEV_PORT})")
    parser.add_argument("--tls", action="store_true", help="serve HTTPS with a certificate made for it; Safari needs that")
    parser.add_argument(
        "--dev", action="store_true", help="serve the sources by Vite, which shows each change at once, in place of what is built"
    )
    return parser


def _demo_cluster(name: str, profile: str | None) -> Cluster | None:
    """Returns a cluster with the demo's Apps; runs the demo if they are missing. None if that failed and printed why."""
    heading("A Kubernetes")
    cluster = clusters.start(name, profile, prepared=prepare.for_demo)
    if Transcript(cluster, REPOSITORY).ask("get", "app", "support", "-n", demo.NAMESPACE, "-o", "name"):
        say(f"the demo's Apps are there, in namespace {demo.NAMESPACE}")
        return cluster
    options = [f"--profile={profile}"] if profile else []
    return cluster if demo.main(["--name", name, *options]) == 0 else None


def _serve(console: Console, address: Address) -> None:
    console_build.install()
    _require_free(address.port)
    console.let_in()
    heading("The management API, which serves it")
    with console.serving(address, _settings(console)) as api:
        console.print_instructions(address.origin)
        api.wait()


def _develop(console: Console, address: Address) -> None:
    steps.run([Step("console packages", console_build.checked_out)])
    _require_free(address.port)
    console.let_in()
    heading("The management API, and Vite in front of it")
    api = Address(controlplane.free_ports(["api"])["api"])
    with console.serving(api, _settings(console)):
        environment = console_build.environment() | {"DYNAMIQ_API": f"http://127.0.0.1:{api.port}"}
        program = console_build.SOURCE / "node_modules" / "vite" / "bin" / "vite.js"
        vite = subprocess.Popen(
            [console_build.node(), program, f"--port={address.port}"], cwd=console_build.SOURCE, env=environment, start_new_session=True
        )

        def alive() -> None:
            if vite.poll() is not None:
                raise LocalError(f"Vite ended with exit code {vite.returncode}, as it says above")

        try:
            wait_for("Vite", lambda: _answers(f"{address.origin}/console/"), seconds=STARTS_WITHIN, every=0.1, still=alive)
            console.print_instructions(address.origin)
            vite.wait()
            alive()
        finally:
            _end(vite)


def _settings(console: Console) -> dict[str, str]:
    """Returns the API's settings for the gateway in front of the Apps, and for the recorder of their runs."""
    if console.cluster.profile != "node":
        return {}
    settings = gateway.start(console.cluster).settings
    url = recorder.reached(console.cluster, console.kubectl)
    return {name: settings[name] for name in ("domain", "public-scheme", "public-port")} | ({"recorder": url} if url else {})


def _answers(url: str, authority: Path | None = None) -> bool:
    context = ssl.create_default_context(cafile=str(authority)) if authority is not None else None
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:  # noqa: S310 - of our own processes
            return bool(answer.status == 200)
    except OSError:
        return False


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(REPOSITORY / "operator")}


def _require_free(port: int) -> None:
    if not controlplane.is_free(port):
        raise LocalError(f"port {port} of the loopback is taken: end what listens there, or name another with PORT=…")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a running process as Kubernetes would end a pod."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()


def _tail(log: Path) -> str:
    return log.read_bytes()[-LOG_TAIL:].decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
