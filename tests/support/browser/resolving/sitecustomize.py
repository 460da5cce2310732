"""Resolves names in a process of a test, by PYTHONPATH: TEST_NAMES, `name=port name=port`, maps names to ports, as in the test's browser."""

from __future__ import annotations

import os
import socket
from typing import Any

PORTS = dict(each.split("=") for each in os.environ.get("TEST_NAMES", "").split())
_resolve = socket.getaddrinfo


def _resolved(host: Any, port: Any, *more: Any, **options: Any) -> Any:
    return _resolve("127.0.0.1", int(PORTS[host]), *more, **options) if host in PORTS else _resolve(host, port, *more, **options)


socket.getaddrinfo = _resolved
