"""The blocks of commands of a document, and a shell that runs them against a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from local.clusters import Cluster
from tests.support.cluster import COMMAND_TIMEOUT, REPOSITORY, SHORT_LIVED


def blocks(document: Path) -> list[str]:
    """What stands in the document's blocks of commands, one after the other; those marked as another language are none."""
    found, inside, marked = [], False, False
    for line in document.read_text().splitlines():
        if line.startswith("```"):
            marked = not inside and line not in ("```", "```sh")
            inside = not inside
            if inside and not marked:
                found.append("")
        elif inside and not marked:
            found[-1] += f"{line}\n"
    return found


def shell(script: str, cluster: Cluster, folder: Path, kubeconfig: Path | None = None) -> str:
    """What the script says, with kubectl and this Python first on its PATH. Raises AssertionError where it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), str(cluster.kubectl.parent), os.environ["PATH"]])
    known = {"PATH": path, "KUBECONFIG": str(kubeconfig or cluster.kubeconfig), "PYTHONPATH": str(REPOSITORY / "operator")}
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | SHORT_LIVED | known, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout
