"""Runs a real PostgreSQL for tests: a server of its own in a folder, on a port of the loopback.

Its programs are Debian's postgresql-15, which is installed with apt-get as root; elsewhere it names the package to install. The server
refuses to run as root, so root starts it as `nobody`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from local import builds, steps
from local.errors import LocalError
from local.steps import CommandError, Step, Task
from tests.support.ports import free_port
from tests.support.programs import Process, start
from tests.support.waiting import eventually

PACKAGES = ("postgresql-15",)
WANTED = (
    "the tests of the recorder's store need PostgreSQL 15 or newer, and there is none: install it (Debian: apt-get install postgresql-15)"
)
USER = "nobody"
UNSAFE = ("fsync=off", "full_page_writes=off")
"""Fast settings, for tests that kill no server: losses by a crash of the machine do not matter."""


def programs() -> Path:
    """Returns the newest folder of initdb and postgres. If there is none, raises AssertionError with the package to install."""
    folder = _programs()
    assert folder is not None, WANTED
    return folder


def _programs() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    candidates = [*folders, *([Path(on_path).resolve().parent] if on_path else [])]
    return next((folder for folder in candidates if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def missing() -> list[Step]:
    """Returns the step that installs it, if it is missing. Raises LocalError if it can't be installed."""
    if _programs() is not None:
        return []
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise LocalError(WANTED)
    return [Step(f"apt-get install {' '.join(PACKAGES)}", _install)]


def _install(task: Task) -> str:
    # The package would start an unwanted server of its own.
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    with builds.locked("packages"):
        for arguments in (("update",), ("install", "--yes", "--no-install-recommends", *PACKAGES)):
            try:
                task.run(["apt-get", "-qq", *arguments], env=environment, interruptible=False)
            except CommandError as error:
                raise LocalError(f"`apt-get {' '.join(arguments)}` failed:\n{error}") from error
    return ""


@dataclass
class Server:
    """A server; `start` and `stop` return when they are done."""

    folder: Path
    port: int
    settings: tuple[str, ...] = UNSAFE
    _process: Process | None = field(default=None, repr=False)

    @classmethod
    def made(cls, folder: Path, *, settings: tuple[str, ...] = UNSAFE) -> Server:
        data = folder / "data"
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(folder, user.pw_uid, user.pw_gid)
        options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run([*_as_user(), programs() / "initdb", "-D", data, *options], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"initdb failed:\n{done.stdout}{done.stderr}"
        return cls(folder, free_port(), settings)

    def address(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Starts it, and returns when it answers."""
        flags = [part for setting in self.settings for part in ("-c", setting)]
        where: list[str | Path] = ["-D", self.folder / "data", "-p", str(self.port), "-k", "", "-h", "127.0.0.1"]
        self._process = start([*_as_user(), programs() / "postgres", *where, *flags], log=self.folder / "log", apart=True)
        eventually("PostgreSQL answers", self._answers, seconds=60)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"PostgreSQL ended:\n{(self.folder / 'log').read_text()[-2000:]}"
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.address(), connect_timeout=2):
            return True
        return False

    def stop(self, *, kill: bool = False) -> None:
        """Ends its connections and it; `kill`: as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if kill else signal.SIGINT)
            self._process.wait(60)
            self._process = None

    def database(self) -> str:
        """Returns the address of a new and empty database."""
        name = f"t{secrets.token_hex(6)}"
        with psycopg.connect(self.address(), autocommit=True) as raw:
            raw.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
        return self.address(name)


_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename NOT IN ('schema_version', 'meta')"


def empty(address: str, schema: str = "public") -> None:
    """Deletes every line of a store's tables: a twentieth of the cost of a new database."""
    with psycopg.connect(address, autocommit=True) as raw:
        tables = [psycopg.sql.Identifier(schema, name) for (name,) in raw.execute(_TABLES, (schema,))]
        full = [table for table in tables if raw.execute(psycopg.sql.SQL("SELECT FROM {} LIMIT 1").format(table)).fetchone() is not None]
        if full:
            raw.execute(psycopg.sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(psycopg.sql.SQL(", ").join(full)))


def connections(address: str) -> int:
    """Returns how many connections others have to a database."""
    with psycopg.connect(address, autocommit=True) as raw:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        line = raw.execute(sql).fetchone()
        assert line is not None
        return int(line[0])


@contextlib.contextmanager
def running(*, settings: tuple[str, ...] = UNSAFE) -> Iterator[Server]:
    """Runs a server while the block runs. Its folder is not pytest's, which only root may enter.

    Installs PostgreSQL if it is missing, or raises LocalError with the package to install.
    """
    if needed := missing():
        steps.run(needed)
    with tempfile.TemporaryDirectory(prefix="dynamiq-postgres-") as folder:
        server = Server.made(Path(folder), settings=settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _as_user() -> list[str | Path]:
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(USER)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
