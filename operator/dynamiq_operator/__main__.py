"""`python -m dynamiq_operator`: runs the operator, serves the management API, or is the gate of sleeping Apps."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
from pathlib import Path
from typing import Any

from kubernetes.aio.config import ConfigException
from kubernetes.config import ConfigException as NoConfig  # the client that is not asyncio's has one of its own

from dynamiq_operator.arguments import (
    annotations_by_class,
    console_url,
    count,
    gateway,
    issuer,
    notifying,
    patience,
    port,
    recorder_ca,
    recorder_token,
    recorder_url,
    recording,
    scopes,
    seconds,
    setting,
)
from dynamiq_operator.controller.log_floods import FloodFilter
from dynamiq_operator.controller.notifications.wiring import NotifyOptions
from dynamiq_operator.controller.run import RELIST_PERIOD, OperatorOptions, run
from dynamiq_operator.controller.watch_loop import RECOVERS_LEAST, RECOVERS_WITHIN, NotRecovering
from dynamiq_operator.kube.errors import ApiError
from dynamiq_operator.kube.exposition import PortTaken
from dynamiq_operator.model.names import GATE_NAMESPACE, OPERATOR_NAMESPACE
from dynamiq_operator.model.policy import SinkFormat
from dynamiq_operator.model.settings import TRIGGER_IMAGE, ImagePolicy, PublicScheme, Settings
from dynamiq_operator.model.text import on_one_line

DEFAULT_LEASE = "dynamiq-operator"
HEALTH = "http://0.0.0.0:8080/healthz"


class OneLine(logging.Formatter):
    """A formatter with one line per message: users' text cannot begin a line or colour a terminal. Lines of a stack trace are indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        return on_one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return "\n".join(f"  {on_one_line(line)}" for line in super().formatException(ei).splitlines())


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
    setting(running, "--domain", None, "Apps without a hostname get <app>.<namespace>.<DOMAIN>")
    _public(running)
    setting(running, "--ingress-class", None, "IngressClass of Apps that name none")
    setting(
        running,
        "--ingress-annotations",
        None,
        "annotations of an Ingress that Apps may set, by ingress class, * for every other class: 'CLASS=NAME,NAME;CLASS=NAME', where a NAME"
        " may end in * (default: those of nginx, Contour, Traefik and cert-manager that only say how the hostname is served)",
        kind=annotations_by_class,
    )
    setting(running, "--gateway", None, "NAMESPACE/NAME of the Gateway of Apps of type Gateway that name none", kind=gateway)
    setting(running, "--image-policy", ImagePolicy.ANY.value, "digest: refuse Runtimes whose image names no digest", tuple(ImagePolicy))
    _trigger_image(running)
    setting(
        running,
        "--operator-namespace",
        os.environ.get("POD_NAMESPACE", OPERATOR_NAMESPACE),
        "namespace of the operator's pods, which read the metrics of Apps that say who may call them",
    )
    setting(running, "--gate-namespace", GATE_NAMESPACE, "namespace of the gate, behind which serverless Apps sleep")
    recording(running)
    notifying(running)
    setting(
        running,
        "--lease-namespace",
        os.environ.get("POD_NAMESPACE", OPERATOR_NAMESPACE),
        "namespace of the Lease that says which replica works",
    )
    setting(running, "--lease-name", DEFAULT_LEASE, "name of that Lease")
    setting(
        running,
        "--list-again-every",
        f"{RELIST_PERIOD:.0f}",
        "seconds between two lists of everything, which find what an interrupted watch missed; more often costs the API server more",
        kind=seconds,
    )
    setting(
        running,
        "--recovers-within",
        f"{RECOVERS_WITHIN:.0f}",
        "seconds after which the process ends, to be started anew, where the API server does not accept its credentials, or answers all but"
        f" one of its watches; from {RECOVERS_LEAST:.0f}",
        kind=patience,
    )
    setting(running, "--health", None, f"serve a liveness probe, such as {HEALTH}")
    setting(running, "--metrics-port", None, "port of /metrics, for Prometheus (default: none)", kind=port)
    _log_level(running)


