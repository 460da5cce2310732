"""Builds components from their Go modules, once per version, into a cache outside the clone. It downloads nothing but Go modules.

A built component is a folder named by the digest of all its inputs. A changed pin therefore builds it again, and an unchanged one costs
nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from local import steps
from local.components import Component, GoError, folder_of, go_environment, modules_of, number_of_packages
from local.errors import LocalError
from local.progress import say
from local.steps import Step, Task

GO_AT_LEAST = (1, 26)


class BuildError(LocalError):
    """A component that could not be built; the message names it and the remedy."""


def cache_root() -> Path:
    """Returns the folder of builds, images and clusters.

    `$DYNAMIQ_CACHE`, else `$XDG_CACHE_HOME/dynamiq-operator`, else `~/.cache/dynamiq-operator`.
    """
    if override := os.environ.get("DYNAMIQ_CACHE"):
        return Path(override)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dynamiq-operator"


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """Holds the cache's lock `name`; prints a line if another process has it, since that wait can be minutes."""
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".{name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process holds the lock on {root} ({name}); waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield root


def ensure(components: Sequence[Component]) -> dict[str, Path]:
    """Builds what is missing and returns the path of each program, link and file by its name. Raises BuildError."""
    steps.run(missing(components))
    return programs(components)


def missing(components: Sequence[Component]) -> list[Step]:
    """Returns the steps that build the components missing from the cache. Raises BuildError if no Go on this machine can."""
    to_build = [Step(_title(component), partial(_build, component)) for component in components if not is_built(component)]
    if to_build:
        _require_go()
    return to_build


def programs(components: Sequence[Component]) -> dict[str, Path]:
    """Returns the path of each program, link and file of built components, by its name."""
    return {
        path.name: path for component in components for path in _folder(cache_root(), component).iterdir() if not path.name.startswith(".")
    }


def is_built(component: Component) -> bool:
    """Returns True if the cache has the component."""
    return _folder(cache_root(), component).exists()


def _title(component: Component) -> str:
    return f"{component.name} {component.version}"


def _folder(root: Path, component: Component) -> Path:
    return root / "bin" / f"{component.name}-{component.version}-{component.digest[:12]}"


def _require_go() -> None:
    go = shutil.which("go")
    least = ".".join(map(str, GO_AT_LEAST))
    if go is None:
        raise BuildError(f"Go {least} or newer is needed to build Kubernetes and was not found: install it and put it on PATH")
    version = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(int(part) for part in version.removeprefix("go").split(".")[:2]) < GO_AT_LEAST:
        raise BuildError(f"Go {least} or newer is needed to build Kubernetes; {go} is {version}")


def _build(component: Component, task: Task) -> str:
    """Builds one component, unless another process has built it meanwhile, and returns its size for the reader."""
    with locked(f"build-{component.name}") as root:
        target = _folder(root, component)
        if not target.exists():
            unfinished = target.with_name(target.name + ".partial")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            try:
                _fill(unfinished, component, task)
            except (steps.CommandError, GoError) as error:
                raise BuildError(f"{_title(component)} could not be built in {component.module}:\n{error}") from error
            unfinished.rename(target)
        size = sum(path.stat().st_size for path in target.iterdir() if not path.is_symlink()) / 1e6
        return f"{size:.0f} MB"


def _fill(folder: Path, component: Component, task: Task) -> None:
    for name, package in component.packages:
        command: list[str | Path] = ["go", "build", "-v", *component.flags, "-o", folder / name, package]
        task.run(command, cwd=component.module, env=go_environment(), on_line=_Compiled(task, number_of_packages(component, package)))
        _require_listed(component, folder / name)
    for name, module, sources in component.joined:
        (folder / name).write_text(_join(component, module, sources, task))
    for link in component.links:
        (folder / link).symlink_to(component.packages[0][0])


class _Compiled:
    """Counts the packages that `go build -v` names, one a line: those missing from the Go cache, out of all packages."""

    def __init__(self, task: Task, total: int) -> None:
        self._task = task
        self._total = total
        self._number = 0

    def __call__(self, line: str) -> bool:
        if " " in line or line.startswith("#"):
            return line.startswith("go: downloading ")
        self._number += 1
        self._task.detail = f"{self._number} of {self._total} packages"
        return True


def _require_listed(component: Component, program: Path) -> None:
    """Refuses a program with modules that the component's digest does not cover: a change of them would not rebuild it."""
    listed = set(component.linked_modules.read_text().splitlines())
    if unlisted := sorted(modules_of(program) - listed):
        raise BuildError(
            f"{_title(component)} is linked with {', '.join(unlisted[:3])}, which {component.linked_modules} does not list: "
            "write the lists anew with `python -m local.components`"
        )


def _join(component: Component, module: str, sources: Sequence[str], task: Task) -> str:
    task.run(["go", "mod", "download", module], cwd=component.module, env=go_environment())
    folder = folder_of(component, module)
    return "---\n".join((folder / source).read_text() for source in sources)
