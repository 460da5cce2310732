"""`sync --to-git`: prints the patch of `spec.deploy` that makes Git match what is live.

Standard output has only the patch, and the version that it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamiq_operator.cli import output, parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.views.flow_diff import flow_diff

if TYPE_CHECKING:
    from dynamiq_operator.actions.sync import SyncPlan

DIFFERS = 3
"""Exit code with --exit-code: Git differs from what is live."""


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "After a rollback, Git and the live row differ. This changes nothing: it prints a patch for the App's file in Git, and notes on"
        " standard error. Fields that Git leaves out stay out. You need the right to read.",
        (
            "support",
            "support --full -m 'As production is'",
            "support --exit-code",
        ),
        "exit codes: 0 done, 1 it failed or was refused, 2 wrong usage, 130 interrupted; with --exit-code also 3 Git differs from what is live",
    )
    parsing.app(command)
    command.add_argument("--to-git", action="store_true", help="the default, and the only direction: this command does not write to Git")
    command.add_argument("--full", action="store_true", help="with runtime and config, even if Git names neither")
    command.add_argument("-m", "--message", help="message of the new row (default: it names the row it equals)")
    command.add_argument("--exit-code", action="store_true", help="exit with 3 if Git differs from what is live")
    parsing.output(command)


def run(context: CommandContext) -> int:
    from dynamiq_operator.actions.sync import plan_sync

    options = context.options
    plan = plan_sync(context.api, context.namespace, options.app, message=options.message, full=options.full)
    if not context.print_data(plan.as_json()):
        context.err.preview([*plan.sentences(), *_diff(plan)])
        if not plan.is_in_sync:
            context.out.write(output.as_manifests([*([plan.version] if plan.version is not None else []), plan.patch], []))
    return DIFFERS if options.exit_code and not plan.is_in_sync else 0


def _diff(plan: SyncPlan) -> list[str]:
    """Returns the diff from Git to what is live, as YAML."""
    if plan.is_in_sync:
        return []
    before = output.as_yaml({"deploy": dict(plan.git)}) if plan.git is not None else ""
    return ["", *flow_diff(before, output.as_yaml({"deploy": dict(plan.deploy)}), "spec of the App as Git has it", "as it is live"), ""]
