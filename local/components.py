"""Lists the components of clusters: each with the version of its project, its programs, and the digest of all its inputs.

Each folder of `build` is a Go module that pins versions:

- `build/components`: Kubernetes and what runs beside it. Go compiles their common packages once.
- `build/kubernetes-1.36` and the like: older versions of Kubernetes, with Kubernetes' own pins. `KUBERNETES=1.36` in the environment makes
  a process use that one; all else stays as it is.
- `build/helm`: Helm, with the versions of `build/components` for common modules. Go finds these compiled in its cache.
- `build/contour`: Contour, which does not compile with the client-go of that Kubernetes.
- Modules of their own for tools of tests: OpenTelemetry's collector, Flux's controllers, Argo CD, Velero, and the health checks of Flux and
  Argo CD.

`build/*/modules/<component>.txt` lists the modules, and their versions, that are linked into a component. `python -m local.components`
writes these lists from the `go.mod` files. A changed pin thus changes only the digests of the components that it is linked into.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError

MODULES = Path(__file__).parent / "build"
COMPONENTS, GATEWAY_MODULE, COLLECTOR_MODULE, FLUX_MODULE, ARGO_MODULE, HEALTH_MODULE, VELERO_MODULE, HELM_MODULE = (
    MODULES / name for name in ("components", "contour", "collector", "flux", "argo", "health", "velero", "helm")
)
# `-s -w` drops the debugging information, and `-dwarf=false` does not produce it: the same bytes in less time.
BUILD_FLAGS = ("-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false")
LINKER_FLAGS = "-s -w"
ARCHITECTURES = ("amd64", "arm64")


class GoError(Exception):
    """A question about its modules that Go could not answer; the message is Go's."""


@dataclass(frozen=True)
class Component:
    """One project: `packages` maps a program's name to its Go package, `links` are further names of the first program.

    `module` is the folder of the Go module that pins its version. `joined` maps a file's name to the module and the files of it
    that are concatenated into it, as YAML documents.
    """

    name: str
    version: str
    packages: tuple[tuple[str, str], ...]
    links: tuple[str, ...] = ()
    tags: str = ""
    ldflags: str = ""
    joined: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    module: Path = COMPONENTS

    @property
    def digest(self) -> str:
        """Returns the SHA-256, hex, of every input of the build."""
        inputs = (self.packages, self.links, self.tags, self.ldflags, self.joined, BUILD_FLAGS, LINKER_FLAGS)
        hasher = hashlib.sha256(repr(inputs).encode())
        for content in (self._go_version, *(path.read_bytes() for path in (self.linked_modules, *self._sources))):
            hasher.update(b"\0" + content)
        return hasher.hexdigest()

    @property
    def linked_modules(self) -> Path:
        """Returns the list of the modules that are linked into it, one `path version` a line, sorted."""
        return self.module / "modules" / f"{self.name}.txt"

    @property
    def flags(self) -> list[str]:
        """Returns the flags of `go build`."""
        tags = ["-tags", self.tags] if self.tags else []
        return [*BUILD_FLAGS, "-ldflags", f"{LINKER_FLAGS} {self.ldflags}".strip(), *tags]

    @property
    def _go_version(self) -> bytes:
        """Returns the lines of go.mod with the language's version, which decides the defaults of GODEBUG, and the toolchain if it names
        one.
        """
        lines = (self.module / "go.mod").read_bytes().splitlines()
        return b"\n".join(line for line in lines if line.startswith((b"go ", b"toolchain ")))

    @property
    def _sources(self) -> list[Path]:
        own = (package for _, package in self.packages if package.startswith("./"))
        return sorted(path for package in own for path in (self.module / package).iterdir())


def _own(program: str) -> tuple[tuple[str, str], ...]:
    return ((program, f"./{program}"),)


def _kubernetes(version: str, folder: str = "") -> Component:
    """Returns Kubernetes of a version; `folder` of an older one is where it is pinned, and its name."""
    major, minor, _ = version.split(".")
    return Component(
        folder or "kubernetes",
        version,
        _own("kubernetes"),
        ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"),
        ldflags=" ".join(
            f"-X k8s.io/component-base/version.{key}={value}"
            for key, value in (("gitVersion", f"v{version}"), ("gitMajor", major), ("gitMinor", minor))
        ),
        module=MODULES / folder if folder else COMPONENTS,
    )


