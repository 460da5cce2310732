"""Serves a Git repository that GitOps tools fetch by HTTP, independent of this machine's Git configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from tests.support.scripted import HttpServer, Reply, Sent

BRANCH = "main"
IDENTITY = {"GIT_AUTHOR_NAME": "anna", "GIT_AUTHOR_EMAIL": "anna@example.com", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
COMMITTER = {"GIT_COMMITTER_NAME": "anna", "GIT_COMMITTER_EMAIL": "anna@example.com"}


def committed(repository: Path, message: str) -> str:
    """Commits all files of the folder; returns the commit."""
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", f"--message={message}")
    return git(repository, "rev-parse", "HEAD").strip()


@contextmanager
def served(root: Path) -> Iterator[str]:
    """Serves the repositories below `root`, by git http-backend, a CGI program."""

    def backend(sent: Sent) -> Reply:
        variables = {
            "GIT_PROJECT_ROOT": str(root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": sent.path,
            "QUERY_STRING": urlencode(sent.pairs),
            "REQUEST_METHOD": sent.method,
            "CONTENT_TYPE": sent.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(sent.raw)),
            "HTTP_CONTENT_ENCODING": sent.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": sent.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], env=os.environ | variables, input=sent.raw, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        return Reply(int(headers.pop("Status", "200 OK").split()[0]), content, headers)

    with HttpServer(backend) as server:
        yield server.url


def git(folder: Path, *arguments: str) -> str:
    """Returns the output of git in a repository, independent of its user's configuration. Raises CalledProcessError."""
    command = ["git", "-c", "commit.gpgSign=false", *arguments]
    return subprocess.run(command, cwd=folder, env=os.environ | IDENTITY | COMMITTER, capture_output=True, text=True, check=True).stdout
