"""`approve`: approves a waiting row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamiq_operator.cli import parsing, words
from dynamiq_operator.model.approval import Purpose

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def add_arguments(command: parsing.Parser) -> None:
    words.add_arguments(
        command,
        "It shows what the row would do, over what is live now, and asks. It takes the right to `approve` (the ClusterRole dynamiq-approver),"
        " and the author of a row is none of those who approve it. A policy says how many have to, and for how long an approval counts.",
        ("support", "support 13 -m 'Read the diff'", "support --preview", "support '#13' --yes"),
    )


def run(context: CommandContext) -> int:
    return words.give(context, Purpose.APPROVE)
