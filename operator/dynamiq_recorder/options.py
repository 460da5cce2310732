"""Defines the options of `python -m dynamiq_recorder`, each a flag or an environment variable. It opens no store."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

DAY = 86400
OF_RECORDER, OF_JOURNAL = "DYNAMIQ_RECORDER_", "DYNAMIQ_JOURNAL_"
"""Beginnings of the names of variables."""
TABLES_BACK = "tables-back"
JOURNAL, JOURNAL_BACKUP, JOURNAL_COPY = OF_THE_JOURNAL = ("journal", "journal-backup", "journal-copy")
EPILOG = """\
A volume for one recorder:          --store sqlite:///var/lib/dynamiq-recorder/runs.db
PostgreSQL from 15 on, for several: --store postgresql://recorder@db.example.svc/runs --store-password-file /etc/recorder/password

Runs come in by POST /v1/traces: from pods of Apps by themselves, from elsewhere by OTLP with a token of an account that may create apps/runs.
They go out by GET /v1/apps/ID/runs and the rest of docs/runs.md, to whoever may get and list apps/runs of the App.
It needs to review tokens and accesses, and to read pods, ReplicaSets, workloads, Apps and rows: manifests/recorder has it all.

exit codes: 0 after a signal, with all that was acknowledged stored; 1 where the store, the certificate or the cluster's configuration cannot
be used, or a port is taken; 2 for a wrong option
"""
JOURNAL_EPILOG = """\
A volume for one journal:           --store sqlite:///var/lib/dynamiq-journal/journal.db
PostgreSQL from 15 on, for several: --store postgresql://journal@db.example.svc/journal --store-password-file /etc/journal/password

Its tables are in the schema journal. Commits must be on the disk when they are answered, also on a standby that may take over.
Pods of Apps accept runs by POST /v1/apps/ID/runs, claim those of their pins by POST /v1/apps/ID/claims, and save them by POST /v1/apps/ID/saves.
Whoever may get and list apps/runs of an App reads its runs by GET /v1/apps/ID/runs.
It needs to review tokens and accesses, and to read pods, ReplicaSets, workloads and Apps.

exit codes: 0 after a signal, with all that was acknowledged stored; 1 where the store, the certificate or the cluster's configuration cannot
be used, or a port is taken; 2 for a wrong option
"""
BACKUP_EPILOG = """\
example: python -m dynamiq_recorder journal-backup /backup/journal.db --store sqlite:///var/lib/dynamiq-journal/journal.db

To restore it, stop the journal, and put the copy in place of its store, without the files beside it that end in -wal and -shm.

exit codes: 0 once the copy is complete; 1 where the store cannot be read or the file cannot be written; 2 for a wrong option
"""
COPY_EPILOG = """\
example: python -m dynamiq_recorder journal-copy sqlite:///var/lib/dynamiq-journal/journal.db --store postgresql://journal@db.example.svc/journal

Stop the journal before, and start it with the new store afterwards. The old store stays as it is.

