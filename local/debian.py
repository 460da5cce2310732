"""Makes the base of a release's images: packages of Debian, checked by their hashes, unpacked into a folder.

It is the same on every machine of an architecture. No script of a package runs, and nothing is installed on this machine. An image
therefore lacks the files that those scripts make, except for the list of trusted authorities. `var/lib/dpkg/status.d` lists the packages
for scanners. Packages of Python come from the locks, as wheels for that Debian's Python and C library, whichever Python runs this. It
refuses a file with another hash than the lock's, and a module that links to a library that the image does not have.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import http.client
import io
import platform
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from uv import find_uv_bin

from local import builds, debian_lock, rootfs
from local.archives import extract
from local.debian_lock import GLIBC, PYTHON, Lock, LockError, Package
from local.rootfs import RootError
from local.steps import CommandError, Task

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
SECONDS = 60
"""Enough for one file, which has a few megabytes."""
DOCUMENTS_LEFT_OUT = ("usr/share/man/*", "usr/share/locale/*", "usr/share/lintian/*", "usr/share/bug/*", "usr/share/doc-base/*")
KEPT_OF_DOCUMENTS = "usr/share/doc/*/copyright"
FOLDERS_LEFT_OUT = (
    "boot",
    "home",
    "media",
    "mnt",
    "opt",
    "srv",
    "usr/games",
    "usr/include",
    "usr/src",
    "var/backups",
    "var/local",
    "var/lock",
)
# Each needs a shared library that nothing of ours needs.
MODULES_LEFT_OUT = ("curses", "_curses*.so", "readline*.so", "dbm", "_dbm*.so", "_gdbm*.so", "nis*.so")
AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"
AR = b"!<arch>\n"
AR_HEADER = 60
"""Bytes before each file: its name in 16, its size in 10 from the 48th."""
LINKED = re.compile(r"^\s*(?P<name>\S+) => (?P<path>/\S+|not found)", re.MULTILINE)


class Debian:
    """Debian's Python on Debian's libraries, by `locks/debian.txt`."""

    suffix = "-debian"
    environment: Mapping[str, str] = rootfs.ENVIRONMENT

    def inputs(self) -> bytes:
        return f"{platform.machine()}\0".encode() + Path(__file__).read_bytes() + debian_lock.LOCK.read_bytes()

    def make_root(self, root: Path, lock: Path, built: Sequence[str], task: Task, *, whole: bool) -> None:  # noqa: ARG002 - it is always whole
        if built:
            raise RootError(
                f"{lock.name} has packages without a wheel, {', '.join(built)}: such an image is for this machine's clusters alone"
            )
        unpack(root, task)
        rootfs.make_folders(root)
        for name in ("python3", "python"):
            (root / "usr/local/bin" / name).symlink_to(f"/usr/bin/python{PYTHON}")
        _trust(root)
        _install(root / rootfs.APP, lock, task)
        _require_libraries(root)
        rootfs.compile_all(root, [root / f"usr/lib/python{PYTHON}", root / rootfs.APP], self.python(root))

    def python(self, root: Path) -> list[str | Path]:
        return [*_loader(root), root / f"usr/bin/python{PYTHON}"]


DEBIAN = Debian()


def architecture() -> str:
    """Returns this machine's architecture, as Debian names it. Raises RootError if there is no base for it."""
    name = ARCHITECTURES.get(platform.machine())
    if name is None:
        raise RootError(f"images of a release are made on {' or '.join(ARCHITECTURES)}, and this is {platform.machine()}")
    return name


def unpack(root: Path, task: Task) -> None:
    """Fills `root` with the packages that the lock names, without the files that no program of ours needs. Raises RootError."""
    try:
        lock = debian_lock.parse(debian_lock.LOCK.read_text())
        packages = lock.of(architecture())
    except LockError as error:
        raise RootError(str(error)) from error
    folder = builds.cache_root() / "debian-packages"
    folder.mkdir(parents=True, exist_ok=True)
    _fetch(packages, lock, folder, task)
    for package in packages:
        _unpack(folder / package.file, package, root)
    for name in FOLDERS_LEFT_OUT:
        shutil.rmtree(root / name, ignore_errors=True)
    for pattern in (*rootfs.STDLIB_LEFT_OUT, *MODULES_LEFT_OUT):
        for path in (root / f"usr/lib/python{PYTHON}").rglob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _fetch(packages: Sequence[Package], lock: Lock, folder: Path, task: Task) -> None:
    """Downloads the missing packages to `folder`: with apt if it has them, else from the snapshot. Raises RootError."""
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as new:
        for source in (_by_apt, _by_apt_after_an_update, _by_snapshot):
            absent = [each for each in packages if not is_it(folder / each.file, each)]
            if absent:
                source(absent, lock, Path(new), task)
            for each in absent:
                if is_it(Path(new) / each.file, each):
                    (Path(new) / each.file).replace(folder / each.file)
    if names := [each.file for each in packages if not is_it(folder / each.file, each)]:
        raise RootError(
            f"{debian_lock.LOCK.name} names {', '.join(names)}, and neither apt nor the snapshot of {lock.snapshot} has it: "
            "write the lock anew, `make locks`"
        )


def is_it(path: Path, package: Package) -> bool:
    """Returns True if the file exists and has the lock's hash."""
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == package.sha256


