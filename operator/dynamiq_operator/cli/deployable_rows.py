"""Whether each row of a history could be brought back now, as a column of its wide table and as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from dynamiq_operator.actions.deployable import deployables
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli.output import safe
from dynamiq_operator.kube.errors import ApiError
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.views.deployable import IN_ARCHIVE, Deployable
from dynamiq_operator.views.runs import UNKNOWN

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


@dataclass(frozen=True)
class DeployableRows:
    """By the name of a row."""

    COLUMN: ClassVar[str] = "DEPLOYABLE"
    known: Mapping[str, Deployable]

    @classmethod
    def of(cls, context: CommandContext, rows: Sequence[Manifest], archived: Iterable[Manifest] = ()) -> DeployableRows:
        """Of rows as the API server lists them, and of those that are in the archive alone. Where it cannot be told, one sentence on standard error
        says why.
        """
        of_archive = {row["metadata"]["name"]: IN_ARCHIVE for row in archived}
        try:
            return cls(of_archive | deployables(context.api, context.namespace, context.options.app, rows))
        except (Refusal, ApiError) as error:
            context.err.lines([safe(f"whether rows could be brought back is not known: {error}")])
            return cls({})

    def cell(self, row: str) -> str:
        found = self.known.get(row)
        return found.in_words if found is not None else UNKNOWN

    def data(self, row: str) -> dict[str, Any] | None:
        """All that is known of a row; None where nothing is."""
        found = self.known.get(row)
        return found.as_json() if found is not None else None
