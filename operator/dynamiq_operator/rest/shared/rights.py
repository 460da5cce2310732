"""What a caller may do, and which role has it: asked of the API server's own authorizer, in the caller's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dynamiq_operator.actions.rights import may
from dynamiq_operator.kube.resources import APPROVALS, APPS, PODS, RECORDS, REJECTIONS, SECRETS, VERSIONS, ApiResource
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.shared.serialize import Data


@dataclass(frozen=True)
class Right:
    """One verb on one resource. `role`: the ClusterRole of manifests/rbac/users.yaml that has it."""

    verb: str
    resource: ApiResource
    role: str
    subresource: str = ""


CREATE_ROW = Right("create", RECORDS, "dynamiq-deployer")
DEPLOY = Right("deploy", RECORDS, "dynamiq-deployer")
APPROVE = Right("approve", RECORDS, "dynamiq-approver")
BYPASS = Right("bypass", RECORDS, "dynamiq-bypass")
CREATE_APPROVAL = Right("create", APPROVALS, "dynamiq-approver")
RESUME = Right("create", APPROVALS, "dynamiq-deployer")
REJECT = Right("create", REJECTIONS, "dynamiq-approver")
PROMOTE = Right("create", RECORDS, "dynamiq-promoter")
PROMOTE_ROW = Right("deploy", RECORDS, "dynamiq-promoter")
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
DELETE_RUNS = Right("delete", APPS, "dynamiq-edit", "runs")


@dataclass(frozen=True)
class Asked:
    """A right in a namespace, to one object of it where `name` is given. `where`: how the namespace is called, if not by its name."""

    right: Right
    namespace: str
    name: str = ""
    where: str = ""

    @property
    def question(self) -> tuple[str, ...]:
        """What the API server is asked: the same right is in several roles."""
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


def ask(context: ApiContext, session: CallerSession, asked: Iterable[Asked]) -> dict[Asked, bool]:
    """Which of the rights the caller has; each is asked for once. Raises errors.ApiError."""
    named = {one: one.question for one in asked}
    each = {question: one for one, question in named.items()}
    found = dict(zip(each, context.map_parallel(lambda one: _may(session, one), each.values()), strict=True))
    return {one: found[question] for one, question in named.items()}


def answer(is_allowed: bool, needs: str) -> Data:
    """A right as the contract has it."""
    return {"allowed": is_allowed, "needs": None if is_allowed else needs}


def answer_all(asked: Iterable[Asked], found: Mapping[Asked, bool]) -> Data:
    """What takes several rights: the first that the caller lacks is told."""
    lacking = next((one for one in asked if not found[one]), None)
    return answer(lacking is None, lacking.needs if lacking is not None else "")


def _may(session: CallerSession, asked: Asked) -> bool:
    right = asked.right
    return may(session.api, right.verb, right.resource, asked.namespace, asked.name, right.subresource)
