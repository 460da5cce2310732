"""Whether the candidate's pods have passed, have failed, or are still being asked."""

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
"""From the end of a Job until its pod has told how it ended: the two are watched apart. One that was killed at its deadline never does."""
WAITED_IN = 10
"""Seconds by which the end moves where nothing could be asked: each time it is written."""


@dataclass(frozen=True)
class Verdict:
    """`message`: how far it is, or why it has failed. `passed`: what is written of a row that has passed. `until`: when its time is over.

    `seconds`: since it began. `again`: those after which time alone may change it.
    """

    message: str
    until: datetime
    seconds: float
    has_failed: bool = False
    passed: Verified | None = None
    again: float = 0.0


def verdict(context: Context) -> Verdict | None:
    """Of the candidate; None where its pods are not asked now."""
    question, said = asked(context), context.snapshot.verification
    if question is None:
        return None
    if said is None or said.row != question.row or said.pods != question.uids:
        said = Reading(question.row, question.uids, question.began or context.now)  # it begins now, or goes on after another operator
    until = said.since + timedelta(seconds=question.verify.seconds + _uncounted(said, context.now))
    seconds = max((context.now - said.since).total_seconds(), 0.0)
    job, again = evaluation(context, question), until - context.now
    if job is not None and (silent := _silent_for(job, context.now)) > timedelta():
        job, again = replace(job, ended_at=None, failed=""), min(again, silent)
    failure = said.failure or _failed_job(job)
    if not failure and _has_passed(question, said, job):
        return Verdict("", until, seconds, passed=_verified(context, question, said, job, seconds))
    if not failure and context.now >= until:
        failure = f"its verification took longer than {question.verify.seconds} s: {_missing(context, question, said, job)}"
    if failure:
        return Verdict(failure[:1024], until, seconds, has_failed=True)
    return Verdict(_progress(question, said, job), until, seconds, again=again.total_seconds())


def evaluation(context: Context, question: Asked) -> EvaluationJob | None:
    """The Job that this operator made to evaluate these pods; another one of its name may say what it likes."""
    said, found = context.snapshot.verification, of_name(context, question)
    is_made = found is not None and said is not None and (said.row, said.pods, said.job) == (question.row, question.uids, found.uid)
    return found if is_made and found is not None and found.uid else None


def of_name(context: Context, question: Asked) -> EvaluationJob | None:
    """The Job of the name that such a Job has, whoever made it."""
    return next((each for each in context.snapshot.evaluations if each.name == question.job), None)


def may_start(question: Asked, said: Reading) -> bool:
    """Whether the Job may: once the pods know its key, and have answered the cases, which cost less."""
    return said.known and (said.done or not question.verify.cases)


def _has_passed(question: Asked, said: Reading, job: EvaluationJob | None) -> bool:
    has_answered = said.done or not question.verify.cases
    return has_answered and (question.verify.job is None or (job is not None and job.ended_at is not None and not job.failed))


def _verified(context: Context, question: Asked, said: Reading, job: EvaluationJob | None, seconds: float) -> Verified:
    score, message = _said_by(job)
    return Verified(
        at=format_time(context.now),
        cases=len(question.verify.cases),
        calls=said.calls,
        seconds=round(seconds, 1),
        score=score,
        message=message or None,
    )


def _silent_for(job: EvaluationJob, now: datetime) -> timedelta:
    """How long it is still waited for what the pod of a Job that has ended tells."""
    if job.ended_at is None or (job.pod is not None and job.pod.exit_code is not None):
        return timedelta()
    return job.ended_at + TOLD_WITHIN - now


def _failed_job(job: EvaluationJob | None) -> str:
    if job is None or not job.failed:
        return ""
    code = f"exit code {job.pod.exit_code}" if job.pod is not None and job.pod.exit_code is not None else job.failed
    score, message = _said_by(job)
    scored = f", score {score:g}" if score is not None else ""
    return f"its evaluation failed with {code}{scored}{f': {shown(message)}' if message else ''}"


def _said_by(job: EvaluationJob | None) -> tuple[float | None, str]:
    score, message = said_by(job.pod.last_word if job is not None and job.pod is not None else "")
    return score, shown(message, MESSAGE_MAX)


def _uncounted(said: Reading, now: datetime) -> int:
    """Of the seconds that were waited: in steps, since a new end is a write."""
    waited = said.waited + ((now - said.waits_since).total_seconds() if said.waits_since is not None else 0.0)
    return math.ceil(waited / WAITED_IN) * WAITED_IN if waited >= 1 else 0


def _progress(question: Asked, said: Reading, job: EvaluationJob | None) -> str:
    cases = len(question.verify.cases)
    if cases and not said.done:
        return f"{said.passed} of {cases} cases passed"
    done = f"{cases} of {cases} cases passed, and " if cases else ""
    return f"{done}its evaluation {'is under way' if job is not None and not job.is_suspended else 'is about to begin'}"


def _missing(context: Context, question: Asked, said: Reading, job: EvaluationJob | None) -> str:
    if said.problem:
        return said.problem
    if not said.done and question.verify.cases:
        return f"{said.passed} of {len(question.verify.cases)} cases had passed"
    if job is None and of_name(context, question) is not None:
        return f"Job {question.job} is there, and is not the one that the operator made: delete it"
    if job is None or job.is_suspended:
        return "its evaluation could not begin"
    waits = f": it waits for {shown(job.pod.waits, SHOWN)}" if job.pod is not None and job.pod.waits else ""
    return f"its evaluation, Job {job.name}, had not ended{waits}"
