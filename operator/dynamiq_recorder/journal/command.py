"""Runs the commands of the journal: `journal` serves it, `journal-backup` and `journal-copy` copy its store."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import sqlite3
import sys
from time import monotonic

from dynamiq_recorder.cluster import NoCluster
from dynamiq_recorder.journal.copying import copy
from dynamiq_recorder.journal.outbox import Recorder
from dynamiq_recorder.journal.serve import Options, serve
from dynamiq_recorder.journal.store import JournalStore, back_up, existing, opened
from dynamiq_recorder.options import JOURNAL_BACKUP, JOURNAL_COPY, with_password, without_password
from dynamiq_recorder.servers import log_lines
from dynamiq_recorder.store.results import Unavailable, WrongStore

SHOWN_EVERY = 2.0
OBJECTS_MADE = 20_000
"""Allocations after which garbage is searched for. Waiting polls are many objects, and nearly none of them is garbage."""


def journal(options: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Executes a command of the journal. Returns its exit code."""
    if arguments.store is None:
        options.error("--store is missing: give a store, such as sqlite:///var/lib/dynamiq-journal/journal.db; see journal --help")
    if arguments.command == JOURNAL_BACKUP:
        return _back_up(arguments)
    if arguments.command == JOURNAL_COPY:
        return _copy(arguments)
    if (arguments.tls_cert is None) != (arguments.tls_key is None):
        options.error("give both --tls-cert and --tls-key, or neither")
    if (arguments.recorder is None) != (arguments.recorder_token is None):
        options.error("give both --recorder and --recorder-token, or neither")
    log_lines(arguments.log_level)
    try:
        store = opened(with_password(arguments.store, arguments.store_password_file))
    except (WrongStore, Unavailable, OSError, ValueError) as error:
        print(f"the store {without_password(arguments.store)} cannot be used: {error}", file=sys.stderr)
        return 1
    gc.set_threshold(OBJECTS_MADE)
    gc.freeze()  # what was imported lives as long as the process: a search for garbage in it finds none
    try:
        asyncio.run(serve(_options(arguments, store)))
    except (OSError, NoCluster, Unavailable) as error:
        print(f"the journal cannot serve: {error}", file=sys.stderr)
        return 1
    return 0


def _back_up(arguments: argparse.Namespace) -> int:
    try:
        size = back_up(arguments.store, arguments.file)
    except (WrongStore, OSError, sqlite3.Error) as error:
        print(f"there is no backup: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.file} has the store, {size} bytes")
    return 0


def _copy(arguments: argparse.Namespace) -> int:
    target = without_password(arguments.store)
    with contextlib.ExitStack() as opens:
        try:
            source = opens.enter_context(contextlib.closing(existing(arguments.source)))
            store = opened(with_password(arguments.store, arguments.store_password_file))
            copied = copy(source, opens.enter_context(contextlib.closing(store)), _Shown())
        except (WrongStore, Unavailable, OSError, ValueError) as error:
            print(f"nothing is copied from {without_password(arguments.source)} to {target}: {error}", file=sys.stderr)
            return 1
    print(f"copied to {target}; runs: {copied['run']}, conversations: {copied['session']}; start the journal with it")
    return 0


class _Shown:
    """Shows on stderr how far the copy is, each few seconds."""

    def __init__(self) -> None:
        self._next = monotonic() + SHOWN_EVERY

    def __call__(self, table: str, lines: int) -> None:
        if (now := monotonic()) >= self._next:
            self._next = now + SHOWN_EVERY
            print(f"{lines} lines of the table {table} are copied", file=sys.stderr)


def _options(arguments: argparse.Namespace, store: JournalStore) -> Options:
    recorder = arguments.recorder
    return Options(
        store=store,
        host=arguments.host,
        port=arguments.port,
        health_port=arguments.health_port,
        metrics_port=arguments.metrics_port,
        full_at=arguments.disk_full,
        namespace_bytes=arguments.namespace_bytes,
        recorder=Recorder(recorder, arguments.recorder_token, arguments.recorder_ca) if recorder is not None else None,
        tls=(arguments.tls_cert, arguments.tls_key) if arguments.tls_cert is not None else None,
        kubeconfig=arguments.kubeconfig,
        kube_context=arguments.context,
    )
