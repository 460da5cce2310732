"""Reads the figures of rows' runs from the recorder, as columns of a history. A cluster without a recorder has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe
from dynamiq_operator.cli.recorder import RecorderClient, path_of
from dynamiq_operator.kube.errors import ApiError
from dynamiq_operator.model import ownership
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.views import runs as view
from dynamiq_operator.views.history import newest_first

AT_ONCE = 100
"""Rows in one request to the recorder."""
MOST = 500
"""Rows for which figures are read, the newest ones."""
NOTHING = (view.UNKNOWN,) * 5


@dataclass(frozen=True)
class RowFigures:
    """The figures of each row, by its uid."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("RUNS", "FAILED", "P95", "COST", "VERDICT")
    known: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, context: CommandContext, rows: Sequence[Manifest]) -> RowFigures:
        """Reads the figures of rows as the API server lists them. If that fails, one sentence on standard error gives the reason."""
        known: dict[str, list[str]] = {}
        recorder = RecorderClient(context)
        uids = [raw["metadata"]["uid"] for raw in newest_first(rows)][:MOST]
        try:
            recorder.reach()
            path = _path(context, recorder, rows) if uids else ""
            for at in range(0, len(uids), AT_ONCE):
                query = [("deployment_id", uid) for uid in uids[at : at + AT_ONCE]]
                known |= {each["deployment_id"]: _cells(each) for each in recorder.data(f"{path}/verdicts", query)}
        except (Refusal, ApiError) as error:
            context.err.lines([safe(f"run figures are not shown: {error}")])
        except (KeyError, TypeError):
            context.err.lines(["run figures are not shown: the recorder and this plugin have different versions"])
        return cls(known)

    def cells(self, uid: str) -> Sequence[str]:
        """Returns a row's values for COLUMNS."""
        return self.known.get(uid) or NOTHING


def _cells(row: view.Data) -> list[str]:
    figures = row["figures"]
    if not figures["runs"]:
        return ["0", *NOTHING[1:]]
    cost = view.dollars(figures["cost_usd"], figures["unpriced_calls"])
    return [str(figures["runs"]), str(figures["failed"]), view.milliseconds(figures["p95_ms"]), cost, view.verdict(row["verdict"])]


def _path(context: CommandContext, recorder: RecorderClient, rows: Sequence[Manifest]) -> str:
    """Returns the App's path at the recorder, from the uid of the rows' owner if a row has one."""
    uid = next(filter(None, map(ownership.app_uid, rows)), None)
    return path_of(uid) if uid is not None else recorder.app(context.options.app)
