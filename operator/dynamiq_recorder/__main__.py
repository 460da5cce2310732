"""`python -m dynamiq_recorder serve`: records the runs of Apps, and answers what they did. `tables-back` is for the way back to an older one."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import logging
import sys

from dynamiq_operator.model.json_lines import JsonLines
from dynamiq_recorder.cluster import NoCluster
from dynamiq_recorder.ingest.queue import Limits
from dynamiq_recorder.options import TABLES_BACK, parser, with_password, without_password
from dynamiq_recorder.serve import Options, serve
from dynamiq_recorder.store.interface import Retention, Store, Unavailable, WrongStore
from dynamiq_recorder.store.opening import opened, taken_back

SWITCHES_AFTER = 0.0002
"""Seconds for which one thread may keep the interpreter from another: a run of thousands of nodes is read by one, and acknowledgements wait."""
ARENAS = 2
_M_ARENA_MAX = -8
"""Of glibc's mallopt: each thread would get a heap of its own, and what it frees there is no other's."""
LARGE = 1 << 20
_M_MMAP_THRESHOLD = -3
"""Bodies and answers have pages of their own, which go back at once: the threshold would grow with them, and the heap have gaps of their size."""


def main() -> int:
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, ARENAS)
        libc.mallopt(_M_MMAP_THRESHOLD, LARGE)
    sys.setswitchinterval(SWITCHES_AFTER)
    options = parser()
    given = options.parse_args()
    if given.store is None:
        options.error("--store is missing: where are runs kept? such as sqlite:///var/lib/dynamiq-recorder/runs.db; see serve --help")
    if given.command == TABLES_BACK:
        return _take_back(given)
    if (given.tls_cert is None) != (given.tls_key is None):
        options.error("--tls-cert and --tls-key belong together")
    if given.disk_no_spans > given.disk_full:
        options.error("--disk-no-spans is at most --disk-full")
    _log(given.log_level)
    kind = given.store.partition(":")[0].partition("+")[0]
    try:
        store = opened(with_password(given.store, given.store_password_file))
    except (WrongStore, Unavailable, OSError, ValueError) as error:
        print(f"the store {without_password(given.store)} cannot be used: {error}", file=sys.stderr)
        return 1
    try:
        asyncio.run(serve(_options(given, store, kind)))
    except (OSError, NoCluster) as error:
        print(f"the recorder cannot serve: {error}", file=sys.stderr)
        return 1
    return 0


def _take_back(given: argparse.Namespace) -> int:
    try:
        lost = taken_back(with_password(given.store, given.store_password_file), given.to)
    except (WrongStore, Unavailable, OSError, ValueError) as error:
        print(f"the tables of the store {without_password(given.store)} stay as they are: {error}", file=sys.stderr)
        return 1
    print(
        f"the tables have version {given.to}; {lost} runs are deleted, since another App's run has their id. Start the older recorder now"
    )
    return 0


def _options(given: argparse.Namespace, store: Store, kind: str) -> Options:
    return Options(
        store=store,
        kind=kind,
        host=given.host,
        port=given.port,
        health_port=given.health_port,
        metrics_port=given.metrics_port,
        prices=given.prices,
        keep=Retention(
            runs=given.keep_runs,
            spans=given.keep_spans,
            rollups=given.keep_rollups,
            slowest=given.keep_slowest,
            ratio=given.keep_spans_ratio,
        ),
        retains_every=given.retention_every,
        limits=Limits(given.queue_runs, given.queue_bytes),
        no_spans_at=given.disk_no_spans,
        full_at=given.disk_full,
        app_share=given.app_share,
        gate=given.gate_account or "",
        operator=given.operator_account or "",
        keep_archive=given.keep_archive,
        tls=(given.tls_cert, given.tls_key) if given.tls_cert is not None else None,
        kubeconfig=given.kubeconfig,
        kube_context=given.context,
    )


def _log(level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what anybody can send is no warning: one line for each would fill the log


if __name__ == "__main__":
    sys.exit(main())
