"""What a verification makes in the cluster: the note of its key on the new pods, and the Job that evaluates them, with its key."""

from __future__ import annotations

from collections.abc import Iterator

from dynamiq_operator.desired.base import JOB, is_ending, is_owned
from dynamiq_operator.desired.drift import manifest_digest
from dynamiq_operator.desired.evaluation import evaluation_job
from dynamiq_operator.model import names
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.operations import AnnotatePod, CreateChild, CreateEvaluationKey, DeleteChild, Operation, StartEvaluation
from dynamiq_operator.plan.verification import verdict
from dynamiq_operator.plan.verification.asking import Asked, asked


def verification_operations(context: Context) -> Iterator[Operation]:
    """What lets the new pods be asked, and takes it away again from those that are not any more."""
    question, said = asked(context), context.snapshot.verification
    if question is not None and question.job:
        yield from _evaluate(context, question)
    digest = said.digest if question is not None and said is not None and said.pods == question.uids and said.row == question.row else ""
    uids = question.uids if question is not None else frozenset[str]()
    for pod in context.snapshot.pods:
        wanted = digest if pod.uid in uids else ""
        if pod.verification != wanted and not pod.deleting and (wanted or pod.uid not in uids):
            yield AnnotatePod(context.app, pod.name, pod.uid, pod.version, names.VERIFICATION_ANNOTATION, wanted or None)
    for job in context.snapshot.evaluations:
        is_wanted = question is not None and job.name == question.job
        if not is_wanted and job.ended_at is None and is_owned(job.raw, context.app) and not is_ending(job.raw):
            yield DeleteChild(job.raw)  # one that has ended stays for its logs, until its time is over


def _evaluate(context: Context, question: Asked) -> Iterator[Operation]:
    """The Job is made at once and begins once the pods know its key: so its program never has to wait for that."""
    said, job = context.snapshot.verification, verdict.evaluation(context, question)
    asked_job = question.verify.job
    if JOB.kind in context.snapshot.denied or asked_job is None:
        return
    other = verdict.of_name(context, question) if job is None else None
    if other is not None:
        if is_owned(other.raw, context.app) and not is_ending(other.raw):
            yield DeleteChild(other.raw)  # of an operator before this one, or of nobody who is known: it is made anew
    elif job is None:
        manifest = evaluation_job(
            context.app, question.job, question.row, asked_job, question.verify.seconds, [pod.ip for pod in question.pods], question.port
        )
        digest = manifest_digest(manifest)
        problem = context.snapshot.problems.get((JOB.kind, question.job))
        if problem is None or not problem.holds_back(digest):
            yield CreateChild(context.app, manifest, digest)
    elif said is not None and said.row == question.row and not is_ending(job.raw):
        if said.lacks_key:
            yield CreateEvaluationKey(context.app, job.name, job.uid)
        elif job.is_suspended and verdict.may_start(question, said):
            yield StartEvaluation(job.raw)
