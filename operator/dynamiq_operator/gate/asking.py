"""Asks a pod itself whether it is ready: the kubelet asks only every few seconds, and Kubernetes tells later still.

It is asked dozens of times a second while it starts, so this is as little HTTP as it takes: one request, one status line.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter

WITHIN = 1.0
"""Seconds that an answer may take."""
ASKED_EVERY = 0.02
"""Seconds between two questions to a pod that is not ready yet."""
ASKED_AT_MOST = 500
"""Questions a second of the whole gate, above which each pod is asked less often."""
LINE_MAX = 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r\n]")


async def is_ready(address: str, port: int, path: str) -> bool:
    """Whether a pod answers 200 to 399 to a GET of `path`, as a kubelet's probe wants it."""
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
    found = _STATUS.match(line)
    return found is not None and 200 <= int(found[1]) < 400


class Pace:
    """How often pods are asked: less often each, the more of a namespace are asked at a time. Each namespace has the same part of all questions."""

    def __init__(self) -> None:
        self._asking: dict[object, tuple[str, int]] = {}
        self._pods: Counter[str] = Counter()
        """By namespace."""

    def enter(self, app: object, namespace: str, pods: int) -> None:
        """Counts the pods of an App that are being asked."""
        self.leave(app)
        self._asking[app] = namespace, pods
        self._pods[namespace] += pods

    def leave(self, app: object) -> None:
        """Counts them no longer."""
        namespace, pods = self._asking.pop(app, ("", 0))
        self._pods[namespace] -= pods
        if not self._pods[namespace]:
            del self._pods[namespace]

    def pause(self, namespace: str) -> float:
        """Returns seconds between two questions to a pod of the namespace."""
        return max(ASKED_EVERY, self._pods[namespace] * len(self._pods) / ASKED_AT_MOST)
