"""Builds the documentation into `build/docs/site`, and checks every link of it. `make docs` runs `python -m local.docs`."""

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
    """Rebuilds the site; returns the exit code: 0 if no page is wrong, else 1."""
    parser = argparse.ArgumentParser(prog="python -m local.docs", description=__doc__)
    parser.add_argument("--environment", type=Path, default=ENVIRONMENT, help="virtual environment with MkDocs (default: .venv-docs)")
    options = parser.parse_args(arguments)
    try:
        python = _python(options.environment)
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
    """Returns the Python of the environment. Raises DocsError if MkDocs was never installed."""
    python = environment / "bin" / "python"
    if not python.exists():
        raise DocsError(f"MkDocs is not there, in {environment}: `make docs` installs it")
    return python


def _mkdocs(python: Path) -> None:
    """Runs MkDocs. Raises DocsError if it warns of anything."""
    command = [str(python), "-m", "mkdocs", "build", "--strict", "--clean", "--config-file", str(CONFIG)]
    variables = {**os.environ, "SOURCE_DATE_EPOCH": "0", "NO_MKDOCS_2_WARNING": "true"}
    done = subprocess.run(command, cwd=REPOSITORY, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise DocsError(f"MkDocs ended with exit code {done.returncode}:\n{done.stdout.strip()}")


def finish(site: Path) -> int:
    """Gives each page its Content-Security-Policy and checks all links; returns the number of links. Raises DocsError."""
    read = {}
    for path in sorted(site.rglob("*.html")):
        text = path.read_text()
        page = read[path.relative_to(site).as_posix()] = markup.read(text)
        path.write_text(policy.with_policy(text, page))
    if problems := links.wrong(site, read):
        more = [f"… and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise DocsError("\n".join([f"{len(problems)} things of the site are wrong:", *problems[:SHOWN], *more]))
    return sum(len(each.links) for each in read.values())


if __name__ == "__main__":
    sys.exit(main())
