"""Calls an App by its hostname, through the gateway in front of the cluster."""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection, HTTPException
from typing import Any

from local.gateway import Gateway
from tests.support.waiting import IN_TIME, eventually

ROUTED_WITHIN = IN_TIME
TIMEOUT = 120.0


class ThroughTheGateway(HTTPConnection):
    """A connection to the gateway, whatever the hostname."""

    def __init__(self, host: str, at: Gateway, timeout: float = TIMEOUT) -> None:
        super().__init__(host, timeout=timeout)
        self._at = (at.address, at.port)

    def connect(self) -> None:
        self.sock = socket.create_connection(self._at, self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # headers and body go as two packets: 40 ms otherwise


def asked(connection: HTTPConnection, key: str = "", *, stream: bool = False, **inputs: Any) -> tuple[int, str]:
    """Calls a run with these inputs; returns status and body, 0 if nothing answered. `stream`: as events."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    try:
        connection.request("POST", "/", json.dumps({"input": inputs, "stream": stream}), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, HTTPException) as error:
        return 0, repr(error)
    finally:
        connection.close()


def answer(version: str) -> tuple[int, str]:
    return 200, json.dumps({"answer": version}, separators=(",", ":"))


def until_answer(host: str, at: Gateway, version: str, key: str = "") -> None:
    eventually(f"{host} answers {version}", lambda: asked(ThroughTheGateway(host, at), key) == answer(version), ROUTED_WITHIN)
