"""`open`: prints the address of an App, and opens it if there is a desktop."""

from __future__ import annotations

import os
import sys

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe
from dynamiq_operator.model import names


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(command, "", ("support", "support -o json"))
    parsing.app(command)
    parsing.output(command)


def run(context: CommandContext) -> int:
    """Prints the address; opens it if it is reachable from here and there is a desktop."""
    from dynamiq_operator.desired import exposure
    from dynamiq_operator.model.app import ExposureType

    app = context.find_app()
    url, exposed = exposure.address(app), app.spec.exposure
    if url is None:
        raise Refusal(f"{app.meta.name} has no address yet: see {context.hint(f'status {app.meta.name}')}")
    if context.print_data({"namespace": app.meta.namespace, "app": app.meta.name, "url": url}):
        return 0
    context.out.lines([safe(url)])
    if (exposed is not None and exposed.type is ExposureType.CLUSTER_IP) or url.endswith(f".{app.meta.namespace}.svc"):
        context.err.lines(
            [
                f"this address works only inside the cluster; from here: `kubectl port-forward -n {app.meta.namespace} service/{names.service(app.meta.name)} 8080:80`"
            ]
        )
    elif _is_desktop():
        import webbrowser

        webbrowser.open(url)
    return 0


def _is_desktop() -> bool:
    if not sys.stdout.isatty():
        return False
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
