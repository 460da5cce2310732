"""Reports what failed in a reconcile, for the App's status and for the log: once for each change, not for each pass. It retries nothing."""

from __future__ import annotations

import hashlib
import logging
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.controller.execute.executor import Failure
from dynamiq_operator.controller.telemetry.metrics import INTERNAL
from dynamiq_operator.kube import errors
from dynamiq_operator.plan.observed.problems import ReconcileFailure
from dynamiq_operator.plan.operations import CompleteRow, EndRow, OwnRow

REPORTED_AFTER = 3
"""Consecutive failed passes before the App reports an error that often passes by itself: a conflict, or no answer."""
MESSAGE_MAX = 400
"""Characters of the API server's message about one operation."""

log = logging.getLogger(__name__)


def of_operations(failures: Sequence[Failure], passes: int) -> ReconcileFailure | None:
    """Returns the failure of a plan; None if it is not to be reported yet. `passes`: failed passes in a row, with this one."""
    reported = [each for each in failures if not _is_problem_of_row(each) and (passes >= REPORTED_AFTER or not _may_pass(each.error))]
    if not reported:
        return None
    cause = next((reason(each.error) for each in reported if not isinstance(each.error, errors.ApiError)), reason(reported[0].error))
    return ReconcileFailure(cause, "; ".join(f"{failure.group}: {_message(failure.error)}" for failure in reported) + ": tried again")


def of_pass(error: Exception, passes: int) -> ReconcileFailure | None:
    """Returns the failure of a pass that ended before its plan was executed; None if it is not to be reported yet."""
    if passes < REPORTED_AFTER and _may_pass(error):
        return None
    return ReconcileFailure(reason(error), f"the App could not be reconciled, and is tried again: {_message(error)}")


def reference(error: BaseException) -> str:
    """Returns a reference to the code where an error arose: the same for the same bug, however often it recurs."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.lineno}:{frame.name}" for frame in frames]
    return hashlib.sha256("/".join([type(error).__name__, *places]).encode()).hexdigest()[:8]


def log_failures(app: AppKey, exceptions: Iterable[Exception]) -> None:
    """Logs each error in a line, and a bug of ours with its stack trace."""
    for error in exceptions:
        match error:
            case errors.Conflict():
                log.info("App %s/%s: another manager wrote an object meanwhile: %s; requeued", *app, error)
            case errors.ApiError():
                log.warning("App %s/%s: %s; requeued", *app, error)
            case _:
                log.error("App %s/%s could not be reconciled; requeued (reference %s)", *app, reference(error), exc_info=error)


def _is_problem_of_row(failure: Failure) -> bool:
    """Returns True if the failure is kept as the problem of a row, which plans report while it lasts."""
    is_of_row = isinstance(failure.operation, CompleteRow | EndRow | OwnRow)
    return is_of_row and isinstance(failure.error, errors.Invalid | errors.Denied)


def _may_pass(error: Exception) -> bool:
    return isinstance(error, errors.Conflict | errors.Unavailable | errors.NotFound | errors.AlreadyExists)


def reason(error: Exception) -> str:
    """Returns the name of an error of the API server; `INTERNAL` for any other."""
    return type(error).__name__ if isinstance(error, errors.ApiError) else INTERNAL


def _message(error: Exception) -> str:
    if isinstance(error, errors.ApiError):
        return str(error)[:MESSAGE_MAX]
    return f"search reference {reference(error)} in the operator's log: {type(error).__name__} is an error in the operator"
