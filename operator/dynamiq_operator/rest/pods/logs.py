"""The end of a pod's log, bounded in lines and bytes. It is what an App wrote, of whatever its callers sent: text, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from dynamiq_operator.desired.pod_template import CONTAINER
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import PODS
from dynamiq_operator.rest.http.sessions import CallerSession

LINES, LINES_MOST = 200, 1000
BYTES_MOST = 256 * 1024
READ_MOST = 8 * BYTES_MOST
"""Bytes that the kubelet sends at most: it counts from the oldest of the lines that are asked for, and the newest are wanted."""
FEWER = 10
"""Where lines are so long that it stopped before the newest, this many times fewer are asked for."""


@dataclass(frozen=True)
class Tail:
    """`is_cut`: there is more before these lines; `message`: why there are none, where the cluster says so."""

    lines: list[str]
    is_cut: bool = False
    message: str | None = None


def read_tail(session: CallerSession, namespace: str, pod: str, lines: int, *, previous: bool) -> Tail:
    """The newest lines. Raises errors.ApiError: Denied where the caller may not read logs, NotFound where the pod is gone."""
    wanted, is_cut = lines + 1, False  # one more tells whether there is more
    try:
        while len(raw := _read(session, namespace, pod, wanted, previous)) >= READ_MOST and wanted > 1:
            wanted, is_cut = max(wanted // FEWER, 1), True
    except errors.Invalid as error:
        # The container has not begun, or there was none before it.
        return Tail([], message=str(error))
    found = raw.decode(errors="replace").removesuffix("\n").split("\n") if raw else []
    kept = _newest(found[-lines:])
    return Tail(kept, is_cut or len(kept) < len(found))


def _newest(lines: list[str]) -> list[str]:
    """As many of the newest as have at most `BYTES_MOST` bytes; of a line that alone is longer, its end."""
    left = BYTES_MOST
    for number, line in enumerate(reversed(lines)):
        left -= len(line.encode()) + 1
        if left < 0:
            return lines[len(lines) - number :] if number else [line.encode()[-BYTES_MOST:].decode(errors="replace")]
    return lines


def _read(session: CallerSession, namespace: str, pod: str, lines: int, previous: bool) -> bytes:
    query: dict[str, str | int] = {"container": CONTAINER, "tailLines": lines, "limitBytes": READ_MOST}
    if previous:
        query["previous"] = "true"
    return session.api.read(PODS.path(namespace, pod, "log"), query)
