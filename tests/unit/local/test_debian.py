"""The base of a release's images: the packages of Debian, their hashes, and the files that are unpacked into a folder."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from local import debian, debian_lock
from local.debian_lock import Lock, LockError, Package
from local.rootfs import RootError
from local.steps import Commands, Task

SAID = """\
'http://deb.example/debian/pool/main/libx/libxcrypt/libcrypt1_4.4.33-2_amd64.deb' libcrypt1_1%3a4.4.33-2_amd64.deb 88304 SHA256:{a}
'http://deb.example/debian-security/pool/updates/main/p/python3.11/python3.11-minimal_3.11.2-6%2bdeb12u9_amd64.deb' python3.11-minimal_3.11.2-6+deb12u9_amd64.deb 2054684 SHA256:{b}
""".format(a="a" * 64, b="b" * 64)


def test_the_lock_names_what_an_image_is_made_of_for_each_architecture_and_no_address() -> None:
    text = debian_lock.LOCK.read_text()
    lock = debian_lock.parse(text)
    for architecture in debian_lock.ARCHITECTURES:
        assert sorted(each.name for each in lock.of(architecture)) == sorted(debian_lock.PACKAGES)
    assert all(re.fullmatch(r"[0-9a-f]{64}", each.sha256) for each in lock.packages)
    assert debian_lock.written(lock) == text
    assert "://" not in text


def test_the_output_of_apt_is_parsed_with_versions_of_debian() -> None:
    libcrypt, python = debian_lock.packages_of(SAID)
    assert (libcrypt.archive, libcrypt.name, libcrypt.version, libcrypt.sha256) == ("debian", "libcrypt1", "1:4.4.33-2", "a" * 64)
    assert libcrypt.file == "libcrypt1_1%3a4.4.33-2_amd64.deb"
    assert python.path == "pool/updates/main/p/python3.11/python3.11-minimal_3.11.2-6+deb12u9_amd64.deb"
    where = "debian-security/20261129T000000Z/pool/updates/main/p/python3.11/python3.11-minimal_3.11.2-6%2Bdeb12u9_amd64.deb"
    assert python.at("20261129T000000Z") == f"{debian_lock.SNAPSHOTS}/{where}"


def test_the_snapshot_is_one_that_has_the_newest_archive() -> None:
    dates = ["Sat, 11 Jul 2026 10:16:37 UTC", "Fri, 27 Nov 2026 02:10:32 UTC"]
    assert debian_lock.snapshot_after(dates) == "20261128T021032Z"


def test_a_lock_that_lacks_a_package_or_a_field_names_the_next_step() -> None:
    with pytest.raises(LockError, match=r"has for amd64 no base-files, .*: write it anew, `make locks`"):
        Lock("20261128T021032Z", ()).of("amd64")
    for text in ("", "snapshot 20261128T021032Z\ndebian amd64 libc6\n"):
        with pytest.raises(LockError, match="write it anew, `make locks`"):
            debian_lock.parse(text)


MODES = {"var/tmp/": 0o1777, "usr/bin/su": 0o4775}


def a_deb(files: dict[str, str]) -> bytes:
    """Returns a package of Debian with these files."""

    def tar(content: dict[str, str]) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:xz") as archive:
            for name, text in content.items():
                entry = tarfile.TarInfo(f"./{name}")
                entry.size, entry.mode = len(text), MODES.get(name, 0o644)
                if name.endswith("/"):
                    entry.type = tarfile.DIRTYPE
                archive.addfile(entry, io.BytesIO(text.encode()))
        return out.getvalue()

    control = tar({"control": "Package: tiny\nVersion: 1-1\nArchitecture: all\n"})
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": control, "data.tar.xz": tar(files)}
    return b"!<arch>\n" + b"".join(
        f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(each):<10}`\n".encode() + each + b"\n" * (len(each) % 2)
        for name, each in parts.items()
    )


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serves a snapshot that has the one package of a lock. There is no apt."""
    place = tmp_path / "snapshot"
    deb = a_deb(
        dict.fromkeys(MODES, "")
        | {"usr/lib/tiny": "tiny", "usr/share/man/man1/tiny.1": "", "usr/share/doc/tiny/copyright": "MIT", "usr/share/doc/tiny/NEWS": ""}
    )
    package = Package("debian", "all", "tiny", "1-1", "pool/main/t/tiny/tiny_1-1_all.deb", hashlib.sha256(deb).hexdigest())
    file = place / "debian" / "20261128T021032Z" / package.path
    file.parent.mkdir(parents=True)
    file.write_bytes(deb)
    (tmp_path / "lock.txt").write_text(debian_lock.written(Lock("20261128T021032Z", (package,))))
    handler = partial(SimpleHTTPRequestHandler, directory=str(place))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        monkeypatch.setattr(debian_lock, "SNAPSHOTS", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(debian_lock, "LOCK", tmp_path / "lock.txt")
        monkeypatch.setattr(debian_lock, "PACKAGES", ("tiny",))
        monkeypatch.setenv("DYNAMIQ_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("PATH", "")
        yield file
        server.shutdown()


def files(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_a_package_that_the_archive_has_no_more_comes_from_the_snapshot_and_stays(snapshot: Path, tmp_path: Path) -> None:
    expected = {
        "usr/bin/su": "",
        "usr/lib/tiny": "tiny",
        "usr/share/doc/tiny/copyright": "MIT",
        "var/lib/dpkg/status.d/tiny": "Package: tiny\nVersion: 1-1\nArchitecture: all\n",
    }
    debian.unpack(tmp_path / "root", Task("root", 1, Commands()))
    assert files(tmp_path / "root") == expected
    snapshot.unlink()
    debian.unpack(tmp_path / "again", Task("root", 1, Commands()))
    assert files(tmp_path / "again") == expected


@pytest.mark.usefixtures("snapshot")
def test_whatever_python_unpacks_a_sticky_folder_stays_one_and_no_file_runs_as_its_owner(tmp_path: Path) -> None:
    debian.unpack(tmp_path / "root", Task("root", 1, Commands()))
    assert {name: (tmp_path / "root" / name).stat().st_mode & 0o7022 for name in MODES} == {"var/tmp/": 0o1000, "usr/bin/su": 0}


@pytest.mark.parametrize("content", [None, b"another"])
def test_a_missing_or_different_package_is_refused(snapshot: Path, tmp_path: Path, content: bytes | None) -> None:
    snapshot.unlink()
    if content is not None:
        snapshot.write_bytes(content)
    with pytest.raises(
        RootError, match=r"names tiny_1-1_all\.deb, and neither apt nor the snapshot of 20261128T021032Z has it: .*make locks"
    ):
        debian.unpack(tmp_path / "root", Task("root", 1, Commands()))


class BreaksOff(BaseHTTPRequestHandler):
    """A server that announces a file's length, and ends before it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"!<arch>")


@pytest.mark.usefixtures("snapshot")
def test_a_snapshot_that_breaks_off_is_one_that_has_it_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BreaksOff) as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        monkeypatch.setattr(debian_lock, "SNAPSHOTS", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(RootError, match=r"neither apt nor the snapshot of 20261128T021032Z has it"):
            debian.unpack(tmp_path / "root", Task("root", 1, Commands()))
        server.shutdown()


def test_a_file_that_is_no_package_is_refused() -> None:
    with pytest.raises(RootError, match="not an archive of ar"):
        debian.members(b"PK\x03\x04")


def test_packages_without_a_wheel_are_for_images_of_this_machine_alone(tmp_path: Path) -> None:
    with pytest.raises(RootError, match=r"sdk\.txt has packages without a wheel, rouge-score"):
        debian.DEBIAN.make_root(tmp_path, Path("sdk.txt"), ["rouge-score"], Task("root", 1, Commands()), whole=True)
