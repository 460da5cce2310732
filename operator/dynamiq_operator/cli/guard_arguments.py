"""The commands about waiting rows, rejected versions, suspension, and what would block a deploy."""

from __future__ import annotations

import argparse
from typing import Any

from dynamiq_operator.cli import parsing

KINDS = ("Deploy", "Promotion", "Rollback", "Git")
"""The values of `model.guards.RowKind`."""
ROW = "the row, by its sequence (13 or '#13') or its name (default: the one that waits)"
NO_OP = "exit codes: 0 done, or done already, 1 it failed or was refused, 2 wrong usage, or no terminal and no --yes, 130 interrupted"


def add(commands: Any) -> None:
    """Adds the commands to the parser."""
    _approval(
        commands,
        "approve",
        "agree to the deploy of a row that waits",
        "It shows what the row would do, over what is live now, and asks. It takes the right to `approve` (the ClusterRole dynamiq-approver),"
        " and the author of a row is none of those who approve it. A policy says how many have to, and for how long an approval counts.",
        ("support", "support 13 -m 'Read the diff'", "support --preview", "support '#13' --yes"),
    )
    _approval(
        commands,
        "resume",
        "let go on what is held after a rollback or a freeze",
        "What Git asks for waits after a rollback by hand: this deploys it, or, where nothing waits yet, lets Git deploy again. It takes the"
        " right to `deploy`.",
        ("support", "support 14 -m 'The fix is in'"),
    )
    _approval(
        commands,
        "reject",
        "refuse a row that waits: it is never deployed",
        "The row ends Failed, with who said so and why. It takes the right to `approve`. To refuse a version for good, under whatever name:"
        " `kubectl dynamiq reject-version`.",
        ("support -m 'Not before the fair'", "support 13 -m 'Not before the fair'"),
    )
    _approval(
        commands,
        "withdraw",
        "take a row of your own back that waits",
        "The row ends, and is not deployed. Whoever made it can withdraw it, and nobody else: others reject it.",
        ("support", "support 13 -m 'I have a better one'"),
    )
    _reject_version(commands)
    _suspend(commands)
    _policy(commands)


def add_rules(to: argparse.ArgumentParser) -> None:
    """Adds the options about guards that a deploy, a rollback and a promotion have."""
    to.add_argument(
        "--bypass",
        metavar="REASON",
        help="go past approvals, freezes, holds and rejections; it takes the right to bypass, and the reason stays in the history",
    )


def _approval(commands: Any, name: str, says: str, more: str, examples: tuple[str, ...]) -> None:
    made = parsing.command(commands, name, says, more, examples, NO_OP)
    parsing.app(made)
    made.add_argument("row", metavar="ROW", nargs="?", help=ROW)
    made.add_argument("-m", "--message", help="why: it stays beside the history")
    parsing.add_preview_flags(made)


def _reject_version(commands: Any) -> None:
    made = parsing.command(
        commands,
        "reject-version",
        "say that nobody is to deploy a version, or take that back",
        "It counts for the version's flow, under whatever name, in this namespace and in what is promoted from here: a WorkflowVersion that is"
        " deleted and made again is rejected as well. One that is gone is found by the rows that ran it. It takes the right to `approve`.",
        (
            "support v5 -m 'It loses invoices'",
            "support --row 12 -m 'It loses invoices'",
            "support v5 --withdraw -m 'It was the mail server'",
        ),
        NO_OP,
    )
    made.check = _wrong_of_version
    parsing.app(made)
    made.add_argument("workflow_version", metavar="VERSION", nargs="?", help="the version, such as v5")
    made.add_argument("--row", metavar="ROW", help="in place of VERSION, what this row ran, by its sequence or name")
    made.add_argument("--withdraw", action="store_true", help="take it back: the version may be deployed again")
    made.add_argument("-m", "--message", required=True, metavar="REASON", help="why: everybody who would deploy it is told")
    parsing.add_preview_flags(made)


def _suspend(commands: Any) -> None:
    made = parsing.command(
        commands,
        "suspend",
        "deploy nothing of an App until that is taken off",
        "No row is deployed, a bypass included: it waits. What runs goes on, and is kept in order. It takes the right to `deploy`, and to change"
        " the App.",
        ("support", "support --off", "support --preview"),
        NO_OP,
    )
    parsing.app(made)
    made.add_argument("--off", action="store_true", help="take the suspension off: what waits for that alone is deployed")
    parsing.add_preview_flags(made)


def _policy(commands: Any) -> None:
    made = parsing.command(
        commands,
        "policy",
        "say what would hold a deploy of an App now, and until when",
        "Of a deploy by hand, a promotion into it, a rollback, and what Git asks for; and what waits already. It takes the right to read the App,"
        " and none on policies.",
        ("check support", "check support --for Rollback", "check support -o json"),
        "exit codes: 0 nothing would hold it, 1 it failed or was refused, 2 wrong usage, 3 it would wait, 130 interrupted",
    )
    made.add_argument("action", choices=("check",), metavar="ACTION", help="check")
    parsing.app(made)
    made.add_argument(
        "--for",
        dest="kind",
        choices=KINDS,
        default=KINDS[0],
        metavar="KIND",
        help=f"what the exit code is about: {', '.join(KINDS)} (default: {KINDS[0]})",
    )
    parsing.output(made)


def _wrong_of_version(options: argparse.Namespace) -> str:
    if (options.workflow_version is None) is (options.row is None):
        return "name the version, such as v5, or by --row a row that ran it"
    return "say why: a reason is never empty" if not options.message.strip() else ""
