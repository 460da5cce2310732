"""Builds Kubernetes and what a node needs from their Go modules, once per version, into a cache outside the clone.

Each folder of `local/build/` is a small Go module that pins one project. A built component is a folder named by the digest
of all that goes into it, so a changed pin builds anew and an unchanged one costs nothing. It refuses to download anything
but Go modules.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).parent / "build"
GO_AT_LEAST = (1, 26)
PROGRESS_EVERY = {True: 1.0, False: 20.0}  # seconds between progress lines: on a terminal, in a log


class BuildError(Exception):
    """A component could not be built; the message says which, and what to do."""


@dataclass(frozen=True)
class Component:
    """One project: `packages` maps a program's name to its Go package, `links` are further names of the first program.

    `joined` maps a file's name to the module and the files of it that are concatenated into it, as YAML documents.
    """

    name: str
    version: str
    packages: tuple[tuple[str, str], ...]
    links: tuple[str, ...] = ()
    tags: str = ""
    ldflags: str = ""
    joined: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256, hex, of every input of the build."""
        inputs: tuple[object, ...] = (self.packages, self.links, self.tags, self.ldflags)
        hasher = hashlib.sha256(repr(inputs + (self.joined and (self.joined,))).encode())
        for path in sorted((MODULES / self.name).iterdir()):
            hasher.update(path.name.encode() + b"\0" + path.read_bytes())
        return hasher.hexdigest()


def _own(program: str) -> tuple[tuple[str, str], ...]:
    return ((program, "."),)


KUBERNETES = Component(
    "kubernetes",
    "1.37.2",
    _own("kubernetes"),
    ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"),
    ldflags=" ".join(
        f"-X k8s.io/component-base/version.{key}={value}"
        for key, value in (("gitVersion", "v1.37.2"), ("gitMajor", "1"), ("gitMinor", "37"))
    ),
)
ETCD = Component("etcd", "3.7.3", (("etcd", "go.etcd.io/etcd/server/v3"),))
CONTAINERD = Component(
    "containerd",
    "2.4.2",
    tuple((name, f"github.com/containerd/containerd/v2/cmd/{name}") for name in ("containerd", "containerd-shim-runc-v2", "ctr")),
    tags="no_btrfs,no_zfs,no_devmapper,no_tracing",
)
CNI = Component(
    "cni",
    "1.9.1",
    tuple(
        (package.rsplit("/")[-1], f"github.com/containernetworking/plugins/plugins/{package}")
        for package in ("main/bridge", "main/loopback", "ipam/host-local", "meta/portmap")
    ),
)
COREDNS = Component("coredns", "1.15.0", _own("coredns"))
KWOK_STAGES = "kwok-stages.yaml"
KWOK = Component(
    "kwok",
    "0.8.0",
    (("kwok", "sigs.k8s.io/kwok/cmd/kwok"),),
    joined=(
        (
            KWOK_STAGES,
            "sigs.k8s.io/kwok",
            tuple(
                f"kustomize/stage/{name}.yaml"
                for name in (
                    "node/fast/node-initialize",
                    "node/heartbeat-with-lease/node-heartbeat-with-lease",
                    "pod/fast/pod-ready",
                    "pod/fast/pod-complete",
                    "pod/fast/pod-delete",
                )
            ),
        ),
    ),
)
CONTOUR_CRDS = "contour-crds.yaml"
CONTOUR = Component(
    "contour",
    "1.33.8",
    (("contour", "github.com/projectcontour/contour/cmd/contour"),),
    joined=((CONTOUR_CRDS, "github.com/projectcontour/contour", ("examples/contour/01-crds.yaml",)),),
)
GATEWAY_API_CRDS = "gateway-api-crds.yaml"
GATEWAY_API = Component(  # of the version that Contour is built with; files alone, so a test can have them without Contour
    "gateway-api",
    "1.3.0",
    (),
    joined=(
        (
            GATEWAY_API_CRDS,
            "sigs.k8s.io/gateway-api",
            tuple(
                f"config/crd/standard/gateway.networking.k8s.io_{name}.yaml"
                for name in ("gatewayclasses", "gateways", "grpcroutes", "httproutes", "referencegrants")
            ),
        ),
    ),
)
METRICS_SERVER = Component("metrics-server", "0.9.0", (("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server"),))
PAUSE = Component("pause", "1", _own("pause"))
FORWARD = Component("forward", "1", _own("forward"))

