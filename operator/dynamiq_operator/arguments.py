"""The options of `python -m dynamiq_operator`, command by command. Each is a flag or its environment variable."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dynamiq_operator.controller.defaults import RECOVERS_LEAST, RECOVERS_WITHIN, RELIST_PERIOD, TRIED_FOR
from dynamiq_operator.model.names import GATE_NAMESPACE, OPERATOR_NAMESPACE
from dynamiq_operator.model.policy import SinkFormat
from dynamiq_operator.model.settings import TRIGGER_IMAGE, ImagePolicy, PublicScheme
from dynamiq_operator.option_types import (
    annotations_by_class,
    console_url,
    count,
    gateway,
    issuer,
    metrics_peers,
    networks,
    patience,
    port,
    recorder_url,
    scopes,
    seconds,
)

JOURNAL_TOKEN = "/var/run/secrets/dynamiq/journal/token"  # noqa: S105 - where the token is
RECORDER_TOKEN = "/var/run/secrets/dynamiq/recorder/token"  # noqa: S105 - where the token is
DEFAULT_LEASE = "dynamiq-operator"
HEALTH = "http://0.0.0.0:8080/healthz"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m dynamiq_operator", description="The Dynamiq operator.")
    commands = made.add_subparsers(dest="command", required=True)
    _run_parser(commands)
    _api_parser(commands)
    _gate_parser(commands)
    _retire_parser(commands)
    return made


def _run_parser(commands: Any) -> None:
    running = commands.add_parser(
        "run",
        help="run the operator",
        description="Runs the operator until SIGTERM or SIGINT. Each option can also be given by the environment variable in brackets.",
        epilog="exit codes: 0 after a signal, 1 where the cluster's configuration cannot be read or the port of metrics is taken, 2 for a wrong option, "
        "3 where it does not recover by itself, see --recovers-within: Kubernetes starts it anew",
    )
    _cluster(running)
    running.add_argument(
        "--namespace",
        action="append",
        dest="namespaces",
        help="serve this namespace alone; repeatable (default: all); operators of different namespaces need a --lease-name each",
    )
    _setting(running, "--domain", None, "Apps without a hostname get <app>.<namespace>.<DOMAIN>")
    _public(running)
    _setting(running, "--ingress-class", None, "IngressClass of Apps that name none")
    _setting(
        running,
        "--ingress-annotations",
        None,
        "annotations of an Ingress that Apps may set, by ingress class, * for every other class: 'CLASS=NAME,NAME;CLASS=NAME', where a NAME"
        " may end in * (default: those of nginx, Contour, Traefik and cert-manager that only say how the hostname is served)",
        kind=annotations_by_class,
    )
    _setting(running, "--gateway", None, "NAMESPACE/NAME of the Gateway of Apps of type Gateway that name none", kind=gateway)
    _setting(running, "--image-policy", ImagePolicy.ANY.value, "digest: refuse Runtimes whose image names no digest", tuple(ImagePolicy))
    _trigger_image(running)
    _setting(
        running,
        "--operator-namespace",
        os.environ.get("POD_NAMESPACE", OPERATOR_NAMESPACE),
        "namespace of the operator's pods, which read the metrics of Apps that say who may call them",
    )
    _setting(running, "--gate-namespace", GATE_NAMESPACE, "namespace of the gate, behind which serverless Apps sleep")
    _recording(running)
    _notifying(running)
    _lease(running)
    _setting(
        running,
        "--list-again-every",
        f"{RELIST_PERIOD:.0f}",
        "seconds between two lists of everything, which find what an interrupted watch missed; more often costs the API server more",
        kind=seconds,
    )
    _setting(
        running,
        "--recovers-within",
        f"{RECOVERS_WITHIN:.0f}",
        "seconds after which the process ends, to be started anew, where the API server does not accept its credentials, or answers all but"
        f" one of its watches; from {RECOVERS_LEAST:.0f}",
        kind=patience,
    )
    _setting(running, "--health", None, f"serve a liveness probe, such as {HEALTH}")
    _setting(running, "--metrics-port", None, "port of /metrics, for Prometheus (default: none)", kind=port)
    _log_level(running)


def _lease(to: argparse.ArgumentParser) -> None:
    _setting(
        to,
        "--lease-namespace",
        os.environ.get("POD_NAMESPACE", OPERATOR_NAMESPACE),
        "namespace of the Lease that says which replica works",
    )
    _setting(to, "--lease-name", DEFAULT_LEASE, "name of that Lease")


def _api_parser(commands: Any) -> None:
    serving = commands.add_parser(
        "api",
        help="serve the management API",
        description="Serves the management API until SIGTERM or SIGINT. Each option can also be given by the environment variable in brackets.",
        epilog="exit codes: 0 after a signal, 1 where the cluster's configuration or the certificate cannot be read or the port is taken, 2 for a wrong option",
    )
    _cluster(serving)
    _setting(serving, "--host", "127.0.0.1", "address to listen on")
    _setting(serving, "--port", "8080", "port to listen on", kind=port)
    _setting(serving, "--metrics-port", None, "port of /metrics, for Prometheus: another one than the API's (default: none)", kind=port)
    _setting(serving, "--domain", None, "as the operator has it: Apps without a hostname get <app>.<namespace>.<DOMAIN>")
    _public(serving)
    _trigger_image(serving)
    _setting(serving, "--tls-cert", None, "serve HTTPS with this certificate chain (PEM), read again when it changes", kind=Path)
    _setting(serving, "--tls-key", None, "the private key of that certificate (PEM)", kind=Path)
    _console(serving)
    _setting(
        serving, "--recorder", None, "URL of the recorder, such as http://dynamiq-recorder.dynamiq-recorder.svc:8080", kind=recorder_url
    )
    _recorder_ca(serving)
    _setting(serving, "--journal", None, "URL of the journal, such as http://dynamiq-journal.dynamiq-journal.svc", kind=recorder_url)
    _journal_ca(serving)
    _log_level(serving)


def _console(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--console",
        action=argparse.BooleanOptionalAction,
        default=os.environ.get("DYNAMIQ_CONSOLE") or True,
        help="serve the web console under /console/ (default: yes) [DYNAMIQ_CONSOLE, true or false]",
    )
    _setting(
        to,
        "--console-url",
        None,
        "where browsers find the console, such as https://console.example.com: sign-ins are taken there alone (default: at localhost alone)",
        kind=console_url,
    )
    _setting(
        to, "--oidc-issuer", None, "URL of the OIDC provider with which people sign in to the console; needs --console-url", kind=issuer
    )
    _setting(
        to,
        "--oidc-client-id",
        None,
        "the console's client at that provider: the audience that the API server takes (--oidc-client-id, or audiences)",
    )
    _setting(
        to, "--oidc-client-secret-file", None, "file with that client's secret, read for each sign-in; none for a public client", kind=Path
    )
    _setting(to, "--oidc-scopes", None, "scopes to ask for, with openid among them (default: openid email profile)", kind=scopes)
    _setting(to, "--oidc-name", None, "what the button calls the provider (default: its host)")
    _setting(to, "--oidc-ca-file", None, "certificates (PEM) by which the provider is trusted (default: those of the system)", kind=Path)


def _gate_parser(commands: Any) -> None:
    gating = commands.add_parser(
        "gate",
        help="serve the callers of sleeping serverless Apps",
        description="The gate: takes the calls of serverless Apps that sleep, wakes the App, and hands the calls to its pods. Several"
        " replicas work side by side. Each option can also be given by the environment variable in brackets.",
        epilog="It says who it is by the variables POD_NAMESPACE, POD_NAME, POD_UID, POD_IPS and NODE_NAME, which manifests/gate sets. "
        "exit codes: 0 after a signal, once its calls have ended; 1 where the cluster's configuration cannot be read or a port is taken; "
        "2 for a wrong option, or where one of these variables is missing",
    )
    _cluster(gating)
    _setting(gating, "--listen", None, "address to listen on (default: every one)")
    _setting(gating, "--health-port", "8081", "port of /healthz and /readyz", kind=port)
    _setting(gating, "--metrics-port", "9090", "port of /metrics", kind=port)
    _setting(gating, "--held-most", "1000", "calls of one App that wait at a time; beyond them callers get 429", kind=count)
    _setting(gating, "--calls-most", "5000", "calls of all Apps at a time, waiting and under way; beyond them callers get 503", kind=count)
    _setting(
        gating,
        "--memory",
        str(1 << 30),
        "bytes of memory that the container has: connections, and what is kept of calls and of runs, are as many as fit in it",
        kind=count,
    )
    _setting(gating, "--body-limit", str(1 << 30), "bytes of a call's body; beyond them callers get 413", kind=count)
    _setting(
        gating,
        "--finish-within",
        "840",
        "seconds from SIGTERM on after which calls under way are cut off: less than terminationGracePeriodSeconds of the pod",
        kind=seconds,
    )
    _setting(
        gating,
        "--linger",
        "10",
        "seconds for which calls are taken after no slice has this replica any more: as long as a gateway may take to hear of it",
        kind=seconds,
    )
    _setting(gating, "--recorder", None, "URL of the recorder, to which it hands runs that are sent to sleeping Apps", kind=recorder_url)
    _recorder_token(gating)
    _recorder_ca(gating)
    _setting(
        gating, "--journal", None, "URL of the journal, for whose queued runs it wakes Apps and pods of earlier versions", kind=recorder_url
    )
    _journal_token(gating)
    _journal_ca(gating)
    _log_level(gating)


def _retire_parser(commands: Any) -> None:
    retiring = commands.add_parser(
        "retire-gate",
        help="wake every App that sleeps, so that the gate can be uninstalled",
        description="Takes the gate's replicas away, and waits until the operator has woken every App that sleeps behind it.",
        epilog="exit codes: 0 once no App needs the gate any more, or where there is none; 1 where that takes too long or is ended by a signal, and "
        "then the gate has its replicas back, or where it cannot be scaled; 2 for a wrong option",
    )
    _cluster(retiring)
    _setting(retiring, "--gate-namespace", GATE_NAMESPACE, "namespace of the gate")
    _setting(retiring, "--within", "240", "seconds after which it is given up", kind=seconds, variable="DYNAMIQ_RETIRE_WITHIN")
    _log_level(retiring)


def _cluster(to: argparse.ArgumentParser) -> None:
    to.add_argument("--kubeconfig", type=Path, help="kubeconfig file (default: $KUBECONFIG, ~/.kube/config, or the pod's account)")
    to.add_argument("--context", help="context of the kubeconfig (default: its current one)")


def _public(to: argparse.ArgumentParser) -> None:
    schemes = tuple(PublicScheme)
    _setting(to, "--public-scheme", None, "how the gateway in front of Apps is called from outside, where it is not by https", schemes)
    _setting(to, "--public-port", None, "port at which it is called, where that is not the scheme's own", kind=port)


def _trigger_image(to: argparse.ArgumentParser) -> None:
    _setting(to, "--trigger-image", TRIGGER_IMAGE, "image whose `python -m dynamiq_runtime trigger` calls an App for its triggers")


def _log_level(to: argparse.ArgumentParser) -> None:
    _setting(to, "--log-level", "info", "debug, info, warning or error", ("debug", "info", "warning", "error"))


def _notifying(to: argparse.ArgumentParser) -> None:
    _setting(
        to,
        "--notify-secret",
        None,
        "Secret in --operator-namespace with the url, and key, of a sink that is told what becomes of rows in every namespace (default: those"
        " of DeployPolicies alone are told)",
    )
    _setting(to, "--notify-format", SinkFormat.CLOUD_EVENTS.value, "how that sink is told", tuple(each.value for each in SinkFormat))
    _setting(
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
    _setting(
        to,
        "--notify-try-for",
        f"{TRIED_FOR:.0f}",
        "seconds for which a notification is tried again, before it is given up and counted",
        kind=seconds,
    )


def _recording(to: argparse.ArgumentParser) -> None:
    _setting(
        to,
        "--recorder",
        None,
        "URL of the recorder, which pods of Apps send their runs to from their next restart on, such as"
        " http://dynamiq-recorder.dynamiq-recorder.svc:8080 (default: runs are not recorded)",
        kind=recorder_url,
    )
    _recorder_token(to)
    _recorder_ca(to)
    _setting(
        to,
        "--journal",
        None,
        "URL of the journal, which keeps the background runs of private Apps from their pods' next restart on, such as"
        " http://dynamiq-journal.dynamiq-journal.svc (default: there are no background runs)",
        kind=recorder_url,
    )
    _journal_token(to)
    _journal_ca(to)
    _setting(
        to,
        "--metrics-from",
        "",
        "who reads the metrics of Apps that say who may call them, beside the operator: NAMESPACE, or NAMESPACE/LABEL=VALUE for pods with"
        " that label; several with commas between them, or by several flags",
        kind=metrics_peers,
        action=Repeated,
    )


def _recorder_token(to: argparse.ArgumentParser) -> None:
    text = "file with the token by which the recorder knows this process, read for each request"
    _setting(to, "--recorder-token-file", RECORDER_TOKEN, text, kind=Path, variable="DYNAMIQ_RECORDER_TOKEN")


def _recorder_ca(to: argparse.ArgumentParser) -> None:
    text = "certificates (PEM) by which an https recorder is trusted (default: those of the system)"
    _setting(to, "--recorder-ca", None, text, kind=Path)


def _journal_token(to: argparse.ArgumentParser) -> None:
    text = "file with the token by which the journal knows this process, read for each request"
    _setting(to, "--journal-token-file", JOURNAL_TOKEN, text, kind=Path, variable="DYNAMIQ_JOURNAL_TOKEN")


def _journal_ca(to: argparse.ArgumentParser) -> None:
    _setting(to, "--journal-ca", None, "certificates (PEM) by which an https journal is trusted (default: those of the system)", kind=Path)


def _setting(
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
