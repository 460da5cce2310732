"""Runs the command line: `python -m local up|down|status|env|gateway|metrics|build|load`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from local import clusters, gateway, images, metrics, prepare, processes, state
from local.errors import LocalError
from local.progress import say
from local.resolver import FORCEABLE

DESCRIPTION = """\
A real Kubernetes on this machine. `up` chooses the best one possible, in this order, and says which and why:
  1. the kube context that CLUSTER names        (used as it is, never stopped or deleted)
  2. kind, where `docker info` answers
  3. the node profile, as root on Linux         (real components, real pods, no Docker)
  4. the control-plane profile                  (real control plane, simulated pods, no root)
KUBERNETES=1.36 in the environment builds that Kubernetes for the third or fourth; docs/versions.md has which there are.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns the exit status: 0, or 1 with one message on standard error."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the next `up` or `down` cleans up", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m local", description=DESCRIPTION, formatter_class=layout)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        added.add_argument("--name", default=state.DEFAULT_NAME, help="the cluster's name (default: %(default)s)")
        return added

    up = command("up", _up, "start a cluster, or say that it runs already")
    up.add_argument("--profile", choices=FORCEABLE, help="force a profile; the environment variable PROFILE does the same")
    up.add_argument("--nodes", type=int, default=1, help="simulated nodes, for the control-plane profile (default: %(default)s)")
    up.add_argument("--gateway", action="store_true", help="start its gateway as well")
    up.add_argument("--metrics", action="store_true", help="start its metrics-server as well, for autoscalers and kubectl top")
    down = command("down", _down, "stop a cluster and remove its processes, mounts and files")
    down.add_argument("--all", action="store_true", help="every cluster that has a record")
    command("status", _status, "list the clusters")
    command("env", _env, 'print what a shell needs: eval "$(python -m local env)"')
    command("gateway", _gateway, "start the gateway of a cluster (Contour and Envoy), or say where it answers")
    command("metrics", _metrics, "start the metrics-server of a cluster: autoscalers and kubectl top need it")
    commands.add_parser("build", help="build, once per version, what `make test` needs; `up` and the demo build their own").set_defaults(
        run=_build
    )
    load = command("load", _load, "load images into a cluster")
    load.add_argument(
        "images", nargs="+", metavar="IMAGE", help=f"an OCI archive, or one of ours, built if missing: {', '.join(images.OURS)}"
    )
    return parser


def _up(options: argparse.Namespace) -> None:
    cluster = clusters.start(options.name, options.profile, nodes=options.nodes)
    if options.gateway:
        gateway.start(cluster)
    if options.metrics:
        metrics.start(cluster)
    suffix = "" if cluster.name == state.DEFAULT_NAME else f" --name {cluster.name}"
    say(f"kubeconfig: {cluster.kubeconfig}")
    say(f'next:       eval "$({_python()} -m local env{suffix})" && kubectl get nodes')
    say(f"stop:       {_python()} -m local down{suffix}")


def _down(options: argparse.Namespace) -> None:
    for name in state.names() if options.all else [options.name]:
        started = time.monotonic()
        stopped = clusters.stop(name)
        say(f"cluster {name}: stopped in {time.monotonic() - started:.1f} s" if stopped else f"there is no cluster {name}")


def _status(_: argparse.Namespace) -> None:
    names = state.names()
    if not names:
        say("no clusters")
    for name in names:
        record = state.load(name)
        if record is None:  # stopped in between
            continue
        running = "running" if clusters.find(name) else "not running"
        megabytes = processes.memory(record.token) / 1e6
        say(f"{name}  {record.profile}  {running}  {megabytes:.0f} MB without pods  {record.kubeconfig}")


def _env(options: argparse.Namespace) -> None:
    cluster = _running(options.name)
    for key, value in cluster.env.items():
        say(f"export {key}={shlex.quote(value)}")


def _gateway(options: argparse.Namespace) -> None:
    running = gateway.start(_running(options.name))
    say(f"try:        curl --connect-to ::{running.address}:{running.port} http://<hostname of an App>/")
    say(f"operator:   {' '.join(f'--{name}={value}' for name, value in running.settings.items())}")


def _metrics(options: argparse.Namespace) -> None:
    metrics.start(_running(options.name))
    say("try:        kubectl top pods -A")


def _build(_: argparse.Namespace) -> None:
    prepare.for_tests()
    say("all that the tests need is built")


def _load(options: argparse.Namespace) -> None:
    cluster = _running(options.name)
    archives = [archive for image in options.images for archive in _archives(image)]
    cluster.load_images(archives)
    say(f"loaded into {options.name}: {', '.join(options.images)}")


def _archives(image: str) -> Iterable[Path]:
    return images.ensure([images.OURS[image]]).values() if image in images.OURS else [Path(image)]


def _running(name: str) -> clusters.Cluster:
    cluster = clusters.find(name)
    if cluster is None:
        raise LocalError(f"cluster {name} does not run: start it with `{_python()} -m local up --name {name}`")
    return cluster


def _python() -> str:
    executable = Path(sys.executable)
    return str(executable.relative_to(Path.cwd())) if executable.is_relative_to(Path.cwd()) else os.fspath(executable)


if __name__ == "__main__":
    sys.exit(main())
