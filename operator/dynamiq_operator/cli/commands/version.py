"""`version`: of the plugin, of the operator, of the resources that the cluster serves, and of the cluster itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamiq_operator import __version__
from dynamiq_operator.cli import output
from dynamiq_operator.cli.output import safe
from dynamiq_operator.cli.transport import NotInstalled
from dynamiq_operator.kube import errors
from dynamiq_operator.model.manifests import API_VERSION, GROUP

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext

OPERATOR = "/apis/apps/v1/deployments"
SELECTOR = "app.kubernetes.io/name=dynamiq-operator"


def run(context: CommandContext) -> int:
    told: dict[str, Any] = {
        "plugin": __version__,
        "operator": _operator(context),
        "resources": _resources(context),
        "kubernetes": context.api.request("GET", "/version").get("gitVersion"),
    }
    if output.is_data(context.options.output):
        context.out.lines([output.formatted(told, context.options.output)])
        return 0
    operator = ", ".join(f"{each['image']} in {each['namespace']}" for each in told["operator"] or ())
    unseen = "you may not look (Deployments of its namespace)" if told["operator"] is None else "not found"
    said = {
        "plugin": told["plugin"],
        "operator": operator or unseen,
        "resources": ", ".join(f"{GROUP}/{version}" for version in told["resources"]) or "not installed",
        "kubernetes": told["kubernetes"] or "unknown",
    }
    context.out.lines(f"{name:<11} {safe(value)}" for name, value in said.items())
    return 0


def _operator(context: CommandContext) -> list[dict[str, str]] | None:
    """The images of operators, with their namespaces; None where the caller may not list Deployments of all namespaces."""
    try:
        found = context.api.request("GET", OPERATOR, query={"labelSelector": SELECTOR})["items"]
    except errors.Denied as error:
        if error.status == 401:
            raise
        return None
    return [
        {"namespace": each["metadata"]["namespace"], "image": each["spec"]["template"]["spec"]["containers"][0]["image"]} for each in found
    ]


def _resources(context: CommandContext) -> list[str]:
    """The versions of our group that the cluster serves."""
    try:
        found = context.api.request("GET", f"/apis/{API_VERSION.partition('/')[0]}")
    except (errors.NotFound, NotInstalled):
        return []
    return [each["version"] for each in found.get("versions") or ()]
