"""`verify`: whether anybody changed or removed a row of an App's history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamiq_operator.cli.output import safe
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.views.verdict import check

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def run(context: CommandContext) -> int:
    app = context.options.app
    rows = requests.items(context.api, RECORDS, context.namespace, field=f"spec.app={app}")
    text, code = check(app, rows, context.options.expect)
    context.out.lines(safe(line) for line in text.splitlines())
    return code
