"""Calls an App, once or at a steady pace, and counts its answers: the load of the demo and of the rollout tests.

Each call has its own connection, like callers behind a load balancer, so that refused connections are noticed. Alternatively a few
connections are kept and reused. No call is retried.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from dynamiq_runtime.logs import now

SHOWN = 200  # characters of an answer that are printed and counted as one output
OUTPUTS = 50  # different outputs that are counted separately
ERRORS = 5
BEHIND = 100  # calls that a caller without CPU catches up at once; more would be a flood and not a pace
FINISH = 10.0  # seconds for the calls under way when time is up


@dataclass
class CallSummary:
    """The counts so far."""

    sent: int = 0
    left_out: int = 0
    ok: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    by_output: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, status: int | None, body: str, took: float) -> None:
        """Counts one answer. `status`: None for a call without one; `body` is then the reason."""
        self.by_status[str(status or "error")] += 1
        self.seconds.append(took)
        if status is not None and 200 <= status < 300:
            self.ok += 1
            self.by_output[body if body in self.by_output or len(self.by_output) < OUTPUTS else "…"] += 1
        elif len(self.errors) < ERRORS:
            self.errors.append(f"{now()} {status or 'error'} {body}")

    def as_dict(self) -> dict[str, Any]:
        """Returns the summary as it is printed."""
        ordered = sorted(self.seconds) or [0.0]
        latency = {name: round(ordered[int(share * (len(ordered) - 1))] * 1000, 1) for name, share in _SHARES.items()}
        return {
            "sent": self.sent,
            "left_out": self.left_out,
            "ok": self.ok,
            "failed": self.sent - self.ok,
            "by_status": dict(self.by_status),
            "by_output": dict(self.by_output),
            "errors": self.errors,
            "latency_ms": latency,
        }


_SHARES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


async def run_calls(options: argparse.Namespace) -> int:
    """Sends the calls of `options` (the parsed command line), prints the results, and returns the exit code."""
    try:
        body = json.dumps({"input": json.loads(options.input)}).encode()
    except ValueError as error:
        print(f"--input is not JSON: {error}", file=sys.stderr)
        return 2
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    summary = CallSummary()
    kept = options.keep_alive
    connector = aiohttp.TCPConnector(force_close=not kept, limit=kept, use_dns_cache=False)
    timeout = aiohttp.ClientTimeout(total=options.timeout)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        if options.every is None:
            await _call(session, options, body, summary)
        else:
            await _steadily(session, options, body, summary, stop)
            print(json.dumps(summary.as_dict()), flush=True)
    return 0 if summary.sent == summary.ok else 1


async def _steadily(
    session: aiohttp.ClientSession, options: argparse.Namespace, body: bytes, summary: CallSummary, stop: asyncio.Event
) -> None:
    """Keeps the pace from the start, whatever the answers. Catches up on its own delays, up to BEHIND calls."""
    began = time.monotonic()
    pending: set[asyncio.Task[None]] = set()
    number = 0
    while not stop.is_set() and (options.duration is None or number * options.every < options.duration):
        task = asyncio.create_task(_call(session, options, body, summary))
        pending.add(task)
        task.add_done_callback(pending.discard)
        number += 1
        missed = int((time.monotonic() - began) / options.every) - number
        if missed > BEHIND:
            number += missed
            summary.left_out += missed
        wait = began + number * options.every - time.monotonic()
        try:
            await asyncio.wait_for(stop.wait(), max(wait, 0.0001))
        except TimeoutError:
            continue
    if pending:
        await asyncio.wait(pending, timeout=FINISH)


async def _call(session: aiohttp.ClientSession, options: argparse.Namespace, body: bytes, summary: CallSummary) -> None:
    summary.sent += 1
    began, sent_at = time.perf_counter(), time.time()
    status: int | None = None
    try:
        headers = {"Content-Type": "application/json"}
        if options.host:
            headers["Host"] = options.host
        if options.key_file:
            headers["Authorization"] = "Bearer " + options.key_file.read_text().strip()
        async with session.post(options.url, data=body, headers=headers, allow_redirects=False) as response:
            text = (await response.text(errors="replace"))[:SHOWN]
            status = response.status
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        status, text = None, f"{type(error).__name__}: {error}"[:SHOWN]
    summary.add(status, text, time.perf_counter() - began)
    if not options.quiet:
        when = f"{sent_at:.3f} {time.time():.3f}" if options.timed else now()
        print(f"{when} {status or 'error'} {text}", flush=True)
