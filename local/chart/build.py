"""Builds the Helm chart from `manifests/`, `crds/`, the values, and those of its files in `manifests/helm` that are written by hand.

`make chart` writes the folder `build/chart`, which helm installs; `make dist` packs it. It needs no helm.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from local import builds, rootfs
from local.archives import add
from local.chart import templates, written
from local.images import REPOSITORY, version
from local.progress import say

CHART = REPOSITORY / "build" / "chart"
MANIFESTS = REPOSITORY / "manifests"
BY_HAND = MANIFESTS / "helm"
NAME = "dynamiq"


def files() -> dict[str, str]:
    """Returns the text of each file by its path in the chart, sorted."""
    rendered = templates.render(MANIFESTS)
    values = written.values_with(rendered.defaults)
    texts = {path.relative_to(BY_HAND).as_posix(): path.read_text() for path in rootfs.sources(BY_HAND)}
    texts |= {
        # The chart has the version of the programs: they are released together.
        "Chart.yaml": texts["Chart.yaml"] + f"version: {version()}\nappVersion: {version()}\n",
        "values.yaml": written.values_yaml(values),
        "values.schema.json": written.schema_json(),
        "README.md": texts["README.md"] + written.table(values),
    }
    texts |= {f"templates/{path}": text for path, text in rendered.templates.items()} | rendered.files
    definitions = (path for path in (REPOSITORY / "crds").glob("*.yaml") if path.name != "kustomization.yaml")
    return dict(sorted((texts | {f"crds/{path.name}": path.read_text() for path in definitions}).items()))


def build(folder: Path = CHART) -> Path:
    """Writes the chart into `folder`, removes all else there, and returns it. Several processes may do so at once."""
    texts = files()
    # Another process may read the folder already: a file that is right stays untouched.
    with builds.locked("chart"):
        present = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        for name in present.keys() - texts.keys():
            present[name].unlink()
        for name, text in texts.items():
            if name not in present or present[name].read_text() != text:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text)
    return folder


def pack(out: Path, epoch: int) -> Path:
    """Packs the chart into one file of the folder `out`, as helm reads it, with files of this time in Unix seconds."""
    path = out / package_name(version())
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, text in files().items():
            add(archive, f"{NAME}/{name}", text.encode(), epoch)
    path.write_bytes(gzip.compress(packed.getvalue(), mtime=epoch))
    return path


def package_name(of_version: str) -> str:
    """Returns the name of the packed chart, as helm names it."""
    return f"{NAME}-{of_version}.tgz"


def main() -> None:
    """Builds the chart, and prints where it is."""
    say(f"version {version()}, in {build().relative_to(REPOSITORY)}: helm install {NAME} {CHART.relative_to(REPOSITORY)} …")


if __name__ == "__main__":
    main()
