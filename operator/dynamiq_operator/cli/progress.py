"""Follows a rollout on standard error: on a terminal one line that is rewritten, otherwise a line for each change."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dynamiq_operator.cli import output
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import Screen, safe
from dynamiq_operator.kube.errors import ApiError
from dynamiq_operator.model import names
from dynamiq_operator.model.manifests import Phase
from dynamiq_operator.model.needs import asks_somebody
from dynamiq_operator.views.columns import as_data
from dynamiq_operator.views.history import HistoryRow, duration_in_words, title

if TYPE_CHECKING:
    from dynamiq_operator.actions.follow import Progress

UNDER_WAY = 3
"""Exit code: the deploy waits, or was still under way at the timeout."""
ERASE = "\r\x1b[K"


def followed(context: CommandContext, namespace: str, name: str, app: str) -> int:
    """Follows a row until it ends, and prints the result; returns the exit code. Raises Refusal and ApiError."""
    from dynamiq_operator.actions.follow import follow

    began = time.monotonic()
    line = _ProgressLine(context.err)
    try:
        for progress in follow(context.api, namespace, name, app=app):
            elapsed = time.monotonic() - began
            line.show(in_words(progress), elapsed)
            context.api.patience.heard()
            if progress.waits is not None and not context.options.wait:
                break
            if not progress.is_done and elapsed > context.options.timeout:
                break
    except KeyboardInterrupt:
        line.end()
        context.err.lines([f"interrupted: the deploy of {name} continues; see {context.see(app, namespace)}"])
        return 130
    except ApiError:
        line.end()
        context.err.lines([f"the deploy of {name} continues; see {context.see(app, namespace)}"])
        raise
    finally:
        line.end()
    row = HistoryRow.of(progress.row)
    if not progress.is_done and row.waits is None:
        return _report_timeout(context, namespace, row)
    context.print_data(as_data(row), [output.named("Deployment", row.name)])
    if not progress.is_done:
        return _report_waiting(context, namespace, row)
    return _report_end(context, row, elapsed)


def in_words(progress: Progress) -> str:
    """Returns the state of a rollout in one line."""
    parts = [progress.phase]
    if (pods := progress.pods) is not None:
        parts.append(f"pods: {pods.new} new, {pods.old} old, {pods.ready} of {pods.wanted} ready")
    if progress.waits is not None:
        parts.append(f"waits: {progress.waits}")
    elif progress.message and not progress.is_done:
        parts.append(progress.message)
    return ", ".join(parts)


def _report_end(context: CommandContext, row: HistoryRow, elapsed: float) -> int:
    if row.reason is None and row.status in (Phase.LIVE, Phase.SUPERSEDED):
        if context.options.output is None:
            context.out.lines(
                [f"{safe(row.app)}: {safe(title(row))} is {context.out.status(Phase.LIVE)} after {duration_in_words(elapsed)}"]
            )
        return 0
    ended = "Failed" if row.status == Phase.FAILED else "was not deployed"
    context.err.lines([f"error: {safe(row.app)}: {safe(title(row))} {ended}: {safe(row.reason or 'it gave no reason')}"])
    return 1


def _report_waiting(context: CommandContext, namespace: str, row: HistoryRow) -> int:
    """Reports a waiting row, which is no failure: it goes on once nothing blocks it. Returns UNDER_WAY."""
    lines = [
        f"{row.app}: {title(row)} waits: {row.waits}",
        f"{'it continues after that' if asks_somebody(row.waits or '') else 'nobody has to act'}; see {context.see(row.app, namespace)}",
    ]
    (context.out if context.options.output is None else context.err).lines(safe(line) for line in lines)
    return UNDER_WAY


def _report_timeout(context: CommandContext, namespace: str, row: HistoryRow) -> int:
    waited = duration_in_words(context.options.timeout)
    if row.sequence is None:
        why = f"no operator has processed it yet: see `kubectl get pods -A -l app.kubernetes.io/name={names.FIELD_MANAGER}`"
    else:
        why = f"it continues; see {context.see(row.app, namespace)}"
    context.err.lines([f"error: {safe(title(row))} is still {safe(row.status)} after {waited}: {why}"])
    return UNDER_WAY


class _ProgressLine:
    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._last = ""

    def show(self, text: str, elapsed: float) -> None:
        shown = safe(text)
        if self._screen.is_terminal:
            self._screen.write(f"{ERASE}{self._fitting(f'{shown}, {duration_in_words(elapsed)}')}")
        elif shown != self._last:
            self._screen.lines([shown])
        self._last = shown

    def end(self) -> None:
        """Erases the line on a terminal."""
        if self._screen.is_terminal and self._last:
            self._screen.write(ERASE)
        self._last = ""

    def _fitting(self, text: str) -> str:
        """Returns the text shortened to one line: only one line can be erased."""
        return output.truncate(text, self._screen.width - 1) if self._screen.width else text
