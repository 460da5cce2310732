"""Makes the folder that becomes an image: this machine's CPython, the libraries it links to, the locked packages, and our sources.

The authorities that this machine trusts are there, too. The interpreter is in /usr/local. Packages and sources are in /app, byte-compiled
so that a read-only root starts fast. Shared libraries keep the path that their loader expects. It works with any CPython 3.11+ on glibc
Linux, and needs no root and no compiler. It installs only what the lock names by hash, and refuses a Python with missing parts, which it
names.

It is the base of images for clusters of this machine. A release uses `local/debian.py`, which gives the same base on every machine.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from local import console_build
from local.steps import CommandError, Task

APP = "app"
ENVIRONMENT = {
    "PYTHONPATH": f"/{APP}",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONSAFEPATH": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
    "HOME": "/tmp",  # noqa: S108 - the only folder that a pod may mount writable
}
FILES = {
    "etc/passwd": "root:x:0:0::/:/sbin/nologin\nnonroot:x:65532:65532::/tmp:/sbin/nologin\n",
    "etc/group": "root:x:0:\nnonroot:x:65532:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
STDLIB_LEFT_OUT = (
    *("__pycache__", "site-packages", "dist-packages", "config-*", "LICENSE.txt", "EXTERNALLY-MANAGED"),
    *("test", "tests", "idlelib", "tkinter", "turtle.py", "turtledemo", "lib2to3", "ensurepip", "venv", "pydoc_data"),
    *("_test*.so", "_ctypes_test*.so", "_xx*.so", "xx*.so", "_tkinter*.so"),
)
# Each needs a shared library, and no server of ours imports it.
STDLIB_SELDOM_USED = (*("sqlite3", "_sqlite3*.so", "curses", "_curses*.so", "readline*.so", "dbm", "_dbm*.so", "_gdbm*.so", "nis*.so"),)
PACKAGES_LEFT_OUT = ("bin", "kubernetes/docs", "kubernetes/test", "kubernetes/e2e_test")
SOURCES_LEFT_OUT = {".c", ".h", ".pyx", ".pxd", ".pyi"}  # nothing is built in a pod
# Written by pip: they name this machine's paths, which would make every build another image.
RECORDS_LEFT_OUT = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
# glibc opens these by name when it needs them, so no program links to them.
OPENED_BY_GLIBC = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2", "libgcc_s.so.1")
LINKED = re.compile(r"^\s*(?:(?P<name>\S+) => )?(?P<path>/\S+|not found)(?: \(0x[0-9a-f]+\))?$", re.MULTILINE)


class RootError(Exception):
    """A folder that could not be made; the message names the missing part, and the remedy."""


class Base(Protocol):
    """The source of an image's Python, and all below it."""

    suffix: str
    """Distinguishes the cached files of one image on two bases."""
    environment: Mapping[str, str]

    def inputs(self) -> bytes:
        """Returns its inputs, without the lock of the packages: other inputs make another base."""

    def make_root(self, root: Path, lock: Path, built: Sequence[str], task: Task, *, whole: bool) -> None:
        """Fills the new folder `root` with Python and the packages of `lock`. Raises RootError."""

    def python(self, root: Path) -> list[str | Path]:
        """Returns the command that runs the Python in the folder `root`."""


class Host:
    """This machine's Python, libraries and authorities. Nothing has to be downloaded, but another machine makes another image."""

    suffix = ""
    environment: Mapping[str, str] = ENVIRONMENT | {"LD_LIBRARY_PATH": "/usr/local/lib"}

    def inputs(self) -> bytes:
        python = f"{sys.version}\0{sys.base_prefix}\0{platform.libc_ver()}\0{platform.machine()}\0".encode()
        authorities = _authorities()
        return python + (authorities.read_bytes() if authorities is not None else b"")

    def make_root(self, root: Path, lock: Path, built: Sequence[str], task: Task, *, whole: bool) -> None:
        make_root(root, lock, built, task, whole=whole)

    def python(self, root: Path) -> list[str | Path]:  # noqa: ARG002 - what is copied there is this one
        return [_interpreter()]


HOST = Host()


def make_root(root: Path, lock: Path, built: Sequence[str], task: Task, *, whole: bool = False) -> None:
    """Fills the new folder `root` with Python and the packages of `lock`, those in `built` from their sources. Raises RootError.

    `whole`: with the seldom used parts of the standard library, too.
    """
    make_folders(root)
    _copy_python(root, STDLIB_LEFT_OUT if whole else STDLIB_LEFT_OUT + STDLIB_SELDOM_USED)
    _install(root / APP, lock, built, task)
    _copy_libraries(root)
    _copy_authorities(root)
    compile_all(root, [_stdlib(root), root / APP], HOST.python(root))


