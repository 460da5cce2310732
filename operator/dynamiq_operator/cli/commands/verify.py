"""`verify`: reports whether anybody changed or removed a row of an App's history or a record of its settings.

It reads them from the cluster or from an export.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe
from dynamiq_operator.cli.transport import NotInstalled
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.app_objects import only_of_app
from dynamiq_operator.model.archive import InCluster
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.model.ownership import is_nobodys
from dynamiq_operator.views.verdict import check

if TYPE_CHECKING:
    from dynamiq_operator.cli.export import Exported


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "Walks the chain of digests, oldest row first, and names the first row that does not fit. It checks the records of settings, too.",
        ("support", "support --expect sha256:…", "support --file export.yaml --expect sha256:…"),
        "exit codes: 0 every row and record fits, 1 one does not, 2 wrong usage, or no answer from the cluster or the file, 3 no row",
    )
    parsing.app(command)
    command.add_argument(
        "--file",
        metavar="FILE",
        help="read this export (`kubectl get deployments.dynamiq,appchanges -o yaml`), not the cluster; without -n, rows may be of any namespace",
    )
    command.add_argument("--expect", metavar="DIGEST", help="a digest printed earlier, which one row or record must still have")
    parsing.output(command)


def run(context: CommandContext) -> int:
    options = context.options
    rows, changes = _exported(context) if options.file is not None else (_stored(context), _changes(context))
    text, code = check(options.app, rows, options.expect, changes)
    says = text.splitlines()
    if not context.print_data({"app": options.app, "fits": code == 0, "says": says}):
        context.out.lines(map(safe, says))
    return code


def _stored(context: CommandContext) -> Iterable[Manifest]:
    """Returns the rows in the cluster and those in the App's archive, read page by page. They are one chain: its seam is verified, too."""
    from dynamiq_operator.kube.resources import ROWS

    app, in_cluster = context.options.app, InCluster()
    manifests = requests.items(context.api, ROWS, context.namespace, field=f"spec.app={app}")
    rows = only_of_app(context.api, context.namespace, app, manifests)
    for row in rows:
        in_cluster.add(row)
    if all(is_nobodys(row) for row in rows):
        return rows  # no such App, or none of its rows is numbered yet
    return chain(rows, _archived(context, in_cluster))


def _archived(context: CommandContext, in_cluster: InCluster) -> Iterator[Manifest]:
    """Yields rows that only the archive has; if it cannot be read, a sentence on standard error says so."""
    from dynamiq_operator.cli.archive import archives

    try:
        app_archives = archives(context, context.namespace, context.options.app)
    except errors.Denied as error:
        context.err.lines([safe(f"archived rows are not verified: {error}")])
        return
    for archive in app_archives:
        yield from in_cluster.others(archive.walk())


def _changes(context: CommandContext) -> list[Manifest]:
    """Returns the records of the App's settings; if they may not be read, a sentence on standard error says so."""
    from dynamiq_operator.kube.resources import APP_CHANGES

    app = context.options.app
    try:
        manifests = requests.items(context.api, APP_CHANGES, context.namespace, field=f"spec.app={app}")
    except (errors.NotFound, NotInstalled):  # a cluster whose definitions are older
        return []
    except errors.Denied as error:
        context.err.lines([safe(f"the records of its settings are not verified: {error}")])
        return []
    return only_of_app(context.api, context.namespace, app, manifests)


def _exported(context: CommandContext) -> Exported:
    """Reads the history from the file, in any namespace if none is given. Raises Refusal."""
    import yaml  # imported here: nothing else in the plugin needs it

    from dynamiq_operator.cli import export

    try:
        return export.read(Path(context.options.file), context.command_line.namespace, context.options.app)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Refusal(f"the history cannot be read: {' '.join(str(error).split())}") from error