NEWEST = "1.37"
KUBERNETES_OF = {
    "1.35": _kubernetes("1.35.4", "kubernetes-1.35"),
    "1.36": _kubernetes("1.36.3", "kubernetes-1.36"),
    NEWEST: _kubernetes("1.37.2"),
}
"""Kubernetes by its minor version, oldest first: the newest patch of each that the Go module proxy has."""


def requested_kubernetes(env: Mapping[str, str]) -> Component:
    """Returns the Kubernetes that `$KUBERNETES` names, such as 1.36; the newest if unset. Raises LocalError for one that is not built here."""
    minor = env.get("KUBERNETES") or NEWEST
    if minor not in KUBERNETES_OF:
        raise LocalError(f"KUBERNETES={minor} is not built here: name one of {', '.join(KUBERNETES_OF)}")
    return KUBERNETES_OF[minor]


def kubernetes_among(builds: Iterable[str]) -> Component:
    """Returns the Kubernetes of a cluster by the names of its builds; the requested one if they name none."""
    matches = [each for name in builds for each in KUBERNETES_OF.values() if name.startswith(f"{each.name}-{each.version}-")]
    return matches[0] if matches else KUBERNETES


try:
    KUBERNETES = requested_kubernetes(os.environ)
except LocalError as error:  # a process has one Kubernetes, from its first line on
    raise SystemExit(f"error: {error}") from error
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
KUBE_ROUTER = Component("kube-router", "2.1.0", _own("kube-router"))
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
    module=GATEWAY_MODULE,
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
    module=GATEWAY_MODULE,
)
METRICS_SERVER = Component("metrics-server", "0.9.0", (("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server"),))
PAUSE = Component("pause", "1", _own("pause"))
FORWARD = Component("forward", "1", _own("forward"))
OTELCOL = Component("otelcol", "0.165.0", _own("otelcol"), module=COLLECTOR_MODULE)
"""OpenTelemetry's collector with OTLP in and OTLP out: no part of a cluster, so only a test that needs it builds it."""
HELM = Component(
    "helm",
    "4.3.2",
    (("helm", "helm.sh/helm/v4/cmd/helm"),),
    ldflags="-X helm.sh/helm/v4/internal/version.version=v4.3.2",
    module=HELM_MODULE,
)
"""A program for people who install the chart, and no part of a cluster."""
FLUX_CRDS = "source-crds.yaml", "kustomize-crds.yaml"
FLUX = tuple(
    Component(
        f"{name}-controller",
        "1.9.6",
        ((f"{name}-controller", f"github.com/fluxcd/{name}-controller"),),
        joined=(
            (
                crds,
                f"github.com/fluxcd/{name}-controller",
                tuple(f"config/crd/bases/{name}.toolkit.fluxcd.io_{kind}.yaml" for kind in kinds),
            ),
        ),
        module=FLUX_MODULE,
    )
    for name, crds, kinds in (
        (
            "source",
            FLUX_CRDS[0],
            ("buckets", "externalartifacts", "gitrepositories", "helmcharts", "helmrepositories", "ocirepositories"),
        ),
        ("kustomize", FLUX_CRDS[1], ("kustomizations",)),
    )
)
"""Flux: `make soak` builds it, because a test of it takes minutes of compiling that `make test` does not have."""
VELERO_CRDS = "velero-crds.yaml"
VELERO_STORE = "velero-plugin-files"
VELERO = Component(
    "velero",
    "1.18.3",
    (("velero", "github.com/vmware-tanzu/velero/cmd/velero"), (VELERO_STORE, "./files")),
    ldflags="-X github.com/vmware-tanzu/velero/pkg/buildinfo.Version=v1.18.3",
    joined=(
        (
            VELERO_CRDS,
            "github.com/vmware-tanzu/velero",
            tuple(
                f"config/crd/{version}/bases/velero.io_{name}.yaml"
                for version, plurals in (
                    (
                        "v1",
                        (
                            *("backuprepositories", "backups", "backupstoragelocations", "deletebackuprequests", "downloadrequests"),
                            *("podvolumebackups", "podvolumerestores", "restores", "schedules", "serverstatusrequests"),
                            "volumesnapshotlocations",
                        ),
                    ),
                    ("v2alpha1", ("datadownloads", "datauploads")),
                )
                for name in plurals
            ),
        ),
    ),
    module=VELERO_MODULE,
)
"""Velero, with a plugin of ours that keeps backups as files: built by `make soak`, like Flux."""
ARGO_CRDS, ARGO_VERIFIER = "argo-crds.yaml", "git-verify-wrapper.sh"
ARGO = Component(
    "argo-cd",
    "3.6.1",
    (("argocd", "github.com/argoproj/argo-cd/v3/cmd"), *_own("argocd-cache")),
    ("argocd-repo-server", "argocd-application-controller"),
    joined=(
        (
            ARGO_CRDS,
            "github.com/argoproj/argo-cd/v3",
            tuple(f"manifests/crds/{name}-crd.yaml" for name in ("application", "applicationset", "appproject")),
        ),
        (ARGO_VERIFIER, "github.com/argoproj/argo-cd/v3", ("hack/git-verify-wrapper.sh",)),
    ),
    module=ARGO_MODULE,
)
"""Argo CD, which `make soak` builds as well. Its go.mod needs a newer Go than ours, which Go downloads like a module."""
HEALTH = Component("health-checks", "1", _own("checks"), module=HEALTH_MODULE)
"""Runs health checks of Argo CD and of Flux as they do, without either."""

