"""Reports deploys: each row whose deploy began in a period, and whether each of their histories verifies, over all its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dynamiq_operator.model.chain import Chain, Verdict
from dynamiq_operator.model.endings import live_reverts
from dynamiq_operator.model.manifests import Manifest, parse_time
from dynamiq_operator.views import audited
from dynamiq_operator.views.audited import COLUMNS, TABLE, AuditedRow, WentLive, live_until
from dynamiq_operator.views.sheets import Cell, csv_lines, escaped, markdown_table
from dynamiq_operator.views.verdict import sentence

NOT_ALL = "a digest that was noted elsewhere shows if the newest rows are complete: kubectl dynamiq verify --expect"


@dataclass(frozen=True)
class VerifiedHistory:
    """One App's history, and how all of its rows verified."""

    namespace: str
    app: str
    verdict: Verdict

    @property
    def fits(self) -> bool:
        return not self.verdict.misfits

    @property
    def says(self) -> str:
        """The result in a sentence."""
        return sentence(self.verdict)


@dataclass(frozen=True)
class Report:
    """A report of deploys.

    `since`, `until`: RFC 3339, None if unbounded; `until` is exclusive. `made`: when the rows were read. `rows`: in the order in which
    their deploys began.
    """

    since: str | None
    until: str | None
    made: str
    rows: tuple[AuditedRow, ...]
    histories: tuple[VerifiedHistory, ...]

    @property
    def fits(self) -> bool:
        """True if every history verifies, including those without a row in the period."""
        return all(each.fits for each in self.histories)

    @property
    def says(self) -> str:
        """The numbers and the result: `3 deploys of 2 Apps; 14 rows fit`."""
        apps = len({(each.namespace, each.row.app) for each in self.rows})
        deploys = f"{len(self.rows)} deploy{'s' if len(self.rows) != 1 else ''} of {apps} App{'s' if apps != 1 else ''}"
        wrong = sum(not each.fits for each in self.histories)
        if wrong:
            return f"{deploys}; {wrong} of {len(self.histories)} histories do{'es' if wrong == 1 else ''} not fit"
        count = sum(each.verdict.rows for each in self.histories)
        return f"{deploys}; {count} row{'s fit' if count != 1 else ' fits'}"

    @property
    def wrong(self) -> Iterator[str]:
        """The sentences about the misfits of all histories."""
        for history in self.histories:
            yield from (
                f"{history.namespace}/{history.app}: row {misfit.row} does not fit: {misfit.reason}" for misfit in history.verdict.misfits
            )


@dataclass
class _History:
    """The state of one App's history while rows are read."""

    chain: Chain = field(default_factory=Chain)
    went_live: list[WentLive] = field(default_factory=list)
    rows: list[AuditedRow] = field(default_factory=list)
    reverts: set[str] = field(default_factory=set)


class ReportBuilder:
    """A report in the making. It takes rows of any Apps in any order, and keeps little of those outside the period."""

    def __init__(self, since: str | None, until: str | None) -> None:
        self._since, self._until = since, until
        self._from = parse_time(since) if since is not None else None
        self._to = parse_time(until) if until is not None else None
        self._histories: dict[tuple[str, str], _History] = {}
        self.taken = 0
        """The number of rows in the report so far."""

    def add(self, raw: Manifest) -> None:
        """Adds a stored row."""
        spec = raw["spec"]
        history = self._histories.setdefault((raw["metadata"]["namespace"], spec["app"]), _History())
        history.chain.add(raw)
        if (went_live := WentLive.of(raw)) is not None:
            history.went_live.append(went_live)
            history.reverts |= live_reverts([raw])
        if self._takes(raw):
            history.rows.append(AuditedRow.of(raw))
            self.taken += 1

    def report(self, made: str) -> Report:
        """Returns the report of the rows that were added. `made`: when they were read, RFC 3339."""
        histories, rows = [], list[AuditedRow]()
        for (namespace, app), history in sorted(self._histories.items()):
            verdict = history.chain.verdict()
            histories.append(VerifiedHistory(namespace, app, verdict))
            misfits = {each.row: each.reason for each in reversed(verdict.misfits)}
            until = live_until(history.went_live)
            rows += [row.within(until, misfits.get(row.row.name), history.reverts) for row in history.rows]
        return Report(self._since, self._until, made, tuple(sorted(rows, key=_order)), tuple(histories))

    def _takes(self, raw: Manifest) -> bool:
        meta, pinned = raw["metadata"], raw["spec"].get("pinned") or {}
        began = parse_time(pinned.get("createdAt") or meta["creationTimestamp"])
        return (self._from is None or began >= self._from) and (self._to is None or began < self._to)


def as_data(report: Report) -> dict[str, Any]:
    """Returns the report as data, with names in camelCase."""
    return {
        "since": report.since,
        "until": report.until,
        "made": report.made,
        "fits": report.fits,
        "says": report.says,
        "deploys": [audited.as_data(row) for row in report.rows],
        "histories": [_history_as_data(each) for each in report.histories],
    }


def as_csv(report: Report) -> str:
    """Returns every column of every row as CSV. It does not show if a history without a row in the period verifies."""
    rows: list[list[Cell]] = [[column.cell(row) for column in COLUMNS] for row in report.rows]
    return csv_lines([[column.key for column in COLUMNS], *rows])


def as_markdown(report: Report) -> str:
    """Returns a document for people: the period, whether the histories verify, and the main columns and the digest of every row."""
    histories = [
        [f"{each.namespace}/{each.app}", each.verdict.rows, "yes" if each.fits else each.says, each.verdict.newest]
        for each in report.histories
    ]
    rows = [[*(column.cell(row) for column in TABLE), row.row.digest] for row in report.rows]
    lines = [
        "# Deploys",
        "",
        f"Begun {_span(report)}, as of {report.made}: {report.says}.",
        "",
        *markdown_table([*(column.title for column in TABLE), "DIGEST"], rows),
        "",
        "## Histories",
        "",
        f"Every digest was computed anew, over every row; {NOT_ALL}.",
        "",
        *markdown_table(["APP", "ROWS", "FITS", "NEWEST DIGEST"], histories),
        *(["", *(f"- {escaped(each)}" for each in report.wrong)] if not report.fits else []),
    ]
    return "".join(f"{line}\n" for line in lines)


def _span(report: Report) -> str:
    bounds = {"from": report.since, "before": report.until}
    return " and ".join(f"{word} {time}" for word, time in bounds.items() if time is not None) or "at any time"


def _history_as_data(history: VerifiedHistory) -> dict[str, Any]:
    verdict = history.verdict
    return {
        "namespace": history.namespace,
        "app": history.app,
        "rows": verdict.rows,
        "fits": history.fits,
        "says": history.says,
        "oldest": verdict.oldest,
        "newest": verdict.newest,
        "misfits": [{"row": misfit.row, "says": misfit.reason} for misfit in verdict.misfits],
    }


def _order(row: AuditedRow) -> tuple[datetime, str, str, int]:
    return parse_time(row.row.date or ""), row.namespace, row.row.app, row.row.sequence or 0