def _api_parser(commands: Any) -> None:
    serving = commands.add_parser(
        "api",
        help="serve the management API",
        description="Serves the management API until SIGTERM or SIGINT. Each option can also be given by the environment variable in brackets.",
        epilog="exit codes: 0 after a signal, 1 where the cluster's configuration or the certificate cannot be read or the port is taken, 2 for a wrong option",
    )
    _cluster(serving)
    setting(serving, "--host", "127.0.0.1", "address to listen on")
    setting(serving, "--port", "8080", "port to listen on", kind=port)
    setting(serving, "--metrics-port", None, "port of /metrics, for Prometheus: another one than the API's (default: none)", kind=port)
    setting(serving, "--domain", None, "as the operator has it: Apps without a hostname get <app>.<namespace>.<DOMAIN>")
    _public(serving)
    _trigger_image(serving)
    setting(serving, "--tls-cert", None, "serve HTTPS with this certificate chain (PEM), read again when it changes", kind=Path)
    setting(serving, "--tls-key", None, "the private key of that certificate (PEM)", kind=Path)
    _console(serving)
    setting(
        serving, "--recorder", None, "URL of the recorder, such as http://dynamiq-recorder.dynamiq-recorder.svc:8080", kind=recorder_url
    )
    recorder_ca(serving)
    _log_level(serving)


def _console(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--console",
        action=argparse.BooleanOptionalAction,
        default=os.environ.get("DYNAMIQ_CONSOLE") or True,
        help="serve the web console under /console/ (default: yes) [DYNAMIQ_CONSOLE, true or false]",
    )
    setting(
        to,
        "--console-url",
        None,
        "where browsers find the console, such as https://console.example.com: sign-ins are taken there alone (default: at localhost alone)",
        kind=console_url,
    )
    setting(
        to, "--oidc-issuer", None, "URL of the OIDC provider with which people sign in to the console; needs --console-url", kind=issuer
    )
    setting(
        to,
        "--oidc-client-id",
        None,
        "the console's client at that provider: the audience that the API server takes (--oidc-client-id, or audiences)",
    )
    setting(
        to, "--oidc-client-secret-file", None, "file with that client's secret, read for each sign-in; none for a public client", kind=Path
    )
    setting(to, "--oidc-scopes", None, "scopes to ask for, with openid among them (default: openid email profile)", kind=scopes)
    setting(to, "--oidc-name", None, "what the button calls the provider (default: its host)")
    setting(to, "--oidc-ca-file", None, "certificates (PEM) by which the provider is trusted (default: those of the system)", kind=Path)


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
    setting(gating, "--listen", None, "address to listen on (default: every one)")
    setting(gating, "--health-port", "8081", "port of /healthz and /readyz", kind=port)
    setting(gating, "--metrics-port", "9090", "port of /metrics", kind=port)
    setting(gating, "--held-most", "1000", "calls of one App that wait at a time; beyond them callers get 429", kind=count)
    setting(gating, "--calls-most", "5000", "calls of all Apps at a time, waiting and under way; beyond them callers get 503", kind=count)
    setting(
        gating,
        "--memory",
        str(1 << 30),
        "bytes of memory that the container has: connections, and what is kept of calls and of runs, are as many as fit in it",
        kind=count,
    )
    setting(gating, "--body-limit", str(1 << 30), "bytes of a call's body; beyond them callers get 413", kind=count)
    setting(
        gating,
        "--finish-within",
        "840",
        "seconds from SIGTERM on after which calls under way are cut off: less than terminationGracePeriodSeconds of the pod",
        kind=seconds,
    )
    setting(
        gating,
        "--linger",
        "10",
        "seconds for which calls are taken after no slice has this replica any more: as long as a gateway may take to hear of it",
        kind=seconds,
    )
    setting(gating, "--recorder", None, "URL of the recorder, to which it hands runs that are sent to sleeping Apps", kind=recorder_url)
    recorder_token(gating)
    recorder_ca(gating)
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
    setting(retiring, "--gate-namespace", GATE_NAMESPACE, "namespace of the gate")
    setting(retiring, "--within", "240", "seconds after which it is given up", kind=seconds, variable="DYNAMIQ_RETIRE_WITHIN")
    _log_level(retiring)