CONTROL_PLANE = (ETCD, KUBERNETES, KWOK)
NODE = (PAUSE, FORWARD, ETCD, CNI, CONTAINERD, COREDNS, KUBERNETES)
GATEWAY = (GATEWAY_API, CONTOUR)


def cache_root() -> Path:
    """Where builds, images and clusters are kept.

    `$DYNAMIQ_CACHE`, else `$XDG_CACHE_HOME/dynamiq-operator`, else `~/.cache/dynamiq-operator`.
    """
    if override := os.environ.get("DYNAMIQ_CACHE"):
        return Path(override)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dynamiq-operator"


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """Holds the cache's lock `name`; says so when another process has it, since that wait can be minutes."""
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".{name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process holds the lock on {root} ({name}); waiting for it", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield root


def ensure(components: Sequence[Component]) -> dict[str, Path]:
    """Builds what is missing, saying what, n of m and for how long.

    Returns the path of each program and link by its name. Raises BuildError.
    """
    with locked("builds") as root:
        missing = [component for component in components if not _folder(root, component).exists()]
        if missing:
            _require_go()
            print(f"building {len(missing)} of {len(components)} components into {root} (once per version)", flush=True)
        for number, component in enumerate(missing, 1):
            _build(root, component, f"[{number}/{len(missing)}] {component.name} {component.version}")
        return {
            program.name: program
            for component in components
            for program in _folder(root, component).iterdir()
            if not program.name.startswith(".")
        }


def is_built(component: Component) -> bool:
    """Whether `ensure` would find the component in the cache."""
    return _folder(cache_root(), component).exists()


def _folder(root: Path, component: Component) -> Path:
    return root / "bin" / f"{component.name}-{component.version}-{component.digest[:12]}"


def _require_go() -> None:
    go = shutil.which("go")
    wanted = ".".join(map(str, GO_AT_LEAST))
    if go is None:
        raise BuildError(f"Go {wanted} or newer is needed to build Kubernetes and was not found: install it and put it on PATH")
    found = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(int(part) for part in found.removeprefix("go").split(".")[:2]) < GO_AT_LEAST:
        raise BuildError(f"Go {wanted} or newer is needed to build Kubernetes; {go} is {found}")


def _build(root: Path, component: Component, title: str) -> None:
    target = _folder(root, component)
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    started = time.monotonic()
    for program, package in component.packages:
        command = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {component.ldflags}".strip()]
        if component.tags:
            command += ["-tags", component.tags]
        _run_showing_progress([*command, "-o", str(partial / program), package], MODULES / component.name, title, started)
    for name, module, sources in component.joined:
        (partial / name).write_text(_join(MODULES / component.name, module, sources))
    for link in component.links:
        (partial / link).symlink_to(component.packages[0][0])
    partial.rename(target)
    size = sum(path.stat().st_size for path in target.iterdir() if not path.is_symlink()) / 1e6
    print(f"{title}: built in {time.monotonic() - started:.0f} s, {size:.0f} MB", flush=True)


def _join(folder: Path, module: str, sources: Sequence[str]) -> str:
    subprocess.run(["go", "mod", "download", module], cwd=folder, capture_output=True, text=True, check=True)
    listed = subprocess.run(
        ["go", "list", "-m", "-f", "{{.Dir}}", module], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()
    return "---\n".join((Path(listed) / source).read_text() for source in sources)


def _run_showing_progress(command: list[str], folder: Path, title: str, started: float) -> None:
    terminal = sys.stdout.isatty()
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
    print(f"{title}: building …", flush=True)
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        output = ""
        while True:
            try:
                _, output = process.communicate(timeout=PROGRESS_EVERY[terminal])
                break
            except subprocess.TimeoutExpired:
                print(f"{title}: building, {time.monotonic() - started:.0f} s", end="\r" if terminal else "\n", flush=True)
            except BaseException:
                process.kill()
                raise
    if process.returncode != 0:
        raise BuildError(f"{title}: `{' '.join(command)}` failed in {folder}:\n{output[-4000:]}")
