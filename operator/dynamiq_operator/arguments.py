"""Parses the options of `python -m dynamiq_operator`. Each is a flag or its environment variable, checked where it is read."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dynamiq_operator.controller.notifications.outbox import TRIED_FOR
from dynamiq_operator.controller.watch_loop import RECOVERS_LEAST
from dynamiq_operator.model.app import ParentRef
from dynamiq_operator.model.policy import SinkFormat
from dynamiq_operator.model.settings import MetricsPeer

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?")
RECORDER_TOKEN = "/var/run/secrets/dynamiq/recorder/token"  # noqa: S105 - where the token is
SECONDS_MOST = 86400
PORT_MOST = 65535


def setting(
    to: argparse.ArgumentParser,
    flag: str,
    default: str | None,
    text: str,
    choices: tuple[str, ...] | None = None,
    kind: Callable[[str], object] = str,
    action: type[argparse.Action] | str = "store",
    variable: str = "",
) -> None:
    variable = variable or "DYNAMIQ_" + flag.removeprefix("--").replace("-", "_").upper()
    value = os.environ.get(variable) or default
    to.add_argument(flag, default=value, choices=choices, type=kind, action=action, help=f"{text} [{variable}]")


class Repeated(argparse.Action):
    """A flag that may be repeated, each time with a list. Its variable counts only if the flag is not given at all."""

    def __call__(self, _parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _flag: str | None = None) -> None:
        before: Sequence[object] | str | None = getattr(namespace, self.dest)
        setattr(namespace, self.dest, (*(before if isinstance(before, tuple) else ()), *values))


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


def notifying(to: argparse.ArgumentParser) -> None:
    setting(
        to,
        "--notify-secret",
        None,
        "Secret in --operator-namespace with the url, and key, of a sink that is told what becomes of rows in every namespace (default: those"
        " of DeployPolicies alone are told)",
    )
    setting(to, "--notify-format", SinkFormat.CLOUD_EVENTS.value, "how that sink is told", tuple(each.value for each in SinkFormat))
    setting(
        to,
        "--notify-allow-networks",
        "",
        "private ranges of addresses that sinks may be in, such as 10.20.0.0/16, with commas between them (default: the internet alone)",
        kind=networks,
    )
    to.add_argument(
        "--notify-http",
        action=argparse.BooleanOptionalAction,
        default=os.environ.get("DYNAMIQ_NOTIFY_HTTP", "") == "true",
        help="tell sinks whose url is http, too (default: https alone) [DYNAMIQ_NOTIFY_HTTP, true or false]",
    )
    setting(
        to,
        "--notify-try-for",
        f"{TRIED_FOR:.0f}",
        "seconds for which a notification is tried again, before it is given up and counted",
        kind=seconds,
    )


def recording(to: argparse.ArgumentParser) -> None:
    setting(
        to,
        "--recorder",
        None,
        "URL of the recorder, which pods of Apps send their runs to from their next restart on, such as"
        " http://dynamiq-recorder.dynamiq-recorder.svc:8080 (default: runs are not recorded)",
        kind=recorder_url,
    )
    recorder_token(to)
    recorder_ca(to)
    setting(
        to,
        "--metrics-from",
        "",
        "who reads the metrics of Apps that say who may call them, beside the operator: NAMESPACE, or NAMESPACE/LABEL=VALUE for pods with"
        " that label; several with commas between them, or by several flags",
        kind=metrics_peers,
        action=Repeated,
    )


def recorder_token(to: argparse.ArgumentParser) -> None:
    text = "file with the token by which the recorder knows this process, read for each request"
    setting(to, "--recorder-token-file", RECORDER_TOKEN, text, kind=Path, variable="DYNAMIQ_RECORDER_TOKEN")


def recorder_ca(to: argparse.ArgumentParser) -> None:
    text = "certificates (PEM) by which an https recorder is trusted (default: those of the system)"
    setting(to, "--recorder-ca", None, text, kind=Path)
