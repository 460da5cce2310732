"""Shows a preview, asks for confirmation on a terminal, then performs and follows the plan."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from dynamiq_operator.cli import output, parsing
from dynamiq_operator.cli.callers import with_callers
from dynamiq_operator.cli.context import CommandContext, NobodyToAsk
from dynamiq_operator.cli.progress import followed
from dynamiq_operator.model.manifests import Manifest

if TYPE_CHECKING:
    from dynamiq_operator.actions.deploy import PreviewedDeploy
    from dynamiq_operator.kube.api import Api

FOLLOW_SECONDS = 600.0
DEPLOY_EXITS = (
    "exit codes: 0 done; 1 it failed or was refused; 2 wrong usage, or no terminal and no --yes; 3 it waits for an approval or"
    " another guard, which is no failure, or is still under way after --timeout;"
    " 4 the plan changed after the preview, and nothing was done; 130 interrupted: the deploy continues"
)
NOTHING_DONE = "nothing was done"
QUESTIONS = {
    "rollback": "Roll back",
    "keys": "Revoke",
    "delete-runs": "Delete",
    "reject-version": "Go on",
    "suspend": "Go on",
    "answer": "Approve",
    "restart-runs": "Restart",
    "release-runs": "Go on",
}
"""Questions that are not the command's own name."""


def add_runtime(command: parsing.Parser) -> None:
    command.add_argument("--runtime", help="Runtime to run on (default: the live row's)")


def add_take_sessions(command: parsing.Parser) -> None:
    command.add_argument(
        "--take-sessions",
        action="store_true",
        help="of an App with spec.sessions: once the row is live, it answers conversations that began before on other versions, too"
        " (default: each stays on its version until nobody continues it)",
    )


def add_deploy_flags(command: parsing.Parser) -> None:
    command.add_argument("-m", "--message", help="reason, kept in the history")
    parsing.add_preview_flags(command)
    command.add_argument(
        "--bypass",
        metavar="REASON",
        help="skip approvals, freezes, holds and rejections, for this reason, kept in the history; needs the right to bypass",
    )
    ends = command.add_mutually_exclusive_group()
    ends.add_argument(
        "--wait",
        action="store_true",
        help="if the row waits, follow it until --timeout; otherwise this prints for what it waits, and ends",
    )
    ends.add_argument("--no-wait", action="store_true", help="do not follow the rollout: print only the row's name, and end")
    command.add_argument(
        "--timeout",
        type=parsing.duration,
        default=FOLLOW_SECONDS,
        metavar="TIME",
        help="how long to follow it, such as 90s or 5m (default: 10m)",
    )


def show_and_deploy(context: CommandContext, plan: PreviewedDeploy, api: Api | None = None) -> int:
    """Shows a plan, asks, deploys it and follows its row; returns the exit code.

    `api`: the one that made the plan, if it knows more than the API server.
    """
    from dynamiq_operator.actions.confirmed import perform_confirmed

    plan = with_callers(context, plan)
    preview = plan.preview
    return perform_and_follow(
        context, preview.lines(), preview.as_json(), lambda: perform_confirmed(api or context.api, plan).made, preview.namespace
    )


def perform_and_follow(
    context: CommandContext, lines: Iterable[str], data: dict[str, Any], perform: Callable[[], Manifest], namespace: str
) -> int:
    """Shows the preview, asks, performs the plan, and follows its row; returns the exit code."""
    options = context.options
    if not agreed(context, lines, data):
        return nothing_done(context)
    name = perform()["metadata"]["name"]
    if options.no_wait:
        context.out.lines([output.named("Deployment", name) if options.output == "name" else name])
        return 0
    return followed(context, namespace, name, options.app)


def agreed(context: CommandContext, lines: Iterable[str], data: dict[str, Any]) -> bool:
    """Shows the preview and asks; returns True if the user agreed. Raises NobodyToAsk.

    If a program reads standard output, the preview goes to standard error.
    """
    options = context.options
    if options.preview:
        if not context.print_data(data):
            context.out.preview(lines)
        return False
    if not options.yes and not can_ask():
        message = "needs --yes: there is no terminal to ask; --dry-run shows what it would do"
        raise NobodyToAsk(message)
    is_data = options.output is not None or getattr(options, "no_wait", False)
    (context.err if is_data else context.out).preview(lines)
    if options.yes:
        return True
    context.api.patience.heard()
    context.err.write(f"\n{QUESTIONS.get(options.command, options.command.capitalize())}? [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def can_ask() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def nothing_done(context: CommandContext) -> int:
    """Returns the exit code without an agreement: 0 after a preview, else 1, and a sentence says that nothing was done."""
    if context.options.preview:
        return 0
    context.err.lines([NOTHING_DONE])
    return 1
