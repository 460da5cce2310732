"""`withdraw`: withdraws a waiting row of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamiq_operator.cli import approvals, parsing
from dynamiq_operator.model.manifests import Purpose

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def add_arguments(command: parsing.Parser) -> None:
    approvals.add_arguments(
        command,
        "The row ends, and is not deployed. Only its author can withdraw it; others reject it.",
        ("support", "support 13 -m 'I have a better one'"),
    )


def run(context: CommandContext) -> int:
    return approvals.create_approval(context, Purpose.WITHDRAW)
