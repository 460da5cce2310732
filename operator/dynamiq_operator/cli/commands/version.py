"""`version`: prints the versions of the plugin, the operator, the resources that the cluster serves, and the cluster itself."""

from __future__ import annotations

from typing import Any

from dynamiq_operator import __version__
from dynamiq_operator.cli import parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe
from dynamiq_operator.cli.transport import NotInstalled
from dynamiq_operator.kube import errors
from dynamiq_operator.model.manifests import API_VERSION, GROUP

OPERATOR = "/apis/apps/v1/deployments"
SELECTOR = "app.kubernetes.io/name=dynamiq-operator"


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(command, "", ("", "-o json"))
    parsing.output(command)


def run(context: CommandContext) -> int:
    versions: dict[str, Any] = {
        "plugin": __version__,
        "operator": _operator(context),
        "resources": _resources(context),
        "kubernetes": context.api.request("GET", "/version").get("gitVersion"),
    }
    if context.print_data(versions):
        return 0
    operator = ", ".join(f"{each['image']} in {each['namespace']}" for each in versions["operator"] or ())
    unseen = "you may not read it (Deployments of its namespace)" if versions["operator"] is None else "not found"
    texts = {
        "plugin": versions["plugin"],
        "operator": operator or unseen,
        "resources": ", ".join(f"{GROUP}/{version}" for version in versions["resources"]) or "not installed",
        "kubernetes": versions["kubernetes"] or "unknown",
    }
    context.out.lines(f"{name:<11} {safe(value)}" for name, value in texts.items())
    return 0


def _operator(context: CommandContext) -> list[dict[str, str]] | None:
    """Returns the images of operators with their namespaces; None if the caller may not list Deployments of all namespaces."""
    try:
        deployments = context.api.request("GET", OPERATOR, query={"labelSelector": SELECTOR})["items"]
    except errors.Forbidden:
        return None
    return [
        {"namespace": each["metadata"]["namespace"], "image": each["spec"]["template"]["spec"]["containers"][0]["image"]}
        for each in deployments
    ]


def _resources(context: CommandContext) -> list[str]:
    """Returns the versions of our group that the cluster serves."""
    try:
        group = context.api.request("GET", f"/apis/{API_VERSION.partition('/')[0]}")
    except (errors.NotFound, NotInstalled):
        return []
    return [each["version"] for each in group.get("versions") or ()]
