"""Evaluates which rows of a history can be rolled back to now, for a column of the wide table and as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from dynamiq_operator.actions.deployable import deployables
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe
from dynamiq_operator.kube.errors import ApiError
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.views.deployable import IN_ARCHIVE, Deployable
from dynamiq_operator.views.runs import UNKNOWN


@dataclass(frozen=True)
class DeployableRows:
    """The result for each row, by its name."""

    COLUMN: ClassVar[str] = "DEPLOYABLE"
    known: Mapping[str, Deployable]

    @classmethod
    def of(cls, context: CommandContext, rows: Sequence[Manifest], archived: Iterable[Manifest] = ()) -> DeployableRows:
        """Evaluates rows as the API server lists them, and rows that only the archive has.

        If that fails, one sentence on standard error gives the reason.
        """
        of_archive = {row["metadata"]["name"]: IN_ARCHIVE for row in archived}
        try:
            return cls(of_archive | deployables(context.api, context.namespace, context.options.app, rows))
        except (Refusal, ApiError) as error:
            context.err.lines([safe(f"DEPLOYABLE is unknown: {error}")])
            return cls({})

    def cell(self, row: str) -> str:
        deployable = self.known.get(row)
        return deployable.in_words if deployable is not None else UNKNOWN

    def data(self, row: str) -> dict[str, Any] | None:
        """Returns all that is known of a row; None if nothing is."""
        deployable = self.known.get(row)
        return deployable.as_json() if deployable is not None else None
