"""Runs the command line: `python -m local.release build VERSION`, `images [IMAGE…]` and `check`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from local.errors import LocalError
from local.images import ALWAYS, OURS, REPOSITORY, ImageError, version
from local.progress import say
from local.release import build, check
from local.resolver import FORCEABLE

WORK = REPOSITORY / "build" / "release-check"


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns the exit status: 0, or 1 with one message on standard error."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.release", description="Builds and checks a release.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    built = commands.add_parser("build", help="make the files of a release")
    built.add_argument("version", nargs="?", default="", help="the version, which has to be the project's")
    built.set_defaults(run=_build)
    archives = commands.add_parser("images", help="make the archives of images that docker and kind load, in build/images")
    archives.add_argument("images", nargs="*", metavar="IMAGE", help=f"one of {', '.join(OURS)} (default: those of every installation)")
    archives.set_defaults(run=_images)
    checked = commands.add_parser("check", help="install from the files of a release alone on a fresh cluster, and run the demo")
    checked.set_defaults(run=_check)
    checked.add_argument("--profile", choices=FORCEABLE, help="force a profile; see `python -m local --help`")
    for command in (built, checked):
        command.add_argument("--folder", type=Path, default=build.OUT, help="the folder of the release (default: build/release)")
    return parser


def _build(options: argparse.Namespace) -> None:
    paths = build.build(options.version.removeprefix("v"), options.folder)
    say(f"version {version()}, in {options.folder}:")
    for path in paths:
        say(f"  {path.name}  {path.stat().st_size:,} bytes")


def _images(options: argparse.Namespace) -> None:
    if unknown := set(options.images) - set(OURS):
        raise ImageError(f"there is no image {', '.join(sorted(unknown))}: name {', '.join(OURS)}")
    folder = build.IMAGES.relative_to(REPOSITORY)
    for image in [OURS[name] for name in options.images] or ALWAYS:
        path = build.archive(image, build.IMAGES, build.commit_time())
        say(f"  {folder}/{path.name}  {path.stat().st_size:,} bytes  {image.reference}")
    for command in ("docker load --input", "kind load image-archive"):
        say(f"for each in {folder}/*-{version()}-*.oci.tar; do {command} $each; done")


def _check(options: argparse.Namespace) -> None:
    check.check(options.folder, WORK, options.profile)


if __name__ == "__main__":
    sys.exit(main())
