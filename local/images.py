"""Makes the images of operator, runtime and recorder with the standard library alone.

An image is one uncompressed layer in an OCI layout. `ctr images import`, `kind load image-archive` and `docker load` read its archive. The
same files give the same digest on every machine: owners, times and the umask's traces are left out. A finished image is kept in the
cache, named by the digest of all its inputs. It refuses to pack a device or a socket, follows no symbolic link, and pushes nowhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import stat
import tarfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from local import builds, console_build, debian, rootfs, steps
from local.archives import add
from local.errors import LocalError
from local.steps import Step, Task

REPOSITORY = Path(__file__).parent.parent
HOST = "dynamiq.local"
KEPT = 3  # finished archives of each image that stay in the cache: another checkout may be about to load one

NONROOT = "65532"
SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
_MEDIA = "application/vnd.oci.image"


class ImageError(LocalError):
    """An image that could not be made; the message names the part, and the remedy."""


@dataclass(frozen=True)
class Image:
    """One of our images: the package it runs, its default command, and its lock if that has another name.

    - `built`: packages of the lock without a wheel: they are pure Python, and a wheel is built here.
    - `whole`: its packages may need any part of the standard library.
    - `console`: it serves the web console, which is built for it.
    - `beside`: parts of other packages that it imports, as paths below operator/.
    """

    name: str
    package: str
    command: str
    locked: str = ""
    built: tuple[str, ...] = ()
    whole: bool = False
    console: bool = False
    beside: tuple[str, ...] = ()

    @property
    def lock(self) -> Path:
        """Returns the list of its packages, by hash."""
        return REPOSITORY / "locks" / f"{self.locked or self.name}.txt"

    @property
    def source(self) -> Path:
        """Returns the package's folder."""
        return REPOSITORY / "operator" / self.package

    @property
    def sources(self) -> list[Path]:
        """Returns those files of ours that it contains."""
        parts = [self.source, *(self.source.parent / each for each in self.beside)]
        return [path for part in parts for path in (rootfs.sources(part) if part.is_dir() else [part])]

    @property
    def reference(self) -> str:
        """Returns the name that a pod uses; importing a newer build moves it."""
        return f"{HOST}/{self.name}:{version()}"


@dataclass(frozen=True)
class Recipe:
    """The base of images, and the time of their files and their configuration, in Unix seconds (SOURCE_DATE_EPOCH)."""

    base: rootfs.Base = rootfs.HOST
    epoch: int = 0


RUNTIME = Image("runtime", "dynamiq_runtime", "serve")
OPERATOR = Image("operator", "dynamiq_operator", "run", console=True)
RECORDER = Image(
    "recorder",
    "dynamiq_recorder",
    "serve",
    whole=True,  # SQLite is of the standard library
    beside=tuple(f"dynamiq_operator/{part}" for part in ("__init__.py", "py.typed", "model", "desired", "kube", "serving")),
)
RUNTIME_SDK = Image("runtime-sdk", "dynamiq_runtime", "serve", "sdk", ("antlr4-python3-runtime", "rouge-score"), whole=True)
"""The runtime with Dynamiq's SDK: 2 GB and minutes, so it is built only on request."""


def version() -> str:
    """Returns the project's version, which tags its images."""
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        number: str = tomllib.load(file)["project"]["version"]
    return number


ALWAYS = (RUNTIME, OPERATOR, RECORDER)
"""The images of every installation."""
OURS = {image.name: image for image in (*ALWAYS, RUNTIME_SDK)}

FOR_THIS_MACHINE = Recipe()


def ensure(images: Sequence[Image] = ALWAYS, recipe: Recipe = FOR_THIS_MACHINE) -> dict[str, Path]:
    """Builds what is missing, and returns the archives by the images' names. Raises ImageError."""
    while True:
        steps.run(missing(images, recipe))
        archives = {image.reference: _archive(image, recipe) for image in images}
        # Another checkout may build meanwhile, and delete the archives used longest ago, which may be these.
        with builds.locked("images"):
            used = [_use(archive) for archive in archives.values()]
            if all(used):
                return archives