def _cluster(to: argparse.ArgumentParser) -> None:
    to.add_argument("--kubeconfig", type=Path, help="kubeconfig file (default: $KUBECONFIG, ~/.kube/config, or the pod's account)")
    to.add_argument("--context", help="context of the kubeconfig (default: its current one)")


def _public(to: argparse.ArgumentParser) -> None:
    schemes = tuple(PublicScheme)
    setting(to, "--public-scheme", None, "how the gateway in front of Apps is called from outside, where it is not by https", schemes)
    setting(to, "--public-port", None, "port at which it is called, where that is not the scheme's own", kind=port)


def _trigger_image(to: argparse.ArgumentParser) -> None:
    setting(to, "--trigger-image", TRIGGER_IMAGE, "image whose `python -m dynamiq_runtime trigger` calls an App for its triggers")


def _log_level(to: argparse.ArgumentParser) -> None:
    setting(to, "--log-level", "info", "debug, info, warning or error", ("debug", "info", "warning", "error"))


def main() -> int:
    options = parser()
    args = options.parse_args()
    if args.command == "api" and (args.tls_cert is None) != (args.tls_key is None):
        options.error("--tls-cert and --tls-key belong together")
    if "recorder_ca" in args and args.recorder_ca is not None and not os.access(args.recorder_ca, os.R_OK):
        options.error(f"{args.recorder_ca} cannot be read")
    if args.command == "api" and (wrong := _wrong_console(args)):
        options.error(wrong)
    try:
        return {"run": _run, "api": _api, "gate": _gate, "retire-gate": _retire_gate}[args.command](args)
    except (ConfigException, NoConfig) as error:
        print(f"the cluster's configuration cannot be read: {error}", file=sys.stderr)
        return 1


def _wrong_console(args: argparse.Namespace) -> str:
    """Returns why the console's options do not fit together; empty if they do. It parses --console if that is text from the environment."""
    if isinstance(args.console, str):
        if (known := {"true": True, "false": False}.get(args.console.lower())) is None:
            return f"DYNAMIQ_CONSOLE is {args.console}, and has to be true or false"
        args.console = known
    if (args.oidc_issuer is None) != (args.oidc_client_id is None):
        return "--oidc-issuer and --oidc-client-id belong together"
    if args.oidc_issuer is not None and args.console_url is None:
        return "--oidc-issuer needs --console-url: the provider sends people back to it"
    if args.oidc_issuer is None and (args.oidc_client_secret_file or args.oidc_scopes or args.oidc_name or args.oidc_ca_file):
        return "--oidc-client-secret-file, --oidc-scopes, --oidc-name and --oidc-ca-file need --oidc-issuer"
    for file in (args.oidc_client_secret_file, args.oidc_ca_file):
        if file is not None and not os.access(file, os.R_OK):
            return f"{file} cannot be read"
    return ""


def _api(args: argparse.Namespace) -> int:
    # Imported here: the operator serves no API, and does not load its modules.
    from dynamiq_operator.rest.console.options import ConsoleOptions, OidcOptions
    from dynamiq_operator.rest.http.recorder import RecorderOptions
    from dynamiq_operator.rest.http.request_log import JsonLines
    from dynamiq_operator.rest.serve import Options as ApiOptions
    from dynamiq_operator.rest.serve import serve

    _log(args.log_level, JsonLines())
    oidc = None
    if args.oidc_issuer is not None:
        files = {"secret": args.oidc_client_secret_file, "ca": args.oidc_ca_file}
        oidc = OidcOptions.of(args.oidc_issuer, args.oidc_client_id, args.oidc_name, args.oidc_scopes, **files)
    options = ApiOptions(
        Settings(domain=args.domain, trigger_image=args.trigger_image, **_public_settings(args)),
        args.host,
        args.port,
        args.kubeconfig,
        args.context,
        (args.tls_cert, args.tls_key) if args.tls_cert is not None else None,
        ConsoleOptions(args.console, args.console_url, oidc),
        RecorderOptions(args.recorder, args.recorder_ca) if args.recorder is not None else None,
        args.metrics_port,
    )
    try:
        serve(options)
    except PortTaken as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        # ssl.SSLError is one, too.
        print(f"the certificate or its key cannot be read: {error}", file=sys.stderr)
        return 1
    return 0