CONTROL_PLANE = (ETCD, KUBERNETES, KWOK)
# In this order, since what takes long comes first and can be overlapped with what needs no compiler.
NODE = (PAUSE, FORWARD, ETCD, KUBERNETES, COREDNS, KUBE_ROUTER, CONTAINERD, CNI)
GATEWAY = (GATEWAY_API, CONTOUR)
ALL = tuple(dict.fromkeys((*NODE, *KUBERNETES_OF.values(), KWOK, METRICS_SERVER, *GATEWAY, OTELCOL, HELM, HEALTH, *FLUX, ARGO, VELERO)))


def go_environment() -> dict[str, str]:
    """Returns the environment of every call of Go: no variable of the user may change a build. Go downloads the toolchain of a go.mod."""
    return os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", "GOTOOLCHAIN": "auto"}


def number_of_packages(component: Component, package: str) -> int:
    """Returns the number of packages that `go build` compiles for a program of the component, with an empty Go cache."""
    return len(_go(["list", "-deps", "-tags", component.tags, package], component.module).splitlines())


def folder_of(component: Component, module: str) -> Path:
    """Returns the folder of a module's files, in the version that the component is built with."""
    return Path(_go(["list", "-m", "-f", "{{.Dir}}", module], component.module).strip())


def modules_of(program: Path) -> set[str]:
    """Returns the modules that a built program lists as its parts, as `path version`."""
    listed = _go(["version", "-m", str(program)], program.parent)
    modules: list[str] = []
    for kind, *rest in (line.split() for line in listed.splitlines()[1:] if line.strip()):
        if kind == "dep":
            modules.append(" ".join(rest[:2]))
        elif kind == "=>":  # replaces the one before
            modules[-1] = " ".join(rest[:2])
    return set(modules)


def _needed_modules(component: Component) -> set[str]:
    """Returns the modules that `go build` would link, on any architecture, and those that files are copied from."""
    template = "{{with .Replace}}{{.Path}} {{.Version}}{{else}}{{.Path}} {{.Version}}{{end}}"
    needed: set[str] = set()
    packages = [package for _, package in component.packages]
    for architecture in ARCHITECTURES if packages else ():
        command = ["list", "-deps", "-tags", component.tags, "-f", f"{{{{with .Module}}}}{template}{{{{end}}}}", *packages]
        needed |= set(_go(command, component.module, GOARCH=architecture).splitlines())
    for _, module, _ in component.joined:
        needed |= set(_go(["list", "-m", "-f", template, module], component.module).splitlines())
    return {line for line in needed if len(line.split()) == 2}  # our own module has no version


def _go(arguments: list[str], folder: Path, **environment: str) -> str:
    environment = go_environment() | environment
    done = subprocess.run(["go", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GoError(f"`go {' '.join(arguments)}`: {done.stderr.strip()[-2000:]}")
    return done.stdout


def write_lists(components: Iterable[Component] = ALL) -> Mapping[str, int]:
    """Writes the list of each component, and returns how many modules each has."""
    numbers = {}
    for component in components:
        modules = sorted(_needed_modules(component))
        component.linked_modules.parent.mkdir(exist_ok=True)
        component.linked_modules.write_text("".join(f"{module}\n" for module in modules))
        numbers[component.name] = len(modules)
    return numbers


if __name__ == "__main__":
    for name, number in write_lists().items():
        sys.stdout.write(f"{name}: {number} modules\n")
