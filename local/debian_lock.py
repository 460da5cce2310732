"""Writes and reads `locks/debian.txt`: Debian's packages for a release's images, each by version and SHA-256. `make locks` runs it.

apt finds the versions and checks the archive's signatures, with Debian's own sources alone; it installs nothing and needs no root. A file
that has left the archive is in the snapshot of the day that the lock names.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote, unquote

from local.errors import LocalError

LOCK = Path(__file__).parent.parent / "locks" / "debian.txt"
SUITE = "bookworm"
PYTHON = "3.11"
"""The Python of that Debian."""
GLIBC = "2_36"
"""Its C library, as the tags of wheels have it."""
PACKAGES = (
    *("base-files", "ca-certificates", f"libpython{PYTHON}-minimal", f"libpython{PYTHON}-stdlib", f"python{PYTHON}-minimal"),
    *("gcc-12-base", "libbz2-1.0", "libc6", "libcrypt1", "libexpat1", "libffi8", "libgcc-s1", "liblzma5", "libsqlite3-0"),
    *("libssl3", "libstdc++6", "libuuid1", "zlib1g"),
)
"""Python, libraries that its modules and those of wheels link to, trusted authorities, and the files that identify Debian.

No shell, and no package manager.
"""
ARCHITECTURES = ("amd64", "arm64")
SNAPSHOTS = "https://snapshot.debian.org/archive"
TAKEN_AFTER = timedelta(days=1)
"""Snapshots are taken hours after the archives that they copy."""

_SOURCES = """\
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian {suite} main
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian-security {suite}-security main
"""
_URI = re.compile(r"^'[^']*/(?P<archive>[^/']+)/(?P<path>pool/[^']+)' (?P<file>\S+) \d+ SHA256:(?P<sha256>[0-9a-f]{64})$", re.MULTILINE)
_HEADER = "# The packages of Debian that a release's images are made of, written by `make locks`. A line: archive, architecture, name, version, file, hash.\n"


class LockError(LocalError):
    """A lock that is wrong, or could not be written; the message explains why."""


@dataclass(frozen=True)
class Package:
    """One file of an archive: `debian`, or `debian-security`; `path` is below that. `architecture` is `all` if it suits every one."""

    archive: str
    architecture: str
    name: str
    version: str
    path: str
    sha256: str

    @property
    def file(self) -> str:
        """Returns the name of its file, as apt downloads it: a colon of the version is written as `%3a`."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"

    def at(self, snapshot: str) -> str:
        """Returns its URL in a snapshot of the archive."""
        return f"{SNAPSHOTS}/{self.archive}/{snapshot}/{quote(self.path)}"


@dataclass(frozen=True)
class Lock:
    """`snapshot`: a time, as snapshot.debian.org writes it, at which the archives had all of `packages`."""

    snapshot: str
    packages: tuple[Package, ...]

    def of(self, architecture: str) -> list[Package]:
        """Returns the packages of an image of this architecture. Raises LockError if the lock lacks one."""
        packages = [each for each in self.packages if each.architecture in (architecture, "all")]
        if absent := sorted(set(PACKAGES) - {each.name for each in packages}):
            raise LockError(f"{LOCK.name} has for {architecture} no {', '.join(absent)}: write it anew, `make locks`")
        return packages


def parse(text: str) -> Lock:
    """Parses the text of a lock. Raises LockError."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    try:
        (_, snapshot), *packages = lines
        return Lock(snapshot, tuple(_package(*fields) for fields in packages))
    except (TypeError, ValueError) as error:
        raise LockError(f"{LOCK.name} is no list of packages: write it anew, `make locks`") from error


def _package(archive: str, architecture: str, name: str, version: str, path: str, sha256: str) -> Package:
    return Package(archive, architecture, name, version, path, sha256.removeprefix("sha256:"))


def written(lock: Lock) -> str:
    """Returns the text of the lock's file."""
    packages = sorted(lock.packages, key=lambda each: (each.architecture, each.name))
    lines = [f"{each.archive} {each.architecture} {each.name} {each.version} {each.path} sha256:{each.sha256}\n" for each in packages]
    return _HEADER + f"snapshot {lock.snapshot}\n" + "".join(lines)


def packages_of(uris: str) -> list[Package]:
    """Parses the output of `apt-get download --print-uris`."""
    packages = []
    for each in _URI.finditer(uris):
        name, version, architecture = each["file"].removesuffix(".deb").split("_")
        version = version.replace("%3a", ":")
        packages.append(Package(each["archive"], architecture, name, version, unquote(each["path"]), each["sha256"]))
    return packages


def snapshot_after(dates: Iterable[str]) -> str:
    """Returns the time of the snapshot that has all of archives with these dates, which are those of their Release files."""
    newest = max(parsedate_to_datetime(date) for date in dates)
    return (newest + TAKEN_AFTER).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def resolve() -> Lock:
    """Returns a lock of the newest versions that Debian's archives have. Raises LockError."""
    packages: dict[str, Package] = {}
    dates: list[str] = []
    for architecture in ARCHITECTURES:
        with tempfile.TemporaryDirectory(prefix="dynamiq-debian-") as folder:
            apt = _apt(Path(folder), architecture)
            _run([*apt, "update"])
            packages |= {each.file: each for each in packages_of(_run([*apt, "download", "--print-uris", *PACKAGES]))}
            lists = (path.read_text() for path in Path(folder, "state", "lists").glob("*Release"))
            dates += [line.partition(": ")[2] for text in lists for line in text.splitlines() if line.startswith("Date: ")]
    lock = Lock(snapshot_after(dates), tuple(packages.values()))
    for architecture in ARCHITECTURES:
        lock.of(architecture)
    return lock


def _apt(folder: Path, architecture: str) -> list[str]:
    """Returns the apt-get command of an otherwise empty machine of that architecture with this folder alone."""
    sources = folder / "sources.list"
    sources.write_text(_SOURCES.format(suite=SUITE))
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    options = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
        "Dir::State": str(folder / "state"),
        "Dir::State::status": str(folder / "status"),
        "Dir::Cache": str(folder / "cache"),
        "Dir::Etc::sourcelist": str(sources),
        "Dir::Etc::sourceparts": "-",
    }
    return ["apt-get", "-qq", *(part for key, value in options.items() for part in ("-o", f"{key}={value}"))]


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise LockError("there is no apt-get, which finds the versions: write the lock on a Debian") from error
    if done.returncode:
        raise LockError(f"apt-get could not say what Debian has:\n{done.stderr.strip()}")
    return done.stdout


def main() -> int:
    """Writes the lock and returns the exit code."""
    try:
        lock = resolve()
    except LockError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    LOCK.write_text(written(lock))
    print(f"{LOCK.name}: {len(lock.packages)} packages, {datetime.now(UTC):%Y-%m-%d}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
