"""Decides whether the candidate's pods have passed, have failed, or are still being verified. It sends no request."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dynamiq_operator.model.guards import Verified
from dynamiq_operator.model.objects import format_time
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.verification import EvaluationJob, ObservedVerification, VerificationProgress
from dynamiq_operator.plan.verification.requests import VerificationRequest, request_of
from dynamiq_operator.plan.verification.termination_message import MESSAGE_MAX, score_and_message
from dynamiq_operator.plan.verification.text import SHOWN, shown

MESSAGE_WITHIN = timedelta(seconds=5)
"""How long an ended Job may wait for its pod's message: the two are watched separately. A Job that was killed at its deadline never gets
one.
"""
WAITED_IN = 10
"""The steps in seconds by which the time limit moves while no request could be sent: each step is a write."""


@dataclass(frozen=True)
class VerificationResult:
    """The result of a verification so far. `message`: its progress, or why it failed. `passed`: what is written for a row that passed.

    `until`: when its time is over. `seconds`: since it began. `again`: seconds until time alone may change it.
    """

    message: str
    until: datetime
    seconds: float
    has_failed: bool = False
    passed: Verified | None = None
    again: float = 0.0


def result_of(context: Context) -> VerificationResult | None:
    """Returns the result of the candidate's verification; None if its pods are not verified now."""
    request, observed = request_of(context), context.snapshot.verification
    if request is None:
        return None
    progress = observed.progress
    if progress is None or not progress.is_of(request.row, request.uids):
        # It begins now, or continues from an earlier operator.
        progress = VerificationProgress(request.row, request.uids, request.began or context.snapshot.now)
    until = progress.since + timedelta(seconds=request.verify.seconds + _uncounted(progress, context.snapshot.now))
    seconds = max((context.snapshot.now - progress.since).total_seconds(), 0.0)
    job, again = evaluation(observed, request), until - context.snapshot.now
    if job is not None and (silent := _silent_for(job, context.snapshot.now)) > timedelta():
        job, again = replace(job, ended_at=None, failed=""), min(again, silent)
    failure = progress.failure or _failed_job(job)
    if not failure and _has_passed(request, progress, job):
        return VerificationResult("", until, seconds, passed=_verified(context.snapshot.now, request, progress, job, seconds))
    if not failure and context.snapshot.now >= until:
        failure = f"its verification took longer than {request.verify.seconds} s: {_missing(observed, request, progress, job)}"
    if failure:
        return VerificationResult(failure[:1024], until, seconds, has_failed=True)
    return VerificationResult(_progress(request, progress, job), until, seconds, again=again.total_seconds())


def evaluation(observed: ObservedVerification, request: VerificationRequest) -> EvaluationJob | None:
    """Returns the Job that this operator made to evaluate these pods; None if there is none."""
    # Anyone who may create Jobs can use its name, so the uid decides.
    progress, job = observed.progress, of_name(observed, request)
    if job is None or progress is None or not job.uid:
        return None
    return job if progress.is_of(request.row, request.uids) and progress.job == job.uid else None


def of_name(observed: ObservedVerification, request: VerificationRequest) -> EvaluationJob | None:
    """Returns the Job with the name of the evaluation, whoever made it."""
    return next((each for each in observed.evaluations if each.name == request.job), None)


def may_start(request: VerificationRequest, progress: VerificationProgress) -> bool:
    """Returns True if the Job may start: the pods know its key, and have answered the cases."""
    # Cases come first: they cost less.
    return progress.known and (progress.done or not request.verify.cases)


def _has_passed(request: VerificationRequest, progress: VerificationProgress, job: EvaluationJob | None) -> bool:
    has_answered = progress.done or not request.verify.cases
    return has_answered and (request.verify.job is None or (job is not None and job.ended_at is not None and not job.failed))


def _verified(
    now: datetime, request: VerificationRequest, progress: VerificationProgress, job: EvaluationJob | None, seconds: float
) -> Verified:
    score, message = _score_and_message(job)
    return Verified(
        at=format_time(now),
        cases=len(request.verify.cases),
        calls=progress.calls,
        seconds=round(seconds, 1),
        score=score,
        message=message or None,
    )


def _silent_for(job: EvaluationJob, now: datetime) -> timedelta:
    """Returns how long to wait for the message of an ended Job's pod; zero or less if not."""
    if job.ended_at is None or (job.pod is not None and job.pod.exit_code is not None):
        return timedelta()
    return job.ended_at + MESSAGE_WITHIN - now


def _failed_job(job: EvaluationJob | None) -> str:
    if job is None or not job.failed:
        return ""
    code = f"exit code {job.pod.exit_code}" if job.pod is not None and job.pod.exit_code is not None else job.failed
    score, message = _score_and_message(job)
    scored = f", score {score:g}" if score is not None else ""
    return f"its evaluation failed with {code}{scored}{f': {shown(message)}' if message else ''}"


def _score_and_message(job: EvaluationJob | None) -> tuple[float | None, str]:
    score, message = score_and_message(job.pod.message if job is not None and job.pod is not None else "")
    return score, shown(message, MESSAGE_MAX)


def _uncounted(progress: VerificationProgress, now: datetime) -> int:
    """Returns the seconds in which no request could be sent, rounded up to steps, since each new time limit is a write."""
    waited = progress.waited + ((now - progress.waits_since).total_seconds() if progress.waits_since is not None else 0.0)
    return math.ceil(waited / WAITED_IN) * WAITED_IN if waited >= 1 else 0


def _progress(request: VerificationRequest, progress: VerificationProgress, job: EvaluationJob | None) -> str:
    cases = len(request.verify.cases)
    if cases and not progress.done:
        return f"{progress.passed} of {cases} cases passed"
    done = f"{cases} of {cases} cases passed, and " if cases else ""
    return f"{done}its evaluation {'is under way' if job is not None and not job.is_suspended else 'is about to begin'}"


def _missing(
    observed: ObservedVerification, request: VerificationRequest, progress: VerificationProgress, job: EvaluationJob | None
) -> str:
    if progress.problem:
        return progress.problem
    if not progress.done and request.verify.cases:
        return f"{progress.passed} of {len(request.verify.cases)} cases had passed"
    if job is None and of_name(observed, request) is not None:
        return f"delete Job {request.job}: it is not the one that the operator created"
    if job is None or job.is_suspended:
        return "its evaluation could not begin"
    waits = f": it waits for {shown(job.pod.waits, SHOWN)}" if job.pod is not None and job.pod.waits else ""
    return f"its evaluation, Job {job.name}, had not ended{waits}"
