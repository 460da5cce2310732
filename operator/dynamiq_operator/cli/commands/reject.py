"""`reject`: rejects a waiting row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamiq_operator.cli import approvals, parsing
from dynamiq_operator.model.manifests import Purpose

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def add_arguments(command: parsing.Parser) -> None:
    approvals.add_arguments(
        command,
        "The row ends Failed, with your name and reason. You need the right to `approve`. To reject a version for good, under any name:"
        " `kubectl dynamiq reject-version`.",
        ("support -m 'Not before the fair'", "support 13 -m 'Not before the fair'"),
    )


def run(context: CommandContext) -> int:
    return approvals.create_approval(context, Purpose.REJECT)
