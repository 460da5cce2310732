"""Plans what a verification needs in the cluster: the note of its key on the new pods, and the evaluation Job with its key."""

from __future__ import annotations

from collections.abc import Iterator

from dynamiq_operator.desired.base import JOB, is_ending, is_owned
from dynamiq_operator.desired.drift import manifest_digest
from dynamiq_operator.desired.evaluation import evaluation_job
from dynamiq_operator.model import names
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.operations import AnnotatePod, CreateChild, CreateEvaluationKey, DeleteChild, Operation, StartEvaluation
from dynamiq_operator.plan.verification import result
from dynamiq_operator.plan.verification.requests import VerificationRequest, request_of


def verification_operations(context: Context) -> Iterator[Operation]:
    """Yields the operations that give the new pods their key, remove it from others, and run the evaluation."""
    request, progress = request_of(context), context.snapshot.verification.progress
    if request is not None and request.job:
        yield from _evaluate(context, request)
    digest = progress.digest if request is not None and progress is not None and progress.is_of(request.row, request.uids) else ""
    uids = request.uids if request is not None else frozenset[str]()
    for pod in context.snapshot.pods.observed:
        expected = digest if pod.uid in uids else ""
        if pod.verification != expected and not pod.deleting and (expected or pod.uid not in uids):
            yield AnnotatePod(context.app, pod.name, pod.uid, pod.version, names.VERIFICATION_ANNOTATION, expected or None)
    for job in context.snapshot.verification.evaluations:
        is_current = request is not None and job.name == request.job
        if not is_current and job.ended_at is None and is_owned(job.raw, context.app) and not is_ending(job.raw):
            yield DeleteChild(job.raw)  # an ended Job stays for its logs, until its time to live is over


def _evaluate(context: Context, request: VerificationRequest) -> Iterator[Operation]:
    observed = context.snapshot.verification
    progress, job = observed.progress, result.evaluation(observed, request)
    job_spec = request.verify.job
    # The Job is created suspended and starts once the pods know its key: its program never has to wait for that.
    if JOB.kind in context.snapshot.children.denied or job_spec is None:
        return
    other = result.of_name(observed, request) if job is None else None
    if other is not None:
        if is_owned(other.raw, context.app) and not is_ending(other.raw):
            yield DeleteChild(other.raw)  # of an earlier or an unknown creator: it is made anew
    elif job is None:
        manifest = evaluation_job(
            context.app, request.job, request.row, job_spec, request.verify.seconds, [pod.ip for pod in request.pods], request.port
        )
        digest = manifest_digest(manifest)
        if not context.snapshot.children.holds_back((JOB.kind, request.job), digest):
            yield CreateChild(context.app, manifest, digest)
    elif progress is not None and progress.row == request.row and not is_ending(job.raw):
        if progress.lacks_key:
            yield CreateEvaluationKey(context.app, job.name, job.uid)
        elif job.is_suspended and result.may_start(request, progress):
            yield StartEvaluation(job.raw)
