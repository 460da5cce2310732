"""Probes a pod directly: the kubelet probes only every few seconds, and Kubernetes reports later still.

A starting pod is probed dozens of times a second, so this uses as little HTTP as possible: one request, one status line.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter

WITHIN = 1.0
"""Seconds allowed for a response."""
PROBED_EVERY = 0.02
"""Seconds between two probes of a pod that is not ready yet."""
PROBES_MOST = 500
"""Probes a second of the whole gate. Above it, each pod is probed less often."""
LINE_MAX = 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r\n]")


async def is_ready(address: str, port: int, path: str) -> bool:
    """Returns True if a pod answers a GET of `path` with 200 to 399, like a kubelet's probe."""
    writer = None
    try:
        async with asyncio.timeout(WITHIN):
            reader, writer = await asyncio.open_connection(address, port, limit=LINE_MAX)
            host = f"[{address}]" if ":" in address else address
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: dynamiq-gate\r\nConnection: close\r\n\r\n".encode())
            line = await reader.readline()
    except (OSError, TimeoutError, ValueError):
        return False
    finally:
        if writer is not None:
            with contextlib.suppress(OSError):
                writer.transport.abort()
    match = _STATUS.match(line)
    return match is not None and 200 <= int(match[1]) < 400


class Pace:
    """The interval between probes of a pod. It grows with the probed pods of a namespace. All namespaces get equal shares."""

    def __init__(self) -> None:
        self._probed: dict[object, tuple[str, int]] = {}
        self._pods: Counter[str] = Counter()
        """Probed pods by namespace."""

    def enter(self, app: object, namespace: str, pods: int) -> None:
        """Counts the pods of an App that are being probed."""
        self.leave(app)
        self._probed[app] = namespace, pods
        self._pods[namespace] += pods

    def leave(self, app: object) -> None:
        """Stops counting them."""
        namespace, pods = self._probed.pop(app, ("", 0))
        self._pods[namespace] -= pods
        if not self._pods[namespace]:
            del self._pods[namespace]

    def pause(self, namespace: str) -> float:
        """Returns the seconds between two probes of a pod in the namespace."""
        return max(PROBED_EVERY, self._pods[namespace] * len(self._pods) / PROBES_MOST)
