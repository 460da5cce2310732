"""`approve`: approves a waiting row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamiq_operator.cli import approvals, parsing
from dynamiq_operator.model.manifests import Purpose

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def add_arguments(command: parsing.Parser) -> None:
    approvals.add_arguments(
        command,
        "It previews the row against what is live now, and asks. You need the right to `approve` (ClusterRole dynamiq-approver)."
        " Authors cannot approve their own rows. A policy says how many approvals are needed, and for how long each counts.",
        ("support", "support 13 -m 'Read the diff'", "support --preview", "support '#13' --yes"),
    )


def run(context: CommandContext) -> int:
    return approvals.create_approval(context, Purpose.APPROVE)
