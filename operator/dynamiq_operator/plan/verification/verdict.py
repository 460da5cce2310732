"""Decides whether the candidate's pods have passed, have failed, or are still being verified. It sends no request."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dynamiq_operator.model.guards import Verified
from dynamiq_operator.model.objects import format_time
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.verification import EvaluationJob, Reading
from dynamiq_operator.plan.verification.asking import Asked, asked
from dynamiq_operator.plan.verification.last_word import MESSAGE_MAX, said_by
from dynamiq_operator.plan.verification.text import SHOWN, shown

TOLD_WITHIN = timedelta(seconds=5)
"""How long an ended Job may wait for its pod's message: the two are watched separately. A Job that was killed at its deadline never gets
one.
"""
WAITED_IN = 10
"""The steps in seconds by which the time limit moves while no request could be sent: each step is a write."""


@dataclass(frozen=True)
class Verdict:
    """The result of a verification so far. `message`: its progress, or why it failed. `passed`: what is written for a row that passed.

    `until`: when its time is over. `seconds`: since it began. `again`: seconds until time alone may change it.
    """

    message: str
    until: datetime
    seconds: float
    has_failed: bool = False
    passed: Verified | None = None
    again: float = 0.0


def verdict(context: Context) -> Verdict | None:
    """Returns the result of the candidate's verification; None if its pods are not verified now."""
    question, reading = asked(context), context.snapshot.verification
    if question is None:
        return None
    if reading is None or reading.row != question.row or reading.pods != question.uids:
        reading = Reading(
            question.row, question.uids, question.began or context.now
        )  # it begins now, or continues from an earlier operator
    until = reading.since + timedelta(seconds=question.verify.seconds + _uncounted(reading, context.now))
    seconds = max((context.now - reading.since).total_seconds(), 0.0)
    job, again = evaluation(context, question), until - context.now
    if job is not None and (silent := _silent_for(job, context.now)) > timedelta():
        job, again = replace(job, ended_at=None, failed=""), min(again, silent)
    failure = reading.failure or _failed_job(job)
    if not failure and _has_passed(question, reading, job):
        return Verdict("", until, seconds, passed=_verified(context, question, reading, job, seconds))
    if not failure and context.now >= until:
        failure = f"its verification took longer than {question.verify.seconds} s: {_missing(context, question, reading, job)}"
    if failure:
        return Verdict(failure[:1024], until, seconds, has_failed=True)
    return Verdict(_progress(question, reading, job), until, seconds, again=again.total_seconds())


def evaluation(context: Context, question: Asked) -> EvaluationJob | None:
    """Returns the Job that this operator made to evaluate these pods; None if there is none."""
    # Anyone who may create Jobs can use its name, so the uid decides.
    reading, job = context.snapshot.verification, of_name(context, question)
    is_made = job is not None and reading is not None and (reading.row, reading.pods, reading.job) == (question.row, question.uids, job.uid)
    return job if is_made and job is not None and job.uid else None


def of_name(context: Context, question: Asked) -> EvaluationJob | None:
    """Returns the Job with the name of the evaluation, whoever made it."""
    return next((each for each in context.snapshot.evaluations if each.name == question.job), None)


def may_start(question: Asked, reading: Reading) -> bool:
    """Returns True if the Job may start: the pods know its key, and have answered the cases."""
    # Cases come first: they cost less.
    return reading.known and (reading.done or not question.verify.cases)


def _has_passed(question: Asked, reading: Reading, job: EvaluationJob | None) -> bool:
    has_answered = reading.done or not question.verify.cases
    return has_answered and (question.verify.job is None or (job is not None and job.ended_at is not None and not job.failed))


def _verified(context: Context, question: Asked, reading: Reading, job: EvaluationJob | None, seconds: float) -> Verified:
    score, message = _score_and_message(job)
    return Verified(
        at=format_time(context.now),
        cases=len(question.verify.cases),
        calls=reading.calls,
        seconds=round(seconds, 1),
        score=score,
        message=message or None,
    )


def _silent_for(job: EvaluationJob, now: datetime) -> timedelta:
    """Returns how long to wait for the message of an ended Job's pod; zero or less if not."""
    if job.ended_at is None or (job.pod is not None and job.pod.exit_code is not None):
        return timedelta()
    return job.ended_at + TOLD_WITHIN - now


def _failed_job(job: EvaluationJob | None) -> str:
    if job is None or not job.failed:
        return ""
    code = f"exit code {job.pod.exit_code}" if job.pod is not None and job.pod.exit_code is not None else job.failed
    score, message = _score_and_message(job)
    scored = f", score {score:g}" if score is not None else ""
    return f"its evaluation failed with {code}{scored}{f': {shown(message)}' if message else ''}"


def _score_and_message(job: EvaluationJob | None) -> tuple[float | None, str]:
    score, message = said_by(job.pod.last_word if job is not None and job.pod is not None else "")
    return score, shown(message, MESSAGE_MAX)


def _uncounted(reading: Reading, now: datetime) -> int:
    """Returns the seconds in which no request could be sent, rounded up to steps, since each new time limit is a write."""
    waited = reading.waited + ((now - reading.waits_since).total_seconds() if reading.waits_since is not None else 0.0)
    return math.ceil(waited / WAITED_IN) * WAITED_IN if waited >= 1 else 0


def _progress(question: Asked, reading: Reading, job: EvaluationJob | None) -> str:
    cases = len(question.verify.cases)
    if cases and not reading.done:
        return f"{reading.passed} of {cases} cases passed"
    done = f"{cases} of {cases} cases passed, and " if cases else ""
    return f"{done}its evaluation {'is under way' if job is not None and not job.is_suspended else 'is about to begin'}"


def _missing(context: Context, question: Asked, reading: Reading, job: EvaluationJob | None) -> str:
    if reading.problem:
        return reading.problem
    if not reading.done and question.verify.cases:
        return f"{reading.passed} of {len(question.verify.cases)} cases had passed"
    if job is None and of_name(context, question) is not None:
        return f"delete Job {question.job}: it is not the one that the operator created"
    if job is None or job.is_suspended:
        return "its evaluation could not begin"
    waits = f": it waits for {shown(job.pod.waits, SHOWN)}" if job.pod is not None and job.pod.waits else ""
    return f"its evaluation, Job {job.name}, had not ended{waits}"
