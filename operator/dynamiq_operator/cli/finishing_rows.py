"""Reads which rows have open background runs and conversations from the App's status, for a column of the wide history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.actions.running import app_manifest
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.kube.errors import ApiError
from dynamiq_operator.views.background_runs import open_in_words


@dataclass(frozen=True)
class FinishingRows:
    """Open runs and conversations of earlier versions in words, by the rows' names. The table has the column only if there are some."""

    COLUMN: ClassVar[str] = "FINISHING"
    known: Mapping[str, str]

    @classmethod
    def of(cls, context: CommandContext) -> FinishingRows:
        """Reads the App. An App that was deleted, or cannot be read, has none."""
        try:
            status = app_manifest(context.api, context.namespace, context.options.app).get("status") or {}
        except (Refusal, ApiError):
            return cls({})
        return cls({each["row"]: open_in_words(each) for each in status.get("finishing") or ()})

    @property
    def columns(self) -> list[str]:
        return [self.COLUMN] if self.known else []

    def cells(self, row: str) -> list[str]:
        """Returns a row's values for `columns`."""
        return [self.known.get(row, "")] if self.known else []