exit codes: 0 once all is copied; 1 where a store cannot be used, is served, or the new one is not empty; 2 for a wrong option
"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m dynamiq_recorder", description="Records the runs of Apps, and serves them.")
    commands = made.add_subparsers(dest="command", required=True)
    serving = commands.add_parser(
        "serve",
        help="take runs and serve them",
        description="Takes the runs of Apps, stores them, and answers lists, traces, metrics and comparisons of deploys, until SIGTERM. Each "
        "option can also be given by the environment variable in brackets.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _serving(serving)
    _keeping(serving)
    _process(serving)
    back = commands.add_parser(
        TABLES_BACK,
        help="convert the store's tables back to an older version, before an older recorder starts",
        description="Takes the store's tables back to the version that an older recorder knows, while no recorder runs. Of runs of several Apps "
        "that have one id it leaves the one that was stored first; docs/recorder.md says how it is run.",
    )
    _store(back)
    back.add_argument(
        "--to", type=count, required=True, metavar="VERSION", help="version of the tables, which the older recorder's log names"
    )
    _journal(commands)
    return made


def _journal(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the commands of the journal."""
    journal = commands.add_parser(
        JOURNAL,
        help="keep background runs, and give them to pods",
        description="Keeps background runs from their acceptance to their end, and gives them to pods that claim them, until SIGTERM. Each option "
        "can also be given by the environment variable in brackets.",
        epilog=JOURNAL_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    of = OF_JOURNAL
    _store(journal, of)
    _ports(journal, of)
    setting(
        journal,
        "--disk-full",
        "0.95",
        "fullness of the disk from which on no run is accepted; what is left is for saves",
        kind=ratio,
        of=of,
    )
    setting(journal, "--namespace-bytes", str(4 << 30), "most bytes of the runs of one namespace", kind=count, of=of)
    setting(journal, "--recorder", None, "URL of the recorder, which gets each run at its end (default: none)", of=of)
    setting(journal, "--recorder-ca", None, "certificates that the recorder's is checked by (PEM; default: the system's)", kind=Path, of=of)
    setting(journal, "--recorder-token", None, "file with the token for the recorder, read for each request", kind=Path, of=of)
    _process(journal, of)
    backing_up = commands.add_parser(
        JOURNAL_BACKUP,
        help="copy the journal's store, also while it serves",
        description="Copies the journal's store to a new file, in one state, also while the journal serves.",
        epilog=BACKUP_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    backing_up.add_argument("file", type=Path, metavar="FILE", help="the file to write, which must not exist")
    setting(backing_up, "--store", None, "sqlite:///PATH", of=of)
    copying = commands.add_parser(
        JOURNAL_COPY,
        help="copy the journal's store into an empty one, such as from a volume to PostgreSQL",
        description="Copies all of a journal's store into an empty one, while no journal serves either: from a volume to PostgreSQL, or back.",
        epilog=COPY_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    copying.add_argument("source", metavar="FROM", help="the store to copy: sqlite:///PATH or postgresql://USER@HOST/DATABASE")
    _store(copying, of)


def _process(to: argparse.ArgumentParser, of: str = OF_RECORDER) -> None:
    to.add_argument("--kubeconfig", type=Path, help="kubeconfig file, outside of a cluster (default: the pod's account)")
    to.add_argument("--context", help="context of the kubeconfig (default: its current one)")
    levels = ("debug", "info", "warning", "error")
    setting(to, "--log-level", "info", "debug, info, warning or error", choices=levels, of=of)


def _store(to: argparse.ArgumentParser, of: str = OF_RECORDER) -> None:
    setting(to, "--store", None, "sqlite:///PATH or postgresql://USER@HOST/DATABASE", kind=str, of=of)
    setting(to, "--store-password-file", None, "file with the password of PostgreSQL, read at start and never logged", kind=Path, of=of)


def _serving(to: argparse.ArgumentParser) -> None:
    _store(to)
    _ports(to)
    setting(to, "--prices", None, "price table of models, read again when it changes; without it only reported costs are known", kind=Path)
    # No default: without an installed gate, anyone may own a namespace of that name.
    setting(
        to, "--gate-account", None, "user name of a gate's account that may relay for every App, also without the right to create apps/runs"
    )
    setting(to, "--operator-account", None, "user name of the operator's account, which alone hands rows over to the archive")
    setting(
        to, "--journal-account", None, "user name of the journal's account, which alone sends runs that it kept for pods, with their pins"
    )
    setting(to, "--queue-runs", "4000", "most runs that wait for their commit; beyond them senders get 429", kind=count)
    setting(to, "--queue-bytes", str(12 << 20), "most bytes of bodies that wait for their commit", kind=count)


def _ports(to: argparse.ArgumentParser, of: str = OF_RECORDER) -> None:
    setting(to, "--host", None, "address to listen on (default: every one)", of=of)
    setting(to, "--port", "8080", "port of runs and reads", kind=port, of=of)
    setting(to, "--health-port", "8081", "port of /healthz and /readyz", kind=port, of=of)
    setting(to, "--metrics-port", "9090", "port of /metrics", kind=port, of=of)
    setting(to, "--tls-cert", None, "serve HTTPS with this certificate chain (PEM), read again when it changes", kind=Path, of=of)
    setting(to, "--tls-key", None, "the private key of that certificate (PEM)", kind=Path, of=of)


def _keeping(to: argparse.ArgumentParser) -> None:
    setting(to, "--keep-runs", "30", "days for which runs are kept", kind=days)
    setting(to, "--keep-archive", "400", "days for which archived rows are kept after their App is gone; before, they stay", kind=days)
    setting(
        to, "--keep-spans", "7", "days for which nodes and content are kept, but for those of failed and of the slowest runs", kind=days
    )
    setting(to, "--keep-rollups", "400", "days for which figures are kept", kind=days)
    setting(to, "--keep-spans-ratio", "1", "part of the runs whose nodes are kept at all, from 0 to 1", kind=ratio)
    setting(to, "--keep-slowest", "0.01", "part of an App's runs of an hour that are its slowest, from 0 to 1", kind=ratio)
    setting(to, "--retention-every", "600", "seconds between two deletions of what is too old", kind=count)
    setting(to, "--disk-no-spans", "0.85", "fullness of the disk from which on runs are stored without nodes and content", kind=ratio)
    setting(
        to, "--disk-full", "0.9", "fullness of the disk from which on runs are answered by 503; what is left is for the archive", kind=ratio
    )
    setting(
        to, "--app-share", "0.5", "part of the store above which a namespace loses its oldest while --disk-no-spans is reached", kind=ratio
    )


def setting(
    to: argparse.ArgumentParser,
    flag: str,
    default: str | None,
    text: str,
    *,
    kind: Callable[[str], object] = str,
    choices: tuple[str, ...] | None = None,
    of: str = OF_RECORDER,
) -> None:
    variable = of + flag.removeprefix("--").replace("-", "_").upper()
    shown = f" (default: {default})" if default is not None else ""
    to.add_argument(flag, default=os.environ.get(variable) or default, choices=choices, type=kind, help=f"{text}{shown} [{variable}]")


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return int(text)


def days(text: str) -> int:
    """Parses a number of days. Returns seconds."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 36500:
        raise argparse.ArgumentTypeError(f"{text} is not a number of days above 0")
    return round(number * DAY)


def ratio(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 1")
    return number


def port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port from 1 to 65535")
    return int(text)


def with_password(url: str, file: Path | None) -> str:
    """Returns the store's address with the password of a file.

    Raises OSError if the file cannot be read.
    """
    if file is None:
        return url
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    secret = quote(file.read_text().strip(), safe="")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:{secret}{at or '@'}{host}"))


def without_password(url: str) -> str:
    """Returns the address as it may be shown: without its password and query."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}{at}{host}", query=""))
