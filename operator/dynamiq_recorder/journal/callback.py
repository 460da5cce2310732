"""Decides about callbacks of ended runs: which targets are allowed, when one is tried again, and when it is given up. It sends none."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

import msgspec

from dynamiq_recorder.journal.model import MICROSECONDS, NewCallback

CALLBACK_SIZE = 256
"""Bytes that a callback takes beside its URL, token and metadata."""
URL_MAX, TOKEN_MAX, METADATA_MAX, CALLBACKS_MOST = 2048, 4096, 4096, 5
LEASE = 60 * MICROSECONDS
"""Microseconds for which a claim gives a callback to a pod."""
GIVES_UP = 86_400 * MICROSECONDS
"""Microseconds after the end of its run, or after a person has sent it again, for which it is tried."""
WAITS = (5, 30, 120, 600, 3600)
"""Seconds until the next try, by the number of tries; then always the last one."""
SPREAD = 0.2
"""Part of a wait by which it is shorter or longer, so that not all callbacks of a receiver that was down come at once."""
RETRY_AFTER_MOST = 3600
"""Most seconds for which a receiver may ask with Retry-After."""
GONE = 410
"""The status by which a receiver wants no callback any more."""
TRIES = 1 << 12
"""Tries of one sending. A callback that is sent again goes on with the numbers of the next one, so that no earlier claim can settle it."""
ERROR_MAX = 256
NOT_ALLOWED, NO_POD = "runs.durable.callbackHosts no longer allows this host", "no pod of the App has sent it in time"
UNREACHABLE, EGRESS = "unreachable", "; the App's network.egress may not allow it"
HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
NUMBER = re.compile("[0-9]+|0x[0-9a-f]*")
"""The last label of a host that is an IPv4 address, in any of its forms."""


class CallbackState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Delivery(msgspec.Struct, frozen=True):
    """A pod's result of one try. `number`: of the try, as it was claimed. `status`: None without an answer. `retry_after`: seconds."""

    run_id: str
    n: int
    number: int
    status: int | None = None
    error: str | None = None
    retry_after: float | None = None


class Settled(StrEnum):
    """The outcome of a try."""

    DELIVERED = "delivered"
    RETRIED = "retried"
    FAILED = "failed"


class Callback(msgspec.Struct, kw_only=True):
    """A callback. The names are those of its table's columns; times are microseconds. `run`: the run's key.

    `due`: None before its run ends; the end of its lease while a pod sends it. `tries`: counts claims, from TRIES on after it is sent again.
    """

    run: int
    n: int
    app_uid: str
    url: str
    token: str | None
    metadata: bytes | None
    state: CallbackState = CallbackState.PENDING
    due: int | None = None
    gives_up_at: int | None = None
    lease_until: int | None = None
    tries: int = 0
    status: int | None = None
    error: str | None = None
    last_at: int | None = None

    def __repr__(self) -> str:
        return f"Callback(run={self.run}, n={self.n}, state={self.state})"  # no URL and no token, wherever it is logged

    @property
    def host(self) -> str:
        return host_of(self.url)

    @property
    def next_at(self) -> int | None:
        """Returns when it is tried again; None while a pod sends it."""
        return self.due if self.state is CallbackState.PENDING and self.lease_until is None else None

    @property
    def own_tries(self) -> int:
        """Returns the tries since it was last sent again."""
        return self.tries % TRIES

    def claim(self, now: int, of_leases: int) -> None:
        """Gives it to a pod for a lease. `of_leases`: the time by which leases are measured."""
        self.tries, self.due, self.lease_until = self.tries + 1, now + LEASE, of_leases + LEASE

    def is_held_by(self, number: int) -> bool:
        """Returns True if this claim has it, even after its lease if nobody took it since."""
        return self.state is CallbackState.PENDING and self.lease_until is not None and self.tries == number

    def settle(self, result: Delivery, now: int, chance: float, *, limits_egress: bool) -> Settled:
        """Takes the result of the claim that has it. `chance`: from 0 to 1, by which the next wait is shorter or longer."""
        self.status, self.last_at, self.lease_until = result.status, now, None
        self.error = self._shown(result.error, limits_egress=limits_egress)
        if result.status is not None and 200 <= result.status < 300:
            self.state, self.error = CallbackState.DELIVERED, None
            return Settled.DELIVERED
        wait = WAITS[min(self.own_tries, len(WAITS)) - 1] * (1 - SPREAD + 2 * SPREAD * chance)
        wait = max(wait, min(result.retry_after or 0, RETRY_AFTER_MOST))
        self.due = now + round(wait * MICROSECONDS)
        if result.status == GONE or self.due > (self.gives_up_at or 0):
            self.state = CallbackState.FAILED
            return Settled.FAILED
        return Settled.RETRIED

    def fail(self, error: str, now: int) -> None:
        """Gives it up without a try."""
        self.state, self.lease_until = CallbackState.FAILED, None
        self.error, self.last_at = self.error or error, self.last_at or now

    def send_again(self, now: int) -> None:
        """Makes it due at once, for as long as after the end of its run. A try that a pod has not finished no longer counts."""
        self.state, self.due, self.gives_up_at, self.lease_until = CallbackState.PENDING, now, now + GIVES_UP, None
        self.tries += TRIES - self.own_tries

    def _shown(self, error: str | None, *, limits_egress: bool) -> str | None:
        """Returns an error without the URL and the token, which a library's message may have."""
        if error is None:
            return None
        for secret in filter(None, (self.url, self.token, target_of(self.url))):
            error = error.replace(secret, "…")
        return error[:ERROR_MAX] + (EGRESS if limits_egress and error.startswith(UNREACHABLE) else "")


def name_of(run_id: str, n: int) -> str:
    """Returns the id by which a receiver knows a callback that comes twice."""
    return f"msg_{run_id}_{n}"


def size_of(of: NewCallback) -> int:
    return CALLBACK_SIZE + len(of.url) + len(of.token or "") + len(of.metadata or b"")


def host_of(url: str) -> str:
    return (urlsplit(url).hostname or "").removesuffix(".")


def target_of(url: str) -> str:
    """Returns the path and the query of a URL; empty if it has neither."""
    parts = urlsplit(url)
    return (f"{parts.path}?{parts.query}" if parts.query else parts.path) if parts.path not in ("", "/") or parts.query else ""


def problem(url: str, hosts: Collection[str]) -> str | None:
    """Returns what is wrong with the URL of a callback, without any of it; None if it is right. `hosts`: the allowed ones, empty for all public ones."""
    if len(url) > URL_MAX or not url.isascii() or not all("!" <= each <= "~" and each not in '"<>\\^`{|}' for each in url):
        return f"must be a URL of at most {URL_MAX} characters, all of ASCII and none of them special"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises if it is no port
    except ValueError:
        return "must be a URL"
    return _problem(parts, hosts)


def _problem(parts: SplitResult, hosts: Collection[str]) -> str | None:
    host = (parts.hostname or "").removesuffix(".")
    if parts.scheme != "https":
        return "must be a URL that begins with https://"
    if "@" in parts.netloc or "#" in parts.geturl() or parts.fragment:
        return "must have neither a user name nor a fragment"
    if hosts:
        return None if host in hosts else "must have a host that runs.durable.callbackHosts of the App allows"
    try:
        is_public = ipaddress.ip_address(host).is_global
    except ValueError:
        if HOST.fullmatch(host) is None or NUMBER.fullmatch(host.rpartition(".")[2]) is not None:
            return "must have the name of a host"
        is_public = True
    return None if is_public else "must have a public address"