def missing(images: Sequence[Image] = ALWAYS, recipe: Recipe = FOR_THIS_MACHINE) -> list[Step]:
    """Returns the steps that build the images missing from the cache, and the console if one of them needs it."""
    absent = [image for image in images if not _archive(image, recipe).exists()]
    console = console_build.missing() if any(image.console for image in absent) else []
    return [*console, *(Step(f"image {image.name}", partial(_build, image, recipe)) for image in absent)]


def digest_of(archive: Path) -> str:
    """Returns the manifest's digest in an archive that `write_image` made. Raises ImageError.

    A pod may name `host/path@<digest>` once the archive is imported.
    """
    if not (digests := named_in(archive)):
        raise ImageError(f"{archive} is not an OCI archive")
    return next(iter(digests.values()))


def named_in(archive: Path) -> dict[str, str]:
    """Returns the digests of an OCI archive's manifests by their names; empty for an archive of another kind."""
    with tarfile.open(archive) as layout:
        try:
            index = layout.extractfile("index.json")
        except KeyError:
            return {}
        manifests = json.load(index)["manifests"] if index is not None else []
    return {each.get("annotations", {}).get("io.containerd.image.name", ""): each["digest"] for each in manifests}


def _stem(image: Image, recipe: Recipe) -> str:
    return image.name + recipe.base.suffix


def _base(image: Image, recipe: Recipe) -> Path:
    """Returns the folder with Python and the packages: it depends on the source of Python, and on the lock."""
    inputs = hashlib.sha256(Path(rootfs.__file__).read_bytes())
    inputs.update(recipe.base.inputs())
    inputs.update(image.lock.read_bytes())
    return builds.cache_root() / "images" / f"{_stem(image, recipe)}-base-{inputs.hexdigest()[:12]}"


def _archive(image: Image, recipe: Recipe) -> Path:
    """Returns the path of the finished image: it depends on its base, its time, our sources, and the console's if it serves that."""
    base = _base(image, recipe)
    inputs = hashlib.sha256(f"{base.name}\0{recipe.epoch}\0".encode() + Path(__file__).read_bytes())
    for path in image.sources:
        inputs.update(f"\0{path.relative_to(image.source.parent)}\0".encode() + path.read_bytes())
    if image.console:
        inputs.update(f"\0console\0{console_build.digest()}".encode())
    return base.with_name(f"{_stem(image, recipe)}-{version()}-{inputs.hexdigest()[:12]}.tar")


def _build(image: Image, recipe: Recipe, task: Task) -> str:
    """Builds one image, unless another process has built it meanwhile, and returns its size for the reader.

    Packages change rarely: the folder with Python and packages is kept, and sources are added to a copy of it.
    """
    with builds.locked("images"):
        base, archive, stem = _base(image, recipe), _archive(image, recipe), _stem(image, recipe)
        if not archive.exists():
            if not base.exists():
                _forget(base.parent, f"{stem}-base-*", 0)
                _make_base(base, image, recipe.base, task)
            root = base.with_name(f"{stem}-root")
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(base, root, symlinks=True, copy_function=os.link)
            rootfs.add_sources(root, image.source.parent, image.sources, recipe.base.python(root))
            if image.console:
                console_build.build(task)  # it exists, unless builds of another checkout have replaced it meanwhile
                console_build.copy(console_build.folder(), root / rootfs.APP / console_build.STATIC.relative_to(image.source.parent))
            entrypoint, environment = ["/usr/local/bin/python3", "-m", image.package], recipe.base.environment
            write_image(archive, image.reference, root, entrypoint=entrypoint, cmd=[image.command], env=environment, epoch=recipe.epoch)
            shutil.rmtree(root)
            _forget(base.parent, f"{stem}-{version()}-*.tar", KEPT)
        return f"{archive.stat().st_size / 1e6:.0f} MB"


