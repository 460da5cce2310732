"""Finds the sinks that policies and the operator's options name, and the targets in their Secrets. It sends nothing.

A URL is a secret: whoever has Slack's may post. No message, log line or metric has it; errors describe its fault without it.
"""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from yarl import URL

from dynamiq_operator.model.guard_objects import DeployPolicy
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.policy import SinkFormat

URL_MAX = 2048
KEY_MIN = 16
"""Bytes of a key, at least: a shorter one could be guessed."""
OF_OPERATOR = "operator"
"""The name of the sink in the operator's own option. A policy's sink is `<policy>/<sink>`."""


@dataclass(frozen=True)
class SinkRef:
    """A receiver: a Secret in the operator's namespace, and the format. `name`: in metrics and in the log."""

    name: str
    secret: str
    form: SinkFormat

    @property
    def place(self) -> tuple[str, SinkFormat]:
        """The identity of a sink, whichever policies name it."""
        return self.secret, self.form


class UnusableError(Exception):
    """An error: the Secret of a sink cannot be used. The message has the reason, and nothing of the content."""


@dataclass(frozen=True)
class Target:
    """The content of a sink's Secret. `key`: for the signature of requests. `trust`: certificates of the receiver, None for the system's."""

    url: URL
    key: bytes | None = None
    trust: ssl.SSLContext | None = None


def sinks_of(policies: Iterable[DeployPolicy], of_operator: SinkRef | None) -> tuple[SinkRef, ...]:
    """Returns the sinks of a namespace that these policies select, each once."""
    sinks = [of_operator] if of_operator is not None else []
    for policy in sorted(policies, key=lambda each: each.meta.name):
        for sink in policy.spec.notifications:
            sinks.append(SinkRef(f"{policy.meta.name}/{sink.name}", sink.secret_name, sink.format or SinkFormat.CLOUD_EVENTS))
    return tuple({sink.place: sink for sink in reversed(sinks)}.values())[::-1]


def target_of(secret: Manifest, *, plain_http: bool) -> Target:
    """Returns the target in a Secret. `plain_http`: whether http is allowed.

    Raises UnusableError.
    """
    url = _url(_decoded(secret, "url") or b"", plain_http=plain_http)
    key = _decoded(secret, "key")
    if key is not None and len(key) < KEY_MIN:
        raise UnusableError(f"its key has fewer than {KEY_MIN} bytes")
    return Target(url, key, _trust(_decoded(secret, "ca")))


def _url(raw: bytes, *, plain_http: bool) -> URL:
    if not raw:
        raise UnusableError("it has no url")
    if len(raw) > URL_MAX:
        raise UnusableError(f"its url has more than {URL_MAX} bytes")
    if any(byte <= 0x20 or byte >= 0x7F for byte in raw):
        raise UnusableError("its url has white space or characters beyond ASCII")
    try:
        url = URL(raw.decode())
        port = url.port
    except ValueError:
        raise UnusableError("its url is not a URL") from None
    if url.scheme != "https" and not (plain_http and url.scheme == "http"):
        raise UnusableError("its url must be https, or http with --notify-http")
    if not url.host or port is None:
        raise UnusableError("its url has no host")
    if url.raw_user is not None or url.raw_password is not None:
        raise UnusableError("its url has a user or a password: let the receiver check the signature or a secret path instead")
    return url.with_fragment(None)


def _trust(pem: bytes | None) -> ssl.SSLContext | None:
    if pem is None:
        return None
    try:
        return ssl.create_default_context(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise UnusableError("its ca has no certificate (PEM)") from None


def _decoded(secret: Manifest, name: str) -> bytes | None:
    """Returns a key of the Secret without the end of its line; None if it is missing. Raises UnusableError."""
    try:
        return base64.b64decode((secret.get("data") or {})[name], validate=True).rstrip(b"\r\n")
    except KeyError:
        return None
    except (binascii.Error, ValueError, TypeError):
        raise UnusableError(f"its {name} cannot be read") from None
