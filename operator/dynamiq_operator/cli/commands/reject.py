"""`reject`: rejects a waiting row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamiq_operator.cli import words
from dynamiq_operator.model.approval import Purpose

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def run(context: CommandContext) -> int:
    return words.give(context, Purpose.REJECT)
