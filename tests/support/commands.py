"""Reads the blocks of commands in a document, and runs them in a shell on a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from local import images
from local.clusters import Cluster
from local.release import layout
from tests.support.cluster import COMMAND_TIMEOUT, REPOSITORY, SHORT_LIVED


def blocks(document: Path) -> list[str]:
    """Returns the document's blocks of commands, in order; blocks marked as another language do not count."""
    texts, inside, marked = [], False, False
    for line in document.read_text().splitlines():
        if line.startswith("```"):
            marked = not inside and line not in ("```", "```sh")
            inside = not inside
            if inside and not marked:
                texts.append("")
        elif inside and not marked:
            texts[-1] += f"{line}\n"
    return texts


def shell(script: str, cluster: Cluster, folder: Path, kubeconfig: Path | None = None) -> str:
    """Runs a script with kubectl and this Python first on its PATH; returns its output. Raises AssertionError if it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), str(cluster.kubectl.parent), os.environ["PATH"]])
    known = {"PATH": path, "KUBECONFIG": str(kubeconfig or cluster.kubeconfig), "PYTHONPATH": str(REPOSITORY / "operator")}
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | SHORT_LIVED | known, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def pushed(block: str, folder: Path) -> dict[str, str]:
    """Returns the names under which a block pushes our images, by image. `folder` gets the files of `make images`.

    The block runs with a make and a docker that only print. Raises AssertionError if an image is pushed that was not loaded.
    """
    version, architecture = images.version(), images.architecture()
    archives = {f"build/images/{layout.image(name, version, architecture)}": image.reference for name, image in images.OURS.items()}
    for name in archives:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    script = f"make() {{ echo make $@; }}; docker() {{ echo docker $@; }}\n{block}"
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    first, *lines = done.stdout.splitlines()
    assert first == "make images"
    loaded = [archives[line.removeprefix("docker load --input ")] for line in lines if line.startswith("docker load ")]
    tagged = dict(line.split()[2:] for line in lines if line.startswith("docker tag "))
    assert list(tagged) == loaded
    assert [line.removeprefix("docker push ") for line in lines if line.startswith("docker push ")] == list(tagged.values())
    return {name: tagged[image.reference] for name, image in images.OURS.items() if image.reference in tagged}
