"""Starts, finds and stops clusters, for the command line, the demo and the tests.

It never stops or deletes a cluster that it did not create: it only uses one named by its context, and removes only its record.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local import borrowed, builds, cgroups, components, node, prepare, processes, resolver, sandbox, simulated, state
from local.api import Api
from local.errors import LocalError
from local.progress import say
from local.state import DEFAULT_NAME, Record

WORTH_SAYING = 2.0  # seconds


@dataclass(frozen=True)
class Cluster:
    """A running cluster. `audit_log`: JSON lines, one per answered request, of our own profiles; older ones are beside it."""

    name: str
    profile: resolver.Profile
    kubeconfig: Path
    kubectl: Path
    real_pods: bool
    audit_log: Path | None

    @property
    def env(self) -> dict[str, str]:
        """Returns the variables that a shell needs for this cluster: KUBECONFIG, PATH, and GATEWAY (host:port) if it has one.

        PATH begins with our kubectl and with the programs of this environment, among which kubectl finds its plugin.
        """
        path = os.environ.get("PATH", os.defpath)
        record = state.load(self.name)
        port = record.ports.get("gateway") if record is not None else None
        variables = {
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": os.pathsep.join([str(self.kubectl.parent), str(Path(sys.executable).parent), path]),
        }
        return variables | ({"GATEWAY": f"127.0.0.1:{port}"} if port else {})

    def load_images(self, archives: Iterable[Path]) -> None:
        """Makes images of OCI archives available to pods; simulated pods need none.

        Raises LocalError for a cluster named by its context.
        """
        record = _require(self.name)
        if self.profile == "node":
            node.load_images(record, builds.ensure(components.NODE), archives)
        elif self.profile == "kind":
            borrowed.load_into_kind(record, archives)
        elif self.profile == "context":
            raise LocalError(f"images can't be loaded into context {record.context}: push them to a registry that it pulls from")

    def forward(self, target: str, port: int = 0) -> int:
        """Opens a loopback port (`port`, or a free one) that leads to `target`, host:port as the node sees it, and returns it."""
        if self.profile != "node":
            raise LocalError(f"the {self.profile} profile has no node that can be entered: use kubectl port-forward")
        return node.forward(_require(self.name), builds.ensure(components.NODE), target, port)

    def add_daemon(self, name: str, command: list[str | Path]) -> processes.Daemons:
        """Starts one more process on the node (control-plane: on this machine), which ends with the cluster.

        Returns the handle that shows if it is alive.
        """
        record = _require(self.name)
        if self.profile == "node":
            return node.add_daemon(record, name, command)
        if self.profile == "control-plane":
            daemons = processes.Daemons(record)
            daemons.start(name, command)
            return daemons
        raise LocalError(f"the {self.profile} profile runs no processes of ours")

    def memory(self) -> int:
        """Bytes held by the cluster's own processes, pods not counted."""
        return processes.memory(_require(self.name).token)

    def stop(self) -> None:
        """Stops the cluster and removes its resources; see the function `stop`."""
        stop(self.name)


def start(
    name: str = DEFAULT_NAME,
    profile: str | None = None,
    *,
    nodes: int = 1,
    default_limits: bool = False,
    lean: bool = False,
    env: Mapping[str, str] | None = None,
    prepared: Callable[[resolver.Profile], None] = prepare.for_cluster,
) -> Cluster:
    """Starts cluster `name`, or finds it running, and returns it when pods can be created.

    - `profile` forces a profile; otherwise `env` (default: the process's environment) and the machine decide, see `resolver`.
    - `nodes` is the number of simulated nodes.
    - `default_limits`: the controllers of our own clusters send requests as rarely as Kubernetes' defaults demand.
    - `lean`: the cluster has no autoscaler and no legacy Endpoints.
    - `prepared` builds and installs what the profile needs, before a cluster is started.

    It first removes the leftovers of an unfinished start of that name. Raises LocalError.
    """
    with state.locked(name):
        choice = resolver.choose(os.environ if env is None else env, profile)
        say(f"cluster {name}: {choice.profile}, because {choice.reason}")
        if choice.profile == "control-plane":
            say("  pods are simulated: they are reported as running, and nothing runs in them")
        if (record := state.load(name)) is not None:
            if _is_current(record, choice):
                say(f"cluster {name} is already running")
                return _cluster(record)
            _clean(record)
        record = Record(name, choice.profile, context=choice.context, default_limits=default_limits, lean=lean)
        try:
            record = _start(record, choice, nodes, prepared)
        except BaseException:
            with contextlib.suppress(LocalError):
                _clean_but_logs(record)
            raise
        return _cluster(record)


