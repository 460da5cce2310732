"""Writes container images with the standard library alone, so that a cluster without Docker can run ours.

An image is one uncompressed layer in an OCI layout, as `ctr images import` takes it. The same files give the same digest on
every machine: owners, times and the umask's traces are left out. It refuses to follow a symbolic link out of the folder, to
pack a device or a socket, and to push anywhere.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import stat
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

NONROOT = "65532"
SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
EPOCH = "1970-01-01T00:00:00Z"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MEDIA = "application/vnd.oci.image"


class ImageError(Exception):
    """An image could not be made; the message says which part, and what to do."""


def write_image(
    out: Path,
    name: str,
    root: Path,
    *,
    entrypoint: Sequence[str],
    cmd: Sequence[str] = (),
    user: str = NONROOT,
    env: Mapping[str, str] | None = None,
    workdir: str = "/",
) -> str:
    """Packs the folder `root` into the OCI archive `out` under `name` (host/path:tag) and returns the manifest's digest, `sha256:…`.

    The host needs a dot: containerd takes a name without one for Docker Hub's. Files become root's, 0644 or 0755; a sticky
    folder (/tmp) stays 1777. Raises ImageError.
    """
    host, _, tag = name.partition("/")[0], *name.rpartition(":")[1:]
    if "." not in host or not tag or "/" in tag:
        raise ImageError(f"the image name {name!r} is not host.with.dot/path:tag")
    out.parent.mkdir(parents=True, exist_ok=True)
    layer = out.with_name(out.name + ".layer")
    partial = out.with_name(out.name + ".partial")
    try:
        layer_digest = _write_layer(layer, root)
        config = _json(_config(layer_digest, entrypoint, cmd, user, env or {}, workdir))
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": f"{_MEDIA}.manifest.v1+json",
                "config": _descriptor("config.v1+json", config),
                "layers": [{"mediaType": f"{_MEDIA}.layer.v1.tar", "digest": layer_digest, "size": layer.stat().st_size}],
            }
        )
        digest = _digest(manifest)
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
            _put(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            _put(archive, "index.json", _json(_index(manifest, name, tag)))
            _put(archive, _blob(digest), manifest)
            _put(archive, _blob(_digest(config)), config)
            with layer.open("rb") as content:
                archive.addfile(_sized(_blob(layer_digest), layer.stat().st_size), content)
        partial.rename(out)
    finally:
        layer.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)
    return digest


def _write_layer(layer: Path, root: Path) -> str:
    with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(root.rglob("*"), key=lambda path: path.relative_to(root).parts):
            mode = path.lstat().st_mode
            entry = tarfile.TarInfo(path.relative_to(root).as_posix())
            if stat.S_ISLNK(mode):
                entry.type, entry.mode, entry.linkname = tarfile.SYMTYPE, 0o777, str(path.readlink())
                archive.addfile(entry)
            elif stat.S_ISDIR(mode):
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if mode & stat.S_ISVTX else 0o755
                archive.addfile(entry)
            elif stat.S_ISREG(mode):
                entry.mode, entry.size = 0o755 if mode & stat.S_IXUSR else 0o644, path.stat().st_size
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                raise ImageError(f"{path} is neither a file, a folder nor a symbolic link, so it can't go into an image")
    with layer.open("rb") as content:
        return "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()


def _config(
    layer_digest: str, entrypoint: Sequence[str], cmd: Sequence[str], user: str, env: Mapping[str, str], workdir: str
) -> dict[str, object]:
    config: dict[str, object] = {
        "User": user,
        "Env": [f"{key}={value}" for key, value in ({"PATH": SEARCH_PATH} | dict(env)).items()],
        "Entrypoint": list(entrypoint),
        "WorkingDir": workdir,
        "StopSignal": "SIGTERM",
    }
    if cmd:
        config["Cmd"] = list(cmd)
    return {
        "architecture": _architecture(),
        "os": "linux",
        "created": EPOCH,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        "history": [{"created": EPOCH, "created_by": "local/images.py"}],
    }


def _index(manifest: bytes, name: str, tag: str) -> dict[str, object]:
    entry = _descriptor("manifest.v1+json", manifest) | {
        "platform": {"architecture": _architecture(), "os": "linux"},
        "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag},
    }
    return {"schemaVersion": 2, "mediaType": f"{_MEDIA}.index.v1+json", "manifests": [entry]}


def _architecture() -> str:
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def _descriptor(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": f"{_MEDIA}.{kind}", "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _sized(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry


def _put(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_sized(name, len(content)), io.BytesIO(content))