def _make_base(base: Path, image: Image, origin: rootfs.Base, task: Task) -> None:
    unfinished = base.with_name(base.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        origin.make_root(unfinished, image.lock, image.built, task, whole=image.whole)
    except rootfs.RootError as error:
        raise ImageError(str(error)) from error
    unfinished.rename(base)


def _use(archive: Path) -> bool:
    """Marks it as used now, since the last used ones are kept; returns False if it is missing."""
    try:
        os.utime(archive)
    except FileNotFoundError:
        return False
    return True


def _forget(folder: Path, pattern: str, keep: int) -> None:
    for path in sorted(folder.glob(pattern), key=lambda path: -path.stat().st_mtime)[keep:]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


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
    epoch: int = 0,
) -> str:
    """Packs the folder `root` into the OCI archive `out` under `name` (host/path:tag); returns the manifest's digest, `sha256:…`.

    The host needs a dot: containerd resolves a name without one to Docker Hub. Files become root's, 0644 or 0755, of the time `epoch` in
    Unix seconds; a sticky folder (/tmp) stays 1777. Raises ImageError.
    """
    host, _, tag = name.partition("/")[0], *name.rpartition(":")[1:]
    if "." not in host or not tag or "/" in tag:
        raise ImageError(f"the image name {name!r} is not host.with.dot/path:tag")
    out.parent.mkdir(parents=True, exist_ok=True)
    layer = out.with_name(out.name + ".layer")
    partial = out.with_name(out.name + ".partial")
    try:
        layer_digest = _write_layer(layer, root, epoch)
        config = _json(_config(layer_digest, entrypoint, cmd, user, env or {}, workdir, epoch))
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
            add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            add(archive, "index.json", _json(_index(manifest, name, tag)))
            # Docker's own store reads only this file, and containerd only the two above.
            saved = {"Config": _blob(_digest(config)), "RepoTags": [name], "Layers": [_blob(layer_digest)]}
            add(archive, "manifest.json", _json([saved]))
            add(archive, _blob(digest), manifest)
            add(archive, _blob(_digest(config)), config)
            entry = tarfile.TarInfo(_blob(layer_digest))
            entry.size = layer.stat().st_size
            with layer.open("rb") as content:
                archive.addfile(entry, content)
        partial.rename(out)
    finally:
        layer.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)
    return digest


def _write_layer(layer: Path, root: Path, epoch: int) -> str:
    with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(root.rglob("*"), key=lambda path: path.relative_to(root).parts):
            mode = path.lstat().st_mode
            entry = tarfile.TarInfo(path.relative_to(root).as_posix())
            entry.mtime = epoch
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
    layer_digest: str, entrypoint: Sequence[str], cmd: Sequence[str], user: str, env: Mapping[str, str], workdir: str, epoch: int
) -> dict[str, object]:
    created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
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
        "architecture": architecture(),
        "os": "linux",
        "created": created,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        "history": [{"created": created, "created_by": "local/images.py"}],
    }


def _index(manifest: bytes, name: str, tag: str) -> dict[str, object]:
    """Returns an index that names the one manifest twice, by tag and by digest.

    An import makes no name with a digest by itself, and a pod may use that name.
    """
    platform_ = {"architecture": architecture(), "os": "linux"}
    tagged = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}
    digested = {"io.containerd.image.name": f"{name.removesuffix(':' + tag)}@{_digest(manifest)}"}
    entry = _descriptor("manifest.v1+json", manifest) | {"platform": platform_}
    manifests = [entry | {"annotations": annotations} for annotations in (tagged, digested)]
    return {"schemaVersion": 2, "mediaType": f"{_MEDIA}.index.v1+json", "manifests": manifests}


def architecture() -> str:
    """Returns this machine's architecture, as images name it."""
    return debian.ARCHITECTURES.get(platform.machine(), platform.machine())


def _descriptor(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": f"{_MEDIA}.{kind}", "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