def find(name: str = DEFAULT_NAME) -> Cluster | None:
    """Returns cluster `name` if it is running and reachable."""
    record = state.load(name)
    return _cluster(record) if record is not None and _is_healthy(record) else None


def stop(name: str = DEFAULT_NAME) -> bool:
    """Ends every process of cluster `name` and removes its files; returns True if there was one.

    Pods are killed, not drained: a cluster of ours keeps nothing. For a cluster that we did not create, only the record is removed.
    """
    with state.locked(name):
        record = state.load(name)
        if record is None:
            return False
        _clean(record)
        if not record.owned:
            say(f"{record.context} was not made here: it goes on running")
        return True


def _start(record: Record, choice: resolver.Choice, nodes: int, prepared: Callable[[resolver.Profile], None]) -> Record:
    started = time.monotonic()
    prepared(choice.profile)
    if choice.profile in ("context", "kind"):
        record = borrowed.start(record)
        return record.with_(status="ready")
    profile = node if choice.profile == "node" else simulated
    built = profile.programs()
    built_in = time.monotonic()
    record = profile.claim(record.with_(builds=_versions(choice.profile)))
    record = node.start(record, built) if choice.profile == "node" else simulated.start(record, built, nodes)
    now = time.monotonic()
    before = f", after {built_in - started:.0f} s of builds and packages" if built_in - started > WORTH_SAYING else ""
    say(f"cluster {record.name}: ready in {now - built_in:.1f} s{before}")
    return record.with_(status="ready")


def _versions(profile: str) -> tuple[str, ...]:
    used = components.NODE if profile == "node" else components.CONTROL_PLANE
    return tuple(f"{item.name}-{item.version}-{item.digest[:12]}" for item in used)


def _is_current(record: Record, choice: resolver.Choice) -> bool:
    if not _is_healthy(record):
        say(f"cluster {record.name}: cleaning up what an earlier start left")
        return False
    if (record.profile, record.context) != (choice.profile, choice.context):
        setting = f"CLUSTER={record.context}" if record.profile == "context" else f"PROFILE={record.profile}"
        raise LocalError(
            f"cluster {record.name} runs already as {record.context or record.profile}, and this would be {choice.context or choice.profile}, "
            f"because {choice.reason}: take it with {setting}, stop it with `python -m local down --name {record.name}`, or choose another --name"
        )
    if record.builds and record.builds != _versions(record.profile):
        say(f"cluster {record.name}: made of other versions; replacing it")
        return False
    return True


def _is_healthy(record: Record) -> bool:
    if record.status != "ready":
        return False
    if record.profile in ("context", "kind"):
        return borrowed.is_reachable(record)
    running = record.boot == state.boot_id() and bool(processes.find(record.token))
    return running and Api(record.ports["api"], record.folder / "pki").is_ready()


def _clean(record: Record) -> None:
    _release(record)
    state.forget(record.name)


def _clean_but_logs(record: Record) -> None:
    """Keeps the logs for the reader after a failed start, and the record, by which the next start removes them."""
    saved = state.load(record.name)
    if saved is not None:
        _release(saved)
        if not (saved.folder / "logs").exists():
            state.forget(saved.name)


def _release(record: Record) -> None:
    if record.profile in ("context", "kind"):
        borrowed.release(record)
        return
    inside = sandbox.find(record)
    processes.end(record.token, first=inside.first if inside else None)
    cgroups.remove(record.cgroups)
    if record.run:
        shutil.rmtree(record.run, ignore_errors=True)


def _cluster(record: Record) -> Cluster:
    ours = record.profile in ("node", "control-plane")
    return Cluster(
        name=record.name,
        profile=record.profile,  # type: ignore[arg-type]
        kubeconfig=record.kubeconfig,
        kubectl=builds.ensure([components.kubernetes_among(record.builds)])["kubectl"] if ours else borrowed.kubectl(),
        real_pods=record.profile != "control-plane",
        audit_log=record.folder / "audit" / "audit.log" if ours else None,
    )


def _require(name: str) -> Record:
    if (record := state.load(name)) is None:
        raise LocalError(f"there is no cluster {name}: start it with `python -m local up --name {name}`")
    return record
