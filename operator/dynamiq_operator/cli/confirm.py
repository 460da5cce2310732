"""A preview is shown, confirmed where somebody sits there, and then carried out and followed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from dynamiq_operator.actions.deploy import Deploy, preview
from dynamiq_operator.cli import output
from dynamiq_operator.cli.progress import followed
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model.objects import Manifest

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext

NOTHING_DONE = "nothing was done"
QUESTIONS = {"deploy": "Deploy", "rollback": "Roll back", "promote": "Promote", "release": "Release"}


def preview_and_deploy(context: CommandContext, asked: Deploy) -> int:
    api = context.api
    seen = preview(api, asked)
    return create_and_follow(context, seen.lines(), seen.as_json(), lambda: requests.create(api, RECORDS, seen.record), seen.namespace)


def create_and_follow(
    context: CommandContext, lines: Iterable[str], data: dict[str, Any], make: Callable[[], Manifest], namespace: str
) -> int:
    """Shows the preview, asks, makes the row, and follows it; returns the exit code."""
    options = context.options
    if not agreed(context, lines, data):
        return 0 if options.preview else declined(context)
    name = make()["metadata"]["name"]
    if options.no_wait:
        context.out.lines([name])
        return 0
    return followed(context, namespace, name, options.app)


def agreed(context: CommandContext, lines: Iterable[str], data: dict[str, Any]) -> bool:
    """Shows the preview, and asks where somebody sits there. Of what is to be read by a program only the end is on standard output."""
    options = context.options
    if options.preview:
        if options.output is not None:
            context.out.lines([output.formatted(data, options.output)])
        else:
            context.out.preview(lines)
        return False
    is_data = options.output is not None or getattr(options, "no_wait", False)
    (context.err if is_data else context.out).preview(lines)
    if options.yes or not sys.stdin.isatty():
        return True
    context.err.write(f"\n{QUESTIONS[options.command]}? [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def declined(context: CommandContext) -> int:
    context.err.lines([NOTHING_DONE])
    return 1
