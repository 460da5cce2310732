"""`promote`: deploys what an App serves here in another environment of its project, in this cluster or another one."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dynamiq_operator.actions.refusals import Refusal, Taken
from dynamiq_operator.cli import background_runs, callers, confirm, output, parsing
from dynamiq_operator.cli.connection import Connection
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.kubectl_flags import in_context
from dynamiq_operator.cli.output import safe
from dynamiq_operator.cli.transport import TransportElsewhere
from dynamiq_operator.model.manifests import Manifest

if TYPE_CHECKING:
    from dynamiq_operator.actions.bundle import Bundle
    from dynamiq_operator.actions.promote import Crossing, NeedsHostname, PromotionPlan

COUNTED_WITHIN = 1.0
"""Seconds that a preview waits for the number of the target's open background runs."""


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "The version is copied unchanged; the App there keeps its own config, hostname, keys and variables. To promote to"
        " another cluster, --to-context writes with that context of the kubeconfig. If no context reaches it, --to-file writes a file"
        " for `kubectl apply` there. Such a row names its cluster and its source row, and is marked as unverified.",
        (
            "support -n staging",
            "support -n staging --to production --hostname support.example.com",
            "support -n staging --to-context prod --preview",
            "support -n staging --to-context prod --target-namespace support",
            "support -n staging --to-file support-v4.yaml --with-app --hostname support.example.com",
        ),
        confirm.DEPLOY_EXITS,
    )
    command.check = _wrong
    parsing.app(command)
    command.add_argument("--to", metavar="ENVIRONMENT", default="production", help="environment to promote to (default: %(default)s)")
    command.add_argument(
        "--target-namespace",
        metavar="NAMESPACE",
        help="the target's namespace, needed if you may not list namespaces (default: found by its labels; with --to-file: where it is applied)",
    )
    command.add_argument("--hostname", help="hostname there, for a first promotion")
    places = command.add_mutually_exclusive_group()
    places.add_argument("--to-context", metavar="CONTEXT", help="kubeconfig context of the target's cluster (default: this cluster)")
    places.add_argument("--to-file", metavar="FILE", help="write it into a file, for a cluster that cannot be reached from here")
    command.add_argument(
        "--from-cluster",
        metavar="NAME",
        help="name of this cluster in the row, needed if you may not read its identity (default: the uid of its namespace kube-system)",
    )
    command.add_argument("--with-app", action="store_true", help="with --to-file: include the App, for a first promotion")
    command.add_argument(
        "--as-version",
        type=parsing.version,
        metavar="VERSION",
        help="with --to-file: the version's name there, such as v7, if another flow has its own",
    )
    confirm.add_deploy_flags(command)


def _wrong(options: argparse.Namespace) -> str:
    if options.to_file is None:
        if options.with_app or options.as_version is not None:
            return "--with-app and --as-version need --to-file: otherwise the target is read"
        if options.from_cluster is not None and options.to_context is None:
            return "--from-cluster needs --to-context or --to-file: within a cluster a row does not name it"
    elif options.to_file in ("", "-"):
        return "--to-file takes the name of a file"
    elif options.hostname is not None and not options.with_app:
        return "with --to-file, --hostname needs --with-app"
    return ""


def run(context: CommandContext) -> int:
    if context.options.to_file is not None:
        return _into_file(context, context.options.to_file)
    if context.options.to_context is not None:
        with Connection(in_context(context.command_line, context.options.to_context)) as connection:
            connection.start()
            return _into_cluster(context, connection, context.options.to_context)
    return _promote(context, context, None)


def _into_cluster(context: CommandContext, connection: Connection, name: str) -> int:
    """Reads from this cluster and writes to the other, each with the login of its own context."""
    from dynamiq_operator.actions.identity import crossed_from
    from dynamiq_operator.actions.promote import Crossing

    target = TransportElsewhere(connection, context.api.patience, f"context {name}")
    crossing = Crossing(crossed_from(context.api, target, context.options.from_cluster), f"context {name}")
    return _promote(context, replace(context, connection=connection, api=target, elsewhere=name), crossing)


