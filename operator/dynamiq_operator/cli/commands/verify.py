"""`verify`: whether anybody changed or removed a row of an App's history, in the cluster or in an export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli.output import safe
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube.app_objects import only_of_app
from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.views.verdict import check

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def run(context: CommandContext) -> int:
    options = context.options
    rows = _exported(context) if options.file is not None else _stored(context)
    text, code = check(options.app, rows, options.expect)
    context.out.lines(safe(line) for line in text.splitlines())
    return code


def _stored(context: CommandContext) -> list[Manifest]:
    app = context.options.app
    found = requests.items(context.api, RECORDS, context.namespace, field=f"spec.app={app}")
    return only_of_app(context.api, context.namespace, app, found)


def _exported(context: CommandContext) -> list[Manifest]:
    """The rows of the file, of any namespace where none is given. Raises Refusal where it cannot be read."""
    import yaml  # which nothing else of the plugin waits for

    from dynamiq_operator.cli import export

    try:
        return export.rows(Path(context.options.file), context.given.namespace, context.options.app)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Refusal(f"the history cannot be read: {' '.join(str(error).split())}") from error
