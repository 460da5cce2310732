"""The state of a verification: the new pods' answers so far, and the Job that evaluates them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dynamiq_operator.desired.evaluation import CONTAINER
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.jobs import end_of_job
from dynamiq_operator.plan.observed.pods import named


@dataclass(frozen=True)
class VerificationProgress:
    """The answers of `pods`, by uid, of the row of this uid, which have been verified since `since`.

    - `job`: uid of the evaluation Job that this operator made; empty before. Other people's Jobs can have its name, labels and owner, but
      no chosen uid.
    - `waited`: seconds without requests in which other pods were verified; they do not count. `waits_since`: since when that is so again.
    - `digest`: SHA-256 of the key of the requests; empty if unknown.
    - `lacks_key`: True if the Secret for the key is still missing.
    - `known`: True if every pod knows the key.
    - `passed`: cases that passed, some seconds ago. `calls`: the calls made for them. `done`: True if every case was sent.
    - `failure`: why it failed, as a sentence. `problem`: what prevents an answer now.
    """

    row: str
    pods: frozenset[str]
    since: datetime
    job: str = ""
    waited: float = 0.0
    waits_since: datetime | None = None
    digest: str = ""
    lacks_key: bool = False
    known: bool = False
    passed: int = 0
    calls: int = 0
    done: bool = False
    failure: str = ""
    problem: str = ""

    def is_of(self, row: str, pods: frozenset[str]) -> bool:
        """Returns True if these pods of this row are verified, by uid."""
        return (self.row, self.pods) == (row, pods)


@dataclass(frozen=True)
class EvaluationPod:
    """The pod of an evaluation Job.

    - `message`: its termination message. A failed pod without one has the end of its log there.
    - `waits`: what it waits for, in Kubernetes' words.
    - `owner`: uid of the Job that owns it.
    """

    exit_code: int | None = None
    message: str = ""
    waits: str = ""
    owner: str = ""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> EvaluationPod:
        status = raw.get("status") or {}
        state = (named(status.get("containerStatuses"), CONTAINER) or {}).get("state") or {}
        owners = raw["metadata"].get("ownerReferences") or ()
        ended, waiting = state.get("terminated") or {}, state.get("waiting") or {}
        return cls(
            exit_code=ended.get("exitCode"),
            message=ended.get("message") or "",
            waits=": ".join(filter(None, (waiting.get("reason"), waiting.get("message")))),
            owner=next((each.get("uid", "") for each in owners if each.get("controller")), ""),
        )


@dataclass(frozen=True)
class EvaluationJob:
    """A Job that evaluates the pods of the row of this uid. `failed`: why it failed, in Kubernetes' words; empty if it did not."""

    name: str
    uid: str
    row: str
    is_suspended: bool
    ended_at: datetime | None
    failed: str
    raw: Manifest
    pod: EvaluationPod | None = None

    @classmethod
    def of(cls, raw: Manifest, pod: EvaluationPod | None = None) -> EvaluationJob:
        meta, (ended_at, failed) = raw["metadata"], end_of_job(raw.get("status") or {})
        return cls(
            name=meta["name"],
            uid=meta.get("uid", ""),
            row=meta["labels"][names.VERIFICATION_LABEL],
            is_suspended=bool((raw.get("spec") or {}).get("suspend")),
            ended_at=ended_at,
            failed=failed,
            raw=raw,
            pod=pod,
        )


@dataclass(frozen=True)
class ObservedVerification:
    """The verification of new pods before callers reach them."""

    progress: VerificationProgress | None = None
    """The answers so far of the pods that are verified now."""
    evaluations: tuple[EvaluationJob, ...] = ()
    """Jobs that evaluate those pods."""