def _promote(here: CommandContext, there: CommandContext, crossing: Crossing | None) -> int:
    from dynamiq_operator.actions.promote import perform_confirmed_promotion

    plan = _plan(here, there, crossing)
    if plan.preview.moves_on:
        # The target is known only now, so nothing else hides this wait.
        open_runs = background_runs.OpenRuns(there, plan.target_namespace, late=COUNTED_WITHIN)
        plan = replace(plan, deploy=open_runs.added_to(plan.deploy))
    plan = replace(plan, deploy=callers.with_callers(there, plan.deploy))
    made: list[str] = []

    def perform() -> Manifest:
        row = perform_confirmed_promotion(here.api, plan, there=there.api).made
        made.append(row["metadata"]["name"])
        return row

    code = confirm.perform_and_follow(there, plan.lines(), plan.as_json(), perform, plan.target_namespace)
    is_live = code == 0 and bool(made) and not here.options.no_wait
    return _report_unready(there, plan, made[0]) if is_live and plan.new_app is not None else code


def _report_unready(context: CommandContext, plan: PromotionPlan, row: str) -> int:
    """Reports a new App that is not Ready; returns the exit code: 0 if it is Ready, else 1.

    Examples are a hostname that is taken, and a status that lacks the condition.
    """
    from dynamiq_operator.actions.follow import served_app
    from dynamiq_operator.plan.status.conditions import READY

    app = served_app(context.api, plan.target_namespace, plan.request.app, row, context.options.timeout)
    ready = next((each for each in app.status.conditions if each.type == READY), None) if app is not None else None
    if ready is not None and ready.status == "True":
        return 0
    why = (
        f"is live but not ready: {ready.reason}: {ready.message}"
        if ready is not None
        else "is live, but its status has no condition Ready yet"
    )
    context.err.lines([safe(f"error: {plan.request.app} {why}")])
    return 1


def _plan(here: CommandContext, there: CommandContext, crossing: Crossing | None) -> PromotionPlan:
    """Plans the promotion; on a terminal it asks for a missing hostname. Raises Refusal, which names the option, if there is none."""
    from dynamiq_operator.actions.promote import NeedsHostname, PromotionRequest, plan_promotion

    options = here.options
    hostname = options.hostname
    while True:
        try:
            request = PromotionRequest(
                here.namespace, options.app, options.to, options.target_namespace, hostname, options.message, options.bypass, crossing
            )
            return plan_promotion(here.api, request, there=there.api)
        except NeedsHostname as lacking:
            if options.yes or options.preview or not confirm.can_ask() or not (hostname := _ask_for_hostname(here, lacking)):
                raise Refusal(f"{lacking}: --hostname", lacking.field) from None


def _ask_for_hostname(context: CommandContext, lacking: NeedsHostname) -> str:
    context.err.write(f"{output.safe(lacking)}\nHostname: ")
    return sys.stdin.readline().strip()


def _into_file(context: CommandContext, file: str) -> int:
    """Writes the confirmed bundle to a file, byte for byte as shown, for a cluster that this one cannot reach."""
    if Path(file).exists():
        raise Taken(f"{file} exists already: name another file, or remove it")
    bundle = _bundle(context)
    if not confirm.agreed(context, bundle.lines(file), bundle.as_json(file)):
        return confirm.nothing_done(context)
    _write(bundle, file)
    if not context.print_data(bundle.as_json(file), [output.named("Deployment", bundle.row)]):
        context.out.lines([safe(f"{file} is written. To deploy row {bundle.row}: `{bundle.apply(file)}`")])
    return 0


def _bundle(context: CommandContext) -> Bundle:
    from dynamiq_operator.actions.bundle import BundleRequest, plan_bundle
    from dynamiq_operator.actions.identity import cluster
    from dynamiq_operator.actions.promote import NeedsHostname

    options = context.options
    request = BundleRequest(
        context.namespace,
        options.app,
        options.from_cluster or cluster(context.api),
        target_namespace=options.target_namespace,
        with_app=options.with_app,
        hostname=options.hostname,
        version=options.as_version,
        message=options.message,
        bypass_reason=options.bypass,
    )
    try:
        return plan_bundle(context.api, request)
    except NeedsHostname as lacking:
        raise Refusal(f"{lacking}: --hostname", lacking.field) from None


def _write(bundle: Bundle, file: str) -> None:
    heading = [f"{bundle.source.title}, of cluster {bundle.request.cluster}", bundle.apply(file)]
    try:
        with Path(file).open("x", encoding="utf-8") as opened:
            opened.write(output.as_manifests(bundle.objects, heading))
    except OSError as error:
        raise Refusal(f"{file} cannot be written: {error.strerror or error}") from None
