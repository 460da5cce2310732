"""Reads the Helm chart of a release with the real helm."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from local import builds, components
from local.chart.templates import SYSTEM
from local.errors import LocalError

RELEASE = "dynamiq"


class ChartError(LocalError):
    """A chart that Helm refuses; the message is Helm's own."""


def images(archive: Path, digests: Mapping[str, str]) -> set[str]:
    """Returns the images of all pods of a packed chart, after helm has linted it. `digests`: by the name of each image in the values.

    Raises ChartError, BuildError.
    """
    values = {"images": {name: {"digest": digest} for name, digest in digests.items()}, "recorder": {"enabled": True}}
    options = ("--namespace", SYSTEM, "--values", "-")
    _helm("lint", "--strict", str(archive), *options, values=values)
    rendered = _helm("template", RELEASE, str(archive), *options, values=values)
    return {image for each in yaml.safe_load_all(rendered) for image in _images(each)}


def _images(part: Any) -> Iterator[str]:
    """Yields the images of all containers of an object, and those in variables of programs."""
    if isinstance(part, list):
        for each in part:
            yield from _images(each)
    elif isinstance(part, dict):
        if str(part.get("name", "")).endswith("_IMAGE"):
            yield str(part["value"])
        for key, value in part.items():
            if key == "containers":
                yield from (container["image"] for container in value)
            yield from _images(value)


def _helm(*arguments: str, values: Mapping[str, Any] | None = None) -> str:
    program = builds.ensure([components.HELM])["helm"]
    with tempfile.TemporaryDirectory(prefix="dynamiq-helm-") as home:
        own = {f"HELM_{name}_HOME": home for name in ("CACHE", "CONFIG", "DATA")}
        done = subprocess.run(
            [str(program), *arguments],
            env={**os.environ, **own, "KUBECONFIG": str(Path(home) / "none")},
            input=json.dumps(values) if values is not None else None,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise ChartError(f"`helm {' '.join(arguments[:2])}` failed:\n{done.stdout}{done.stderr.strip()}")
    return done.stdout
