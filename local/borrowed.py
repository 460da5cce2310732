"""Uses clusters that are not ours: a kube context named by the user, and kind's.

It deletes a kind cluster only if it created it, and never stops, changes or deletes the cluster of a context.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from local import builds, components, pki
from local.errors import LocalError
from local.progress import say
from local.state import Record

KIND_CONFIG = Path(__file__).parent / "config" / "kind.yaml"
MINOR_AT_LEAST = 36  # MutatingAdmissionPolicy is stable since
START_SECONDS = 600
ANSWER_SECONDS = 30


def kubectl() -> Path:
    """Returns our own kubectl if it is already built; else the one on PATH, which saves a build."""
    on_path = shutil.which("kubectl")
    return Path(on_path) if on_path and not builds.is_built(components.KUBERNETES) else builds.ensure([components.KUBERNETES])["kubectl"]


def start(record: Record) -> Record:
    """Creates the kind cluster, or finds the context, and writes the kubeconfig. `record` is not yet saved."""
    record = _start_kind(record) if record.profile == "kind" else record.with_(owned=False)
    view = _run([kubectl(), "config", "view", "--minify", "--flatten", "--context", record.context])
    pki.write_private(record.kubeconfig, view.encode())
    _require_version(record)
    return record


def is_reachable(record: Record) -> bool:
    """Returns True if the API server behind the record's kubeconfig answers."""
    if not record.kubeconfig.exists():
        return False
    command: list[str | Path] = [kubectl(), "--kubeconfig", record.kubeconfig, "--request-timeout=5s", "get", "--raw", "/readyz"]
    return subprocess.run(command, capture_output=True, check=False, timeout=ANSWER_SECONDS).returncode == 0


def release(record: Record) -> None:
    """Deletes a kind cluster that we created; leaves every other cluster as it is."""
    if record.profile == "kind" and record.owned and shutil.which("kind"):
        _run(["kind", "delete", "cluster", "--name", record.name], seconds=START_SECONDS)


def load_into_kind(record: Record, archives: Iterable[Path]) -> None:
    """Loads image archives into the nodes of a kind cluster."""
    for archive in archives:
        _run(["kind", "load", "image-archive", archive, "--name", record.name], seconds=START_SECONDS)


def _start_kind(record: Record) -> Record:
    context = f"kind-{record.name}"
    if record.name in _run(["kind", "get", "clusters"]).split():
        say(f"a kind cluster {record.name} exists and is used; it will not be deleted")
        record = record.with_(context=context, owned=False)
        _run(["kind", "export", "kubeconfig", "--name", record.name], seconds=ANSWER_SECONDS)
        return record
    record = record.with_(context=context)
    say(f"kind create cluster --name {record.name} (downloads its node image the first time)")
    command = ["kind", "create", "cluster", "--name", record.name, "--config", str(KIND_CONFIG), "--wait", "120s"]
    subprocess.run(command, check=False, timeout=START_SECONDS)
    if record.name not in _run(["kind", "get", "clusters"]).split():
        raise LocalError(f"kind could not create cluster {record.name}; its output is above")
    return record


def _require_version(record: Record) -> None:
    text = _run([kubectl(), "--kubeconfig", record.kubeconfig, "--request-timeout=10s", "get", "--raw", "/version"])
    version = json.loads(text)
    minor = int("".join(letter for letter in version["minor"] if letter.isdigit()))
    say(f"  context {record.context} is Kubernetes {version['gitVersion']}")
    if (int(version["major"]), minor) < (1, MINOR_AT_LEAST):
        raise LocalError(f"context {record.context} is Kubernetes {version['gitVersion']}; 1.{MINOR_AT_LEAST} or newer is needed")


def _run(command: Sequence[str | Path], seconds: float = ANSWER_SECONDS) -> str:
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise LocalError(f"`{' '.join(map(str, command))}` did not end within {seconds:.0f} s") from error
    if done.returncode:
        raise LocalError(f"`{' '.join(map(str, command))}` failed: {done.stderr.strip()[-2000:]}")
    return done.stdout