def _public_settings(args: argparse.Namespace) -> dict[str, Any]:
    return {"public_scheme": args.public_scheme and PublicScheme(args.public_scheme), "public_port": args.public_port}


def _gate(args: argparse.Namespace) -> int:
    # Imported here: only this mode needs a web server and metrics.
    from dynamiq_operator.gate.limits import Limits
    from dynamiq_operator.gate.membership import Replica
    from dynamiq_operator.gate.relay import Recorder
    from dynamiq_operator.gate.serve import Options, serve
    from dynamiq_operator.model.json_lines import JsonLines

    _log(args.log_level, JsonLines())
    known = {name: os.environ.get(name, "") for name in ("POD_NAMESPACE", "POD_NAME", "POD_UID", "POD_IPS", "NODE_NAME")}
    if missing := [name for name, value in known.items() if not value]:
        print(f"the gate does not know who it is: set {', '.join(missing)}, as manifests/gate/deployment.yaml does", file=sys.stderr)
        return 2
    replica = Replica(known["POD_NAMESPACE"], known["POD_NAME"], known["POD_UID"], tuple(known["POD_IPS"].split(",")), known["NODE_NAME"])
    options = Options(
        replica,
        args.listen,
        args.health_port,
        args.metrics_port,
        Limits.within(args.memory, args.held_most, args.calls_most, args.body_limit),
        args.finish_within,
        args.linger,
        recorder=Recorder(args.recorder, args.recorder_token_file, args.recorder_ca) if args.recorder is not None else None,
        kubeconfig=args.kubeconfig,
        context=args.context,
    )
    try:
        asyncio.run(serve(options))
    except OSError as error:
        print(f"a port of the gate's own is taken: {error}", file=sys.stderr)
        return 1
    return 0


def _retire_gate(args: argparse.Namespace) -> int:
    from dynamiq_operator.gate.retire import until_retired

    _log(args.log_level)
    try:
        return 0 if until_retired(args.gate_namespace, args.within, args.kubeconfig, args.context) else 1
    except ApiError as error:
        print(f"the gate cannot be scaled: {error}", file=sys.stderr)
        return 1


def _log(level: str, formatter: logging.Formatter | None = None) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(formatter or OneLine("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _run(args: argparse.Namespace) -> int:
    _log(args.log_level)
    logging.getLogger().handlers[0].addFilter(FloodFilter())
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLogger().level))
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    name = os.environ.get("POD_NAME") or socket.gethostname()
    options = OperatorOptions(
        settings=Settings(
            domain=args.domain,
            ingress_class=args.ingress_class,
            ingress_annotations=args.ingress_annotations or {},
            gateway=args.gateway,
            image_policy=ImagePolicy(args.image_policy),
            trigger_image=args.trigger_image,
            gate_namespace=args.gate_namespace,
            operator_namespace=args.operator_namespace,
            recorder=args.recorder,
            metrics_from=args.metrics_from,
            **_public_settings(args),
        ),
        identity=f"{name}-{os.getpid()}-{os.urandom(4).hex()}",
        lease_namespace=args.lease_namespace,
        lease_name=args.lease_name,
        kubeconfig=args.kubeconfig,
        context=args.context,
        namespaces=tuple(args.namespaces or ()),
        health=args.health,
        relist_period=args.list_again_every,
        recovers_within=args.recovers_within,
        recorder_token=args.recorder_token_file,
        recorder_ca=args.recorder_ca,
        metrics_port=args.metrics_port,
        notify=NotifyOptions(
            args.notify_secret, SinkFormat(args.notify_format), args.notify_allow_networks, args.notify_http, args.notify_try_for
        ),
    )
    try:
        asyncio.run(run(options))
    except PortTaken as error:
        print(error, file=sys.stderr)
        return 1
    except NotRecovering as error:
        print(f"ending, to be started anew: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
