"""`python -m local.docs`: builds the documentation into `build/docs/site`, and checks every link of it. Run by `make docs`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from local.docs import links, markup, pages, policy
from local.docs.errors import DocsError
from local.docs.pages import REPOSITORY
from local.progress import say

ENVIRONMENT = REPOSITORY / ".venv-docs"
CONFIG = REPOSITORY / "mkdocs.yml"
BUILT = REPOSITORY / "build" / "docs"
SHOWN = 50  # lines of what is wrong


def main(arguments: list[str] | None = None) -> int:
    """Builds the site anew; returns the exit code: 0 where all is well, else 1."""
    parser = argparse.ArgumentParser(prog="python -m local.docs", description=__doc__)
    parser.add_argument("--environment", type=Path, default=ENVIRONMENT, help="virtual environment with MkDocs (default: .venv-docs)")
    given = parser.parse_args(arguments)
    try:
        python = _python(given.environment)
        written = pages.write(BUILT / "pages")
        _mkdocs(python)
        checked = finish(BUILT / "site")
    except DocsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    say(
        f"{written} pages and {checked} links: build/docs/site/index.html; python3 -m http.server -d build/docs/site shows it with its search"
    )
    return 0


def _python(environment: Path) -> Path:
    """Raises DocsError where MkDocs was never installed."""
    found = environment / "bin" / "python"
    if not found.exists():
        raise DocsError(f"MkDocs is not there, in {environment}: `make docs` installs it")
    return found


def _mkdocs(python: Path) -> None:
    """Raises DocsError where MkDocs warns of anything."""
    command = [str(python), "-m", "mkdocs", "build", "--strict", "--clean", "--config-file", str(CONFIG)]
    variables = {**os.environ, "SOURCE_DATE_EPOCH": "0", "NO_MKDOCS_2_WARNING": "true"}
    done = subprocess.run(command, cwd=REPOSITORY, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise DocsError(f"MkDocs ended with exit code {done.returncode}:\n{done.stdout.strip()}")


def finish(site: Path) -> int:
    """Gives each page its Content-Security-Policy and checks all links; returns how many there are. Raises DocsError."""
    read = {}
    for path in sorted(site.rglob("*.html")):
        text = path.read_text()
        found = read[path.relative_to(site).as_posix()] = markup.read(text)
        path.write_text(policy.with_policy(text, found))
    if said := links.wrong(site, read):
        more = [f"… and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
        raise DocsError("\n".join([f"{len(said)} things of the site are wrong:", *said[:SHOWN], *more]))
    return sum(len(each.links) for each in read.values())


if __name__ == "__main__":
    sys.exit(main())
