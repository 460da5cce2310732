"""Parses the values of options. Each function raises ArgumentTypeError with a sentence for the person who set it."""

from __future__ import annotations

import argparse
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

from dynamiq_operator.controller.defaults import RECOVERS_LEAST
from dynamiq_operator.model.app import ParentRef
from dynamiq_operator.model.settings import MetricsPeer

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?")
SECONDS_MOST = 86400
PORT_MOST = 65535


def seconds(text: str) -> float:
    if not text.isdecimal() or not 1 <= int(text) <= SECONDS_MOST:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds from 1 to {SECONDS_MOST}")
    return float(text)


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return int(text)


def patience(text: str) -> float:
    if (parsed := seconds(text)) < RECOVERS_LEAST:
        raise argparse.ArgumentTypeError(f"{text} is less than {RECOVERS_LEAST:.0f} s, in which a watch may have nothing to say")
    return parsed


def annotations_by_class(text: str) -> dict[str, tuple[str, ...]]:
    by_class: dict[str, tuple[str, ...]] = {}
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        ingress_class, equals, listed = entry.partition("=")
        if not ingress_class.strip() or not equals:
            raise argparse.ArgumentTypeError(
                f"{entry} is not CLASS=NAME,NAME: an ingress class, and the annotations that Apps of it may set"
            )
        by_class[ingress_class.strip()] = tuple(filter(None, (name.strip() for name in listed.split(","))))
    return by_class


def gateway(text: str) -> ParentRef:
    namespace, _, name = text.partition("/")
    if not namespace or not name or "/" in name:
        raise argparse.ArgumentTypeError(f"{text} is not NAMESPACE/NAME of a Gateway")
    return ParentRef(name=name, namespace=namespace)


def console_url(text: str) -> object:
    from dynamiq_operator.rest.http.console_address import ConsoleAddress

    try:
        return ConsoleAddress.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def issuer(text: str) -> str:
    from dynamiq_operator.rest.console.options import check_issuer

    try:
        return check_issuer(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def recorder_url(text: str) -> str:
    url = urlsplit(text)
    try:
        _ = url.port
        (url.hostname or "").encode("idna")
    except ValueError:  # UnicodeError is one: of a host with a label that is empty or too long
        url = urlsplit("")
    if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query or url.fragment or "@" in url.netloc:
        raise argparse.ArgumentTypeError(f"{text} is not http://HOST:PORT or https://HOST:PORT")
    return text.rstrip("/")


def scopes(text: str) -> str:
    if "openid" not in (scopes := text.split()):
        raise argparse.ArgumentTypeError(f"{text} has no scope openid, without which there is no ID token")
    return " ".join(scopes)


def port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= PORT_MOST:
        raise argparse.ArgumentTypeError(f"{text} is not a port from 1 to {PORT_MOST}")
    return int(text)


def metrics_peers(text: str) -> tuple[MetricsPeer, ...]:
    return tuple(_metrics_peer(entry.strip()) for entry in text.split(",") if entry.strip())


def _metrics_peer(text: str) -> MetricsPeer:
    namespace, slash, label = text.partition("/")
    key, equals, value = label.partition("=")
    is_label = bool(equals) and _LABEL.fullmatch(key) is not None and _VALUE.fullmatch(value) is not None
    if _NAMESPACE.fullmatch(namespace) is None or bool(slash) is not is_label:
        raise argparse.ArgumentTypeError(
            f"{text} is not NAMESPACE or NAMESPACE/LABEL=VALUE, such as monitoring/app.kubernetes.io/name=prometheus"
        )
    return MetricsPeer(namespace=namespace, label=(key, value) if slash else None)


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(entry.strip()) for entry in text.split(",") if entry.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}: use ranges such as 10.20.0.0/16, with commas between them") from None
