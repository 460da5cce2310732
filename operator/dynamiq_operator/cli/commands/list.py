"""`list`: prints the Apps of a namespace, or of all namespaces. Like `history` it reads them without pydantic's models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import quote

from dynamiq_operator.cli import output, parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import Table, age, safe
from dynamiq_operator.kube.api import PAGE, pages_at
from dynamiq_operator.model.manifests import API_VERSION, GuardReason, Manifest
from dynamiq_operator.views.sleep import ASLEEP, is_asleep

COLUMNS = ("NAME", "VERSION", "STATUS", "HOSTNAME", "AGE")
WIDE = ("ROW", "RUNTIME", "URL")
_HELD = frozenset(GuardReason)


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "STATUS is Ready, or the reason why not; a deploy under way is shown, too. -o wide adds the live row, its runtime and the address.",
        ("", "-A", "-o wide", "-o name", "-A -o jsonpath='{range [*]}{.namespace}/{.name} {.version}{\"\\n\"}{end}'"),
    )
    command.add_argument("-A", "--all-namespaces", action="store_true", help="of every namespace")
    parsing.limit(command, "most Apps to show (default: all)")
    parsing.output(command, "wide", "name")


def run(context: CommandContext) -> int:
    how, everywhere = context.options.output, context.options.all_namespaces
    where = "" if everywhere else f"/namespaces/{quote(context.namespace, safe='')}"
    path = f"/apis/{API_VERSION}{where}/apps"
    most = context.options.limit
    apps = (_app(raw) for page in pages_at(context.api, path, size=min(most or PAGE, PAGE)) for raw in page["items"])
    shown = list(islice(apps, most))
    if context.print_data(shown, (output.named("App", app["name"]) for app in shown)):
        return 0
    if not shown:
        context.err.lines([f"no App in {'any namespace' if everywhere else f'namespace {safe(context.namespace)}'}"])
    else:
        now, is_wide = datetime.now(UTC), how == "wide"
        rows = [[*_cells(app, now, everywhere), *(_wide(app) if is_wide else ())] for app in shown]
        header = [*(["NAMESPACE"] if everywhere else []), *COLUMNS, *(WIDE if is_wide else ())]
        context.out.lines(Table(header, rows, context.out, cut="" if is_wide else "HOSTNAME").lines())
    return 0


def _app(raw: Manifest) -> dict[str, Any]:
    meta, status = raw["metadata"], raw.get("status") or {}
    live = status.get("live") or {}
    return {
        "namespace": meta["namespace"],
        "name": meta["name"],
        "version": live.get("workflowVersion"),
        "runtime": live.get("runtime"),
        "row": live.get("row"),
        "sequence": live.get("sequence"),
        "status": _status(status),
        "hostname": status.get("hostname"),
        "url": status.get("url"),
        "created": meta["creationTimestamp"],
    }


def _status(status: Mapping[str, Any]) -> str:
    """Returns the App's status: Ready, asleep, or the reason why it is not Ready. Appends a deploy that is under way or waiting."""
    conditions = {each.get("type"): each for each in status.get("conditions") or ()}
    ready, rolling = conditions.get("Ready") or {}, conditions.get("Progressing") or {}
    state = (ASLEEP if is_asleep(status) else "Ready") if ready.get("status") == "True" else str(ready.get("reason") or "Unknown")
    rollout = rolling.get("reason") or ""
    return f"{state}, {rollout}" if rollout and (rolling.get("status") == "True" or rollout in _HELD) else state


def _cells(app: Mapping[str, Any], now: datetime, everywhere: bool) -> list[str]:
    values = [app["name"], app["version"] or "", app["status"], app["hostname"] or "", age(app["created"], now)]
    return [safe(value) for value in ([app["namespace"]] if everywhere else []) + values]


def _wide(app: Mapping[str, Any]) -> list[str]:
    """Returns the live row as `#3 support-9ml5c`, its runtime and the App's address; empty if nothing is live."""
    row = f"#{app['sequence']} {app['row']}" if app["row"] is not None else ""
    return [safe(value or "") for value in (row, app["runtime"], app["url"])]
