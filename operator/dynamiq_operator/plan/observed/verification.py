"""What is known of a verification: what the new pods have answered by now, and the Job that evaluates them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dynamiq_operator.desired.evaluation import CONTAINER
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest, parse_time
from dynamiq_operator.plan.observed.jobs import JOB_NAME_LABEL
from dynamiq_operator.plan.observed.pods import named


@dataclass(frozen=True)
class Reading:
    """Of the row of this uid, whose `pods`, by uid, are asked since that moment.

    `job`: uid of the Job that this operator made to evaluate them, empty before: whoever may make Jobs can give one any name, label and
    owner, and no uid. `waited`: seconds in which nothing was asked since others were, which count for nothing,
    and `waits_since` since when it is so again.
    `digest`: SHA-256 of the key with which they are asked, empty where that is not known yet; `lacks_key`: whether the Secret that is to
    have it is yet to be made. `known`: whether every pod has heard of that key. `passed`: cases that passed, as of some seconds ago, of those
    that are all asked when it is `done`, and `calls` that were made for them. `failure`: why it has failed, as a sentence; `problem`: what
    is in the way of an answer now.
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


@dataclass(frozen=True)
class EvaluationPod:
    """The pod of such a Job. `last_word`: its termination message, which of one that failed and wrote none is the end of its log;
    `waits`: for what it waits, in Kubernetes' words; `owner`: uid of the Job that owns it.
    """

    job: str
    exit_code: int | None = None
    last_word: str = ""
    waits: str = ""
    owner: str = ""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> EvaluationPod:
        status = raw.get("status") or {}
        state = (named(status.get("containerStatuses"), CONTAINER) or {}).get("state") or {}
        owners = raw["metadata"].get("ownerReferences") or ()
        ended, waiting = state.get("terminated") or {}, state.get("waiting") or {}
        return cls(
            job=(raw["metadata"].get("labels") or {}).get(JOB_NAME_LABEL, ""),
            exit_code=ended.get("exitCode"),
            last_word=ended.get("message") or "",
            waits=": ".join(filter(None, (waiting.get("reason"), waiting.get("message")))),
            owner=next((each.get("uid", "") for each in owners if each.get("controller")), ""),
        )


@dataclass(frozen=True)
class EvaluationJob:
    """A Job that evaluates the pods of the row of this uid. `failed`: why it has, in Kubernetes' words, empty where it has not."""

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
        meta, status = raw["metadata"], raw.get("status") or {}
        ends = {each["type"]: each for each in status.get("conditions") or () if each.get("status") == "True"}
        end = ends.get("Failed") or ends.get("Complete")
        failed = ends.get("Failed") or {}
        return cls(
            name=meta["name"],
            uid=meta.get("uid", ""),
            row=meta["labels"][names.VERIFICATION_LABEL],
            is_suspended=bool((raw.get("spec") or {}).get("suspend")),
            ended_at=parse_time(status.get("completionTime") or end["lastTransitionTime"]) if end else None,
            failed=(failed.get("reason") or "Failed") if failed else "",
            raw=raw,
            pod=pod,
        )
