"""Plans what a verification needs in the cluster: the note of its key on the new pods, and the evaluation Job with its key."""

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
    """Yields the operations that give the new pods their key, remove it from others, and run the evaluation."""
    question, reading = asked(context), context.snapshot.verification.reading
    if question is not None and question.job:
        yield from _evaluate(context, question)
    digest = (
        reading.digest
        if question is not None and reading is not None and reading.pods == question.uids and reading.row == question.row
        else ""
    )
    uids = question.uids if question is not None else frozenset[str]()
    for pod in context.snapshot.pods.observed:
        expected = digest if pod.uid in uids else ""
        if pod.verification != expected and not pod.deleting and (expected or pod.uid not in uids):
            yield AnnotatePod(context.app, pod.name, pod.uid, pod.version, names.VERIFICATION_ANNOTATION, expected or None)
    for job in context.snapshot.verification.evaluations:
        is_current = question is not None and job.name == question.job
        if not is_current and job.ended_at is None and is_owned(job.raw, context.app) and not is_ending(job.raw):
            yield DeleteChild(job.raw)  # an ended Job stays for its logs, until its time to live is over


def _evaluate(context: Context, question: Asked) -> Iterator[Operation]:
    """Yields the operations of the evaluation Job."""
    observed = context.snapshot.verification
    reading, job = observed.reading, verdict.evaluation(observed, question)
    job_spec = question.verify.job
    # The Job is created suspended and starts once the pods know its key: its program never has to wait for that.
    if JOB.kind in context.snapshot.children.denied or job_spec is None:
        return
    other = verdict.of_name(observed, question) if job is None else None
    if other is not None:
        if is_owned(other.raw, context.app) and not is_ending(other.raw):
            yield DeleteChild(other.raw)  # of an earlier or an unknown creator: it is made anew
    elif job is None:
        manifest = evaluation_job(
            context.app, question.job, question.row, job_spec, question.verify.seconds, [pod.ip for pod in question.pods], question.port
        )
        digest = manifest_digest(manifest)
        problem = context.snapshot.children.problems.get((JOB.kind, question.job))
        if problem is None or not problem.holds_back(digest):
            yield CreateChild(context.app, manifest, digest)
    elif reading is not None and reading.row == question.row and not is_ending(job.raw):
        if reading.lacks_key:
            yield CreateEvaluationKey(context.app, job.name, job.uid)
        elif job.is_suspended and verdict.may_start(question, reading):
            yield StartEvaluation(job.raw)