def make_folders(root: Path) -> None:
    """Makes the folders and accounts of every image."""
    for folder in (APP, "etc", "tmp", "usr/local/bin", "usr/local/lib"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name, content in FILES.items():
        (root / name).write_text(content)


def sources(package: Path) -> list[Path]:
    """Returns the files of the package at `package`, sorted, without compiled ones and without the console."""
    paths = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(path for path in paths if not path.is_relative_to(console_build.STATIC))


def add_sources(root: Path, folder: Path, files: Iterable[Path], python: Sequence[str | Path]) -> None:
    """Copies `files`, which belong to packages in `folder`, into `root` and compiles them with the command `python`."""
    packages = set()
    for path in files:
        target = root / APP / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
        packages.add(root / APP / path.relative_to(folder).parts[0])
    compile_all(root, sorted(packages), python)


def compile_all(root: Path, folders: Iterable[Path], python: Sequence[str | Path]) -> None:
    """Byte-compiles for an unwritable root: Python uses the result without checking the source, and it is the same everywhere."""
    mode = ["-q", "--invalidation-mode", "unchecked-hash"]
    command = [*map(str, python), "-m", "compileall", *mode, "-s", str(root), "-p", "/", *map(str, folders)]
    # Otherwise this Python compiles its imports with times and this machine's paths, and compileall keeps those files.
    environment = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    # Some files of a wheel's test data are not Python of this version; they stay uncompiled.
    subprocess.run(command, env=environment, capture_output=True, check=False)


def _interpreter() -> Path:
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()  # for a virtual environment, the Python that made it
    if not base.is_file():
        raise RootError(f"the Python that runs this has no executable at {base}: use a CPython 3.11 or newer on Linux")
    return base


def _stdlib(root: Path) -> Path:
    return root / "usr/local" / sys.platlibdir / f"python{sys.version_info.major}.{sys.version_info.minor}"


def _copy_python(root: Path, left_out: Sequence[str]) -> None:
    if sys.implementation.name != "cpython" or not sys.platform.startswith("linux"):
        raise RootError(f"an image needs CPython on Linux, and this is {sys.implementation.name} on {sys.platform}")
    source, target = Path(sysconfig.get_path("stdlib")), _stdlib(root)
    for part in ("os.py", "asyncio", "json", "lib-dynload"):
        if not (source / part).exists():
            raise RootError(f"{source / part} is missing: install Python's whole standard library (Debian: libpython3-stdlib)")
    shutil.copytree(source, target, symlinks=False, ignore=shutil.ignore_patterns(*left_out), ignore_dangling_symlinks=True)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copy2(_interpreter(), root / "usr/local/bin" / name)
    for link in ("python3", "python"):
        (root / "usr/local/bin" / link).symlink_to(name)


def _install(target: Path, lock: Path, built: Sequence[str], task: Task) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    if built:  # with the setuptools of this environment: no lock names one that pip downloads
        command += ["--no-binary", ",".join(built), "--no-build-isolation"]
    try:
        task.run([*command, "--no-compile", "--target", target, "--requirement", lock])
    except CommandError as error:
        if "No module named pip" in str(error):
            raise RootError(
                f"{sys.executable} has no pip: make a virtual environment with `python3 -m venv`, or install python3-pip"
            ) from error
        raise RootError(f"pip could not install {lock.name}:\n{error}") from error
    leave_out(target)


def leave_out(target: Path) -> None:
    """Removes from the folder of packages the files that no pod needs, and those that name this machine."""
    for name in PACKAGES_LEFT_OUT:
        shutil.rmtree(target / name, ignore_errors=True)
    for path in [path for path in target.rglob("*") if path.suffix in SOURCES_LEFT_OUT]:
        path.unlink()
    for records in target.glob("*.dist-info"):
        for name in RECORDS_LEFT_OUT:
            (records / name).unlink(missing_ok=True)


def _copy_libraries(root: Path) -> None:
    """Copies every linked shared library: from the Python's own folder to /usr/local/lib, others to the same path."""
    prefix = Path(sys.base_prefix)
    own = None if prefix in (Path("/usr"), Path("/")) else prefix  # a distribution's Python has its libraries where all are
    programs = [root / "usr/local/bin/python3", *root.rglob("*.so"), *root.rglob("*.so.*")]
    for library in sorted(set(_linked(programs))):
        if library.is_relative_to(root):
            continue
        place = root / "usr/local/lib" / library.name if own and library.is_relative_to(own) else root / str(library).lstrip("/")
        _copy_library(library, place)
        if library.name == "libc.so.6":
            for name in OPENED_BY_GLIBC:
                if library.with_name(name).exists():
                    _copy_library(library.with_name(name), place.with_name(name))


def _authorities() -> Path | None:
    """Returns the file of the authorities that this machine trusts, None if it has none."""
    found = ssl.get_default_verify_paths().cafile
    return Path(found) if found is not None else None


def _copy_authorities(root: Path) -> None:
    """Copies the authorities that this machine trusts to the path at which this Python's OpenSSL looks for them."""
    if (authorities := _authorities()) is not None:
        place = root / ssl.get_default_verify_paths().openssl_cafile.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(authorities, place)


def _copy_library(library: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        shutil.copy(library, place)
        place.chmod(0o755)


def _linked(programs: list[Path]) -> Iterator[Path]:
    """Yields the closure of the libraries of `programs`, as this machine's loader finds it. Raises RootError for a missing one."""
    libraries = os.pathsep.join([str(Path(sys.base_prefix) / "lib"), *filter(None, [sysconfig.get_config_var("LIBDIR")])])
    if shutil.which("ldd") is None:
        raise RootError("`ldd` was not found: an image is made from a Linux with glibc (Debian: libc-bin)")
    bundled = {program.name for program in programs}  # a wheel's own libraries, loaded by its first module
    for program in programs:
        environment = os.environ | {"LD_LIBRARY_PATH": libraries}
        ldd = subprocess.run(["ldd", program], env=environment, capture_output=True, text=True, check=False)
        if ldd.returncode != 0 and "statically linked" in ldd.stdout + ldd.stderr:
            continue
        for match in LINKED.finditer(ldd.stdout):
            if match["path"] == "not found" and match["name"] in bundled:
                continue
            if match["path"] == "not found":
                raise RootError(f"{program.name} needs {match['name']}, which this machine does not have: install it")
            yield Path(match["path"])