def _by_apt(packages: Sequence[Package], _: Lock, folder: Path, task: Task) -> None:
    if shutil.which("apt-get") is None:
        return
    task.detail = "apt-get download"
    names = [f"{each.name}{'' if each.architecture == 'all' else f':{each.architecture}'}={each.version}" for each in packages]
    with contextlib.suppress(CommandError):  # another distribution, or an archive that has newer versions
        task.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *names], cwd=folder, interruptible=False)


def _by_apt_after_an_update(packages: Sequence[Package], lock: Lock, folder: Path, task: Task) -> None:
    if shutil.which("apt-get") is None:
        return
    task.detail = "apt-get update"
    with builds.locked("packages"), contextlib.suppress(CommandError):  # only root may
        task.run(["apt-get", "-qq", "update"], interruptible=False)
    _by_apt(packages, lock, folder, task)


def _by_snapshot(packages: Sequence[Package], lock: Lock, folder: Path, task: Task) -> None:
    for package in packages:
        task.detail = f"{package.file} of {lock.snapshot}"
        try:
            with urllib.request.urlopen(package.at(lock.snapshot), timeout=SECONDS) as answer:  # noqa: S310 - https, by a constant
                (folder / package.file).write_bytes(answer.read())
        except (OSError, http.client.HTTPException):  # no server, no such file, or a broken connection
            return


def _unpack(file: Path, package: Package, root: Path) -> None:
    inside = members(file.read_bytes())
    with _tar(inside, "data.tar") as content:
        kept = [each for each in content if _is_kept(each.name.removeprefix("./"))]
        sticky = [each.name for each in kept if each.isdir() and each.mode & stat.S_ISVTX]
        # The filter does so and drops the sticky bit of /var/tmp, too, but only some versions of Python have it.
        for each in kept:
            each.mode &= 0o755
        extract(content, root, "tar", kept)
        for name in sticky:
            (root / name).chmod(0o1755)
    status = root / "var/lib/dpkg/status.d" / package.name
    status.parent.mkdir(parents=True, exist_ok=True)
    with _tar(inside, "control.tar") as controls:
        control = controls.extractfile("./control")
        status.write_bytes(control.read() if control is not None else b"")


def members(archive: bytes) -> dict[str, bytes]:
    """Returns the files of an archive of `ar`, the format of Debian's packages, by their names. Raises RootError.

    Sources: deb(5), ar(5).
    """
    if not archive.startswith(AR):
        raise RootError("a package of Debian is not an archive of ar")
    files, at = {}, len(AR)
    while at < len(archive):
        header = archive[at : at + AR_HEADER]
        size = int(header[48:58])
        at += AR_HEADER
        files[header[:16].decode().rstrip(" /")] = archive[at : at + size]
        at += size + size % 2  # each begins at an even place
    return files


def _tar(inside: Mapping[str, bytes], name: str) -> tarfile.TarFile:
    """Opens the part of a package whose name begins so: the rest of the name is its compression."""
    (content,) = (each for member, each in inside.items() if member.startswith(name))
    return tarfile.open(fileobj=io.BytesIO(content))


def _is_kept(path: str) -> bool:
    if path.startswith("usr/share/doc/"):
        return fnmatch.fnmatch(path, KEPT_OF_DOCUMENTS)
    return not any(fnmatch.fnmatch(path, pattern) for pattern in DOCUMENTS_LEFT_OUT)


def _trust(root: Path) -> None:
    """Writes the authorities into one file at OpenSSL's path: Debian's packages leave that to a script."""
    bundle = root / AUTHORITIES
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(path.read_bytes() for path in sorted((root / "usr/share/ca-certificates").rglob("*.crt"))))
    (root / "usr/lib/ssl").mkdir(parents=True, exist_ok=True)
    (root / "usr/lib/ssl/cert.pem").symlink_to(f"/{AUTHORITIES}")


def _install(target: Path, lock: Path, task: Task) -> None:
    task.detail = lock.name
    command = [find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--link-mode", "copy"]
    command += ["--python", sys.executable, "--python-version", PYTHON, "--python-platform", f"{platform.machine()}-manylinux_{GLIBC}"]
    try:
        task.run([*command, "--target", str(target), "--requirement", str(lock)])
    except CommandError as error:
        raise RootError(f"uv could not install {lock.name}:\n{error}") from error
    rootfs.leave_out(target)


def _loader(root: Path) -> list[str | Path]:
    """Returns the command that runs a program of the folder with the folder's libraries, before it is an image."""
    (libraries,) = (root / "lib").glob("*-linux-gnu")
    (loader,) = libraries.glob("ld-linux-*.so.*")
    return [loader, "--library-path", f"{libraries}:{root / 'usr/lib' / libraries.name}"]


def _require_libraries(root: Path) -> None:
    """Refuses a program that links to a library missing from the folder: this machine may have it, but a pod does not."""
    if absent := sorted(set(_absent(root))):
        raise RootError(f"images have no {', '.join(absent)}: add the package to PACKAGES of local/debian_lock.py, and `make locks`")


def _absent(root: Path) -> Iterator[str]:
    programs = [root / f"usr/bin/python{PYTHON}", *root.rglob("*.so"), *root.rglob("*.so.*")]
    bundled = {program.name for program in programs}  # a wheel's own libraries, loaded by its first module
    for program in programs:
        listed = subprocess.run([*_loader(root), "--list", program], capture_output=True, text=True, check=False)
        for match in LINKED.finditer(listed.stdout):
            if not Path(match["path"]).is_relative_to(root) and match["name"] not in bundled:
                yield f"{match['name']} (of {program.relative_to(root)})"
