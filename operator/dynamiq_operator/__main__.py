"""`python -m dynamiq_operator`: runs the operator, serves the management API, or is the gate of sleeping Apps."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
from typing import Any

from kubernetes.aio.config import ConfigException
from kubernetes.config import ConfigException as NoConfig  # the client that is not asyncio's has one of its own

from dynamiq_operator.arguments import parser
from dynamiq_operator.kube.errors import ApiError
from dynamiq_operator.kube.exposition import PortTaken
from dynamiq_operator.model.policy import SinkFormat
from dynamiq_operator.model.settings import ImagePolicy, PublicScheme, Settings
from dynamiq_operator.model.text import on_one_line


class OneLine(logging.Formatter):
    """A formatter with one line per message: users' text cannot begin a line or colour a terminal. Lines of a stack trace are indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        return on_one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return "\n".join(f"  {on_one_line(line)}" for line in super().formatException(ei).splitlines())


def main() -> int:
    options = parser()
    args = options.parse_args()
    if args.command == "api" and (args.tls_cert is None) != (args.tls_key is None):
        options.error("give both --tls-cert and --tls-key, or neither")
    for file in (getattr(args, "recorder_ca", None), getattr(args, "journal_ca", None)):
        if file is not None and not os.access(file, os.R_OK):
            options.error(f"{file} cannot be read")
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
    from dynamiq_operator.rest.serve import ApiOptions, serve
    from dynamiq_operator.serving.request_log import RequestJsonLines

    _log(args.log_level, RequestJsonLines())
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
        RecorderOptions(args.journal, args.journal_ca) if args.journal is not None else None,
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
    from dynamiq_operator.gate.serve import GateOptions, serve
    from dynamiq_operator.kube.recorder_access import RecorderAccess
    from dynamiq_operator.model.json_lines import JsonLines

    _log(args.log_level, JsonLines())
    known = {name: os.environ.get(name, "") for name in ("POD_NAMESPACE", "POD_NAME", "POD_UID", "POD_IPS", "NODE_NAME")}
    if missing := [name for name, value in known.items() if not value]:
        print(f"the gate does not know who it is: set {', '.join(missing)}, as manifests/gate/deployment.yaml does", file=sys.stderr)
        return 2
    replica = Replica(known["POD_NAMESPACE"], known["POD_NAME"], known["POD_UID"], tuple(known["POD_IPS"].split(",")), known["NODE_NAME"])
    options = GateOptions(
        replica,
        args.listen,
        args.health_port,
        args.metrics_port,
        Limits.within(args.memory, args.held_most, args.calls_most, args.body_limit),
        args.finish_within,
        args.linger,
        recorder=RecorderAccess(args.recorder, args.recorder_token_file, args.recorder_ca) if args.recorder is not None else None,
        journal=RecorderAccess(args.journal, args.journal_token_file, args.journal_ca) if args.journal is not None else None,
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
    # Imported here: the API and the gate reconcile nothing.
    from dynamiq_operator.controller.notifications.wiring import NotifyOptions
    from dynamiq_operator.controller.run import OperatorOptions, run
    from dynamiq_operator.controller.telemetry.log_floods import FloodFilter
    from dynamiq_operator.controller.watching.watch_loop import NotRecovering

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
            journal=args.journal,
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
        journal_token=args.journal_token_file,
        journal_ca=args.journal_ca,
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
