"""`resume`: resumes what is on hold after a rollback or a freeze."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamiq_operator.cli import approvals, parsing
from dynamiq_operator.model.manifests import Purpose

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def add_arguments(command: parsing.Parser) -> None:
    approvals.add_arguments(
        command,
        "After a rollback, changes from Git are on hold: this deploys the row that waits, or lets Git deploy again. You need the right to"
        " `deploy`.",
        ("support", "support 14 -m 'The fix is in'"),
    )


def run(context: CommandContext) -> int:
    return approvals.create_approval(context, Purpose.RESUME)
