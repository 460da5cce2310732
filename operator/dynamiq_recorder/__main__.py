"""Runs the command line of the recorder: `serve` records and serves runs, `journal` keeps those that run in the background.

`tables-back` prepares a store for an older recorder, `journal-backup` and `journal-copy` copy a journal's store.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import sys

from dynamiq_recorder.cluster import NoCluster
from dynamiq_recorder.ingest.queue import Limits
from dynamiq_recorder.journal.command import journal
from dynamiq_recorder.options import OF_THE_JOURNAL, TABLES_BACK, parser, with_password, without_password
from dynamiq_recorder.serve import Options, serve
from dynamiq_recorder.servers import log_lines
from dynamiq_recorder.store.opening import opened, taken_back
from dynamiq_recorder.store.results import Retention, Unavailable, WrongStore
from dynamiq_recorder.store.sql_store import Store

SWITCHES_AFTER = 0.0002
"""Seconds after which a thread yields the interpreter. Reading a run of thousands of nodes would otherwise delay acknowledgements."""
ARENAS = 2
_M_ARENA_MAX = -8
"""A parameter of glibc's mallopt. Each thread would otherwise get its own heap, whose freed memory no other thread uses."""
LARGE = 1 << 20
_M_MMAP_THRESHOLD = -3
"""A parameter of glibc's mallopt: the size from which an allocation gets pages of its own, which return to the system when freed. The
default threshold grows with such allocations, and the heap would keep gaps of their size.
"""


def main() -> int:
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, ARENAS)
        libc.mallopt(_M_MMAP_THRESHOLD, LARGE)
    sys.setswitchinterval(SWITCHES_AFTER)
    options = parser()
    arguments = options.parse_args()
    if arguments.command in OF_THE_JOURNAL:
        return journal(options, arguments)
    if arguments.store is None:
        options.error("--store is missing: give a store for runs, such as sqlite:///var/lib/dynamiq-recorder/runs.db; see serve --help")
    if arguments.command == TABLES_BACK:
        return _downgrade_tables(arguments)
    if (arguments.tls_cert is None) != (arguments.tls_key is None):
        options.error("give both --tls-cert and --tls-key, or neither")
    if arguments.disk_no_spans > arguments.disk_full:
        options.error("--disk-no-spans must be at most --disk-full")
    log_lines(arguments.log_level)
    kind = arguments.store.partition(":")[0].partition("+")[0]
    try:
        store = opened(with_password(arguments.store, arguments.store_password_file))
    except (WrongStore, Unavailable, OSError, ValueError) as error:
        print(f"the store {without_password(arguments.store)} cannot be used: {error}", file=sys.stderr)
        return 1
    try:
        asyncio.run(serve(_options(arguments, store, kind)))
    except (OSError, NoCluster) as error:
        print(f"the recorder cannot serve: {error}", file=sys.stderr)
        return 1
    return 0


def _downgrade_tables(arguments: argparse.Namespace) -> int:
    try:
        lost = taken_back(with_password(arguments.store, arguments.store_password_file), arguments.to)
    except (WrongStore, Unavailable, OSError, ValueError) as error:
        print(f"the tables of the store {without_password(arguments.store)} stay as they are: {error}", file=sys.stderr)
        return 1
    print(
        f"the tables have version {arguments.to}; {lost} runs were deleted, since runs of other Apps have the same ids. Start the older recorder now"
    )
    return 0


def _options(arguments: argparse.Namespace, store: Store, kind: str) -> Options:
    return Options(
        store=store,
        kind=kind,
        host=arguments.host,
        port=arguments.port,
        health_port=arguments.health_port,
        metrics_port=arguments.metrics_port,
        prices=arguments.prices,
        keep=Retention(
            runs=arguments.keep_runs,
            spans=arguments.keep_spans,
            rollups=arguments.keep_rollups,
            slowest=arguments.keep_slowest,
            ratio=arguments.keep_spans_ratio,
        ),
        retains_every=arguments.retention_every,
        limits=Limits(arguments.queue_runs, arguments.queue_bytes),
        no_spans_at=arguments.disk_no_spans,
        full_at=arguments.disk_full,
        app_share=arguments.app_share,
        gate=arguments.gate_account or "",
        operator=arguments.operator_account or "",
        journal=arguments.journal_account or "",
        keep_archive=arguments.keep_archive,
        tls=(arguments.tls_cert, arguments.tls_key) if arguments.tls_cert is not None else None,
        kubeconfig=arguments.kubeconfig,
        kube_context=arguments.context,
    )


if __name__ == "__main__":
    sys.exit(main())
