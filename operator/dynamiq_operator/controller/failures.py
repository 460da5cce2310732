"""What failed in a reconcile, as its App says it and as the log says it: once for each change, and not for each pass."""

from __future__ import annotations

import hashlib
import logging
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from dynamiq_operator.controller.cache import AppKey
from dynamiq_operator.controller.execute.executor import Failure
from dynamiq_operator.controller.metrics import INTERNAL
from dynamiq_operator.kube import errors
from dynamiq_operator.plan.observed.problems import ReconcileFailure
from dynamiq_operator.plan.operations import CompleteRecord, EndRecord, OwnRecord

TOLD_AFTER = 3
"""Consecutive passes that fail for something that often passes by itself, a conflict or no answer, before the App says so."""
SAID_MAX = 400
"""Characters of what the API server said of one operation."""

log = logging.getLogger(__name__)


def of_operations(failures: Sequence[Failure], passes: int) -> ReconcileFailure | None:
    """What failed of a plan; None while it is nothing to tell anybody. `passes`: how many have failed in a row, with this one."""
    told = [each for each in failures if not _is_problem_of_row(each) and (passes >= TOLD_AFTER or not _may_pass(each.error))]
    if not told:
        return None
    found = next((reason(each.error) for each in told if not isinstance(each.error, errors.ApiError)), reason(told[0].error))
    return ReconcileFailure(found, "; ".join(f"{failure.group}: {_said(failure.error)}" for failure in told) + ": tried again")


def of_pass(error: Exception, passes: int) -> ReconcileFailure | None:
    """The same of an error that ended a pass before its plan was carried out."""
    if passes < TOLD_AFTER and _may_pass(error):
        return None
    return ReconcileFailure(reason(error), f"the App could not be reconciled: {_said(error)}: tried again")


def reference(error: BaseException) -> str:
    """Identifies where in the program an error arose: the same for the same bug, however often it comes back."""
    frames = traceback.extract_tb(error.__traceback__)
    told = [f"{Path(frame.filename).name}:{frame.lineno}:{frame.name}" for frame in frames]
    return hashlib.sha256("/".join([type(error).__name__, *told]).encode()).hexdigest()[:8]


def log_failures(app: AppKey, found: Iterable[Exception]) -> None:
    """A line for each error, and a stack trace of what is a bug of ours."""
    for error in found:
        match error:
            case errors.Conflict():
                log.info("App %s/%s: another manager wrote an object meanwhile: %s; requeued", *app, error)
            case errors.ApiError():
                log.warning("App %s/%s: %s; requeued", *app, error)
            case _:
                log.error("App %s/%s could not be reconciled; requeued (reference %s)", *app, reference(error), exc_info=error)


def _is_problem_of_row(failure: Failure) -> bool:
    """Whether it is kept as the problem of a row, which plans tell of for as long as it is one."""
    is_of_row = isinstance(failure.operation, CompleteRecord | EndRecord | OwnRecord)
    return is_of_row and isinstance(failure.error, errors.Invalid | errors.Denied)


def _may_pass(error: Exception) -> bool:
    return isinstance(error, errors.Conflict | errors.Unavailable | errors.NotFound | errors.AlreadyExists)


def reason(error: Exception) -> str:
    """The name of an error of the API server; of any other, that it is one of ours."""
    return type(error).__name__ if isinstance(error, errors.ApiError) else INTERNAL


def _said(error: Exception) -> str:
    if isinstance(error, errors.ApiError):
        return str(error)[:SAID_MAX]
    return f"an error in the operator, {type(error).__name__}: look for reference {reference(error)} in its log"
