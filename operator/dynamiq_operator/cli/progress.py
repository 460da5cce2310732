"""Following a rollout on standard error: one line that is rewritten on a terminal, one line for each change otherwise."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dynamiq_operator.actions.follow import Progress, follow
from dynamiq_operator.cli import output
from dynamiq_operator.cli.output import Screen, safe
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model.record import Phase
from dynamiq_operator.views.columns import as_data
from dynamiq_operator.views.history import HistoryRow, duration_in_words, title

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext

ERASE = "\r\x1b[K"


def followed(context: CommandContext, namespace: str, name: str, app: str) -> int:
    """Follows a row until it has ended, and says how; returns the exit code. Raises Refusal and ApiError."""
    began = time.monotonic()
    line = _Line(context.err)
    done = False
    try:
        for progress in follow(context.api, namespace, name, app=app):
            passed = time.monotonic() - began
            done = progress.is_done
            line.show(said(progress), passed)
            if not done and passed > context.options.timeout:
                break
    except KeyboardInterrupt:
        line.end()
        context.err.lines([f"interrupted: the deploy of {name} goes on; see `kubectl dynamiq status {app} -n {namespace}`"])
        return 130
    finally:
        line.end()
    row = HistoryRow.of(requests.get(context.api, RECORDS, namespace, name))
    if not done:
        return _late(context, namespace, row)
    return _ended(context, row, time.monotonic() - began)


def said(progress: Progress) -> str:
    """Where a rollout is, in one line."""
    parts = [progress.phase]
    if (pods := progress.pods) is not None:
        parts.append(f"pods: {pods.new} new, {pods.old} old, {pods.ready} of {pods.wanted} ready")
    if progress.message and not progress.is_done:
        parts.append(progress.message)
    return ", ".join(parts)


def _ended(context: CommandContext, row: HistoryRow, passed: float) -> int:
    if row.reason is None and row.status in (Phase.LIVE, Phase.SUPERSEDED):
        if context.options.output is None:
            context.out.lines(
                [f"{safe(row.app)}: {safe(title(row))} is {context.out.status(Phase.LIVE)} after {duration_in_words(passed)}"]
            )
        else:
            context.out.lines([output.formatted(as_data(row), context.options.output)])
        return 0
    if context.options.output is not None:
        context.out.lines([output.formatted(as_data(row), context.options.output)])
    how = "Failed" if row.status == Phase.FAILED else "was not deployed"
    context.err.lines([f"error: {safe(row.app)}: {safe(title(row))} {how}: {safe(row.reason or 'it did not say why')}"])
    return 1


def _late(context: CommandContext, namespace: str, row: HistoryRow) -> int:
    waited = duration_in_words(context.options.timeout)
    if row.sequence is None:
        why = "no operator has looked at it yet: see `kubectl get pods -n dynamiq-system`"
    else:
        why = f"it goes on; see `kubectl dynamiq status {row.app} -n {namespace}`"
    context.err.lines([f"error: {safe(title(row))} is still {safe(row.status)} after {waited}: {why}"])
    return 1


class _Line:
    """The line of progress."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._last = ""

    def show(self, text: str, passed: float) -> None:
        shown = safe(text)
        if self._screen.is_terminal:
            self._screen.write(f"{ERASE}{self._fitting(f'{shown}, {duration_in_words(passed)}')}")
        elif shown != self._last:
            self._screen.lines([shown])
        self._last = shown

    def end(self) -> None:
        """Leaves no line behind on a terminal."""
        if self._screen.is_terminal and self._last:
            self._screen.write(ERASE)
        self._last = ""

    def _fitting(self, text: str) -> str:
        """What does not fit would begin a second line, and only the last one can be erased."""
        return output.cut(text, self._screen.width - 1) if self._screen.width else text
