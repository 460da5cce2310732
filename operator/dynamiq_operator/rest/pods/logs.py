"""Reads the end of a pod's log, bounded in lines and bytes. It is untrusted text: an App wrote it, from whatever its callers sent."""

from __future__ import annotations

from dataclasses import dataclass

from dynamiq_operator.desired.pod_template import CONTAINER
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import PODS
from dynamiq_operator.rest.http.sessions import CallerSession

LINES, LINES_MOST = 200, 1000
BYTES_MOST = 256 * 1024
READ_MOST = 8 * BYTES_MOST
"""Bytes that the kubelet sends, at most. It counts from the oldest of the requested lines, but the newest are needed."""
FEWER = 10
"""The divisor of the number of lines if they are so long that the kubelet stopped before the newest."""


@dataclass(frozen=True)
class Tail:
    """The end of a log. `is_cut`: the log has more before these lines. `message`: why there are none, if the cluster reports it."""

    lines: list[str]
    is_cut: bool = False
    message: str | None = None


def read_tail(session: CallerSession, namespace: str, pod: str, lines: int, *, previous: bool) -> Tail:
    """Returns the newest lines. Raises errors.ApiError: Denied if the caller may not read logs, NotFound if the pod is deleted."""
    requested, is_cut = lines + 1, False  # one more shows if there is more
    try:
        while len(raw := _read(session, namespace, pod, requested, previous)) >= READ_MOST and requested > 1:
            requested, is_cut = max(requested // FEWER, 1), True
    except errors.Invalid as error:
        # The container has not begun, or there was none before it.
        return Tail([], message=str(error))
    log_lines = raw.decode(errors="replace").removesuffix("\n").split("\n") if raw else []
    kept = _newest(log_lines[-lines:])
    return Tail(kept, is_cut or len(kept) < len(log_lines))


def _newest(lines: list[str]) -> list[str]:
    """Returns as many of the newest lines as have at most `BYTES_MOST` bytes; if one alone is longer, its end."""
    bytes_left = BYTES_MOST
    for number, line in enumerate(reversed(lines)):
        bytes_left -= len(line.encode()) + 1
        if bytes_left < 0:
            return lines[len(lines) - number :] if number else [line.encode()[-BYTES_MOST:].decode(errors="replace")]
    return lines


def _read(session: CallerSession, namespace: str, pod: str, lines: int, previous: bool) -> bytes:
    query: dict[str, str | int] = {"container": CONTAINER, "tailLines": lines, "limitBytes": READ_MOST}
    if previous:
        query["previous"] = "true"
    return session.api.read(PODS.path(namespace, pod, "log"), query)
