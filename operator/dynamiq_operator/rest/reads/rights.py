"""Finds what a caller may do, and which role allows it. The API server's own authorizer decides, in the caller's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dynamiq_operator.actions.rights import may
from dynamiq_operator.kube.resources import APPROVALS, APPS, PODS, REJECTIONS, ROWS, SECRETS, VERSIONS, ApiResource
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.parts.responses import RightResponse


@dataclass(frozen=True)
class Right:
    """One verb on one resource. `role`: the ClusterRole of manifests/rbac/users.yaml that has it."""

    verb: str
    resource: ApiResource
    role: str
    subresource: str = ""


CREATE_ROW = Right("create", ROWS, "dynamiq-deployer")
DEPLOY = Right("deploy", ROWS, "dynamiq-deployer")
APPROVE = Right("approve", ROWS, "dynamiq-approver")
BYPASS = Right("bypass", ROWS, "dynamiq-bypass")
CREATE_APPROVAL = Right("create", APPROVALS, "dynamiq-approver")
RESUME = Right("create", APPROVALS, "dynamiq-deployer")
REJECT = Right("create", REJECTIONS, "dynamiq-approver")
PROMOTE = Right("create", ROWS, "dynamiq-promoter")
PROMOTE_ROW = Right("deploy", ROWS, "dynamiq-promoter")
PROMOTE_APP = Right("create", APPS, "dynamiq-promoter")
PROMOTE_VERSION = Right("create", VERSIONS, "dynamiq-promoter")
CHANGE_APP = Right("patch", APPS, "dynamiq-edit")
CREATE_APP = Right("create", APPS, "dynamiq-edit")
DELETE_APP = Right("delete", APPS, "dynamiq-edit")
RELEASE = Right("create", VERSIONS, "dynamiq-edit")
READ_KEYS = Right("get", SECRETS, "dynamiq-keys")
WRITE_KEYS = Right("patch", SECRETS, "dynamiq-keys")
LIST_PODS = Right("list", PODS, "dynamiq-view")
READ_LOGS = Right("get", PODS, "dynamiq-deployer", "log")
LIST_RUNS = Right("list", APPS, "dynamiq-view", "runs")
READ_CONTENTS = Right("get", APPS, "dynamiq-deployer", "runcontents")
SCORE_RUNS = Right("update", APPS, "dynamiq-deployer", "runs")
ANSWER_RUNS = Right("update", APPS, "dynamiq-answerer", "runcontents")
DELETE_RUNS = Right("delete", APPS, "dynamiq-edit", "runs")


@dataclass(frozen=True)
class RequiredRight:
    """A right in a namespace, to one object of it if `name` is set. `where`: how the namespace is called, if not by its name."""

    right: Right
    namespace: str
    name: str = ""
    where: str = ""

    @property
    def question(self) -> tuple[str, ...]:
        """The request to the API server. It is the same for rights that differ only in the role."""
        right = self.right
        return right.verb, right.resource.group, right.resource.plural, right.subresource, self.namespace, self.name

    @property
    def needs(self) -> str:
        """The right in words, and the role that has it."""
        right = self.right
        group = f".{right.resource.group}" if right.resource.group else ""
        what = f"{right.resource.plural}{group}{f'/{right.subresource}' if right.subresource else ''}"
        named = f" named {self.name}" if self.name else ""
        return f"{right.verb} {what}{named} in {self.where or self.namespace}: the role {right.role} has it"


def evaluate(context: ApiContext, session: CallerSession, required: Iterable[RequiredRight]) -> dict[RequiredRight, bool]:
    """Returns which of the rights the caller has. Each is requested once. Raises errors.ApiError."""
    questions = {right: right.question for right in required}
    by_question = {question: right for right, question in questions.items()}
    answers = dict(zip(by_question, context.map_parallel(lambda right: _may(session, right), by_question.values()), strict=True))
    return {right: answers[question] for right, question in questions.items()}


def answer(is_allowed: bool, needs: str) -> RightResponse:
    """Returns a right as the contract has it."""
    return RightResponse(allowed=is_allowed, needs=None if is_allowed else needs)


def answer_all(required: Iterable[RequiredRight], allowed: Mapping[RequiredRight, bool]) -> RightResponse:
    """Returns several rights as one. If some are missing, it names the first."""
    lacking = next((right for right in required if not allowed[right]), None)
    return answer(lacking is None, lacking.needs if lacking is not None else "")


def _may(session: CallerSession, required: RequiredRight) -> bool:
    right = required.right
    return may(session.api, right.verb, right.resource, required.namespace, required.name, right.subresource)
