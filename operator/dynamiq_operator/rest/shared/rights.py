"""What a caller may do, and which role has it: asked of the API server's own authorizer, in the caller's name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dynamiq_operator.actions.rights import may
from dynamiq_operator.kube.resources import APPS, PODS, RECORDS, SECRETS, VERSIONS, ApiResource
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


DEPLOY = Right("create", RECORDS, "dynamiq-deployer")
PROMOTE = Right("create", RECORDS, "dynamiq-promoter")
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
    def needs(self) -> str:
        """The right in words, and the role that has it."""
        right = self.right
        group = f".{right.resource.group}" if right.resource.group else ""
        what = f"{right.resource.plural}{group}{f'/{right.subresource}' if right.subresource else ''}"
        named = f" named {self.name}" if self.name else ""
        return f"{right.verb} {what}{named} in {self.where or self.namespace}: the role {right.role} has it"


def ask(context: ApiContext, session: CallerSession, asked: Iterable[Asked]) -> dict[Asked, bool]:
    """Which of the rights the caller has; each is asked for once. Raises errors.ApiError."""
    each = list(dict.fromkeys(asked))
    found = context.map_parallel(lambda one: _may(session, one), each)
    return dict(zip(each, found, strict=True))


def answer(is_allowed: bool, needs: str) -> Data:
    """A right as the contract has it."""
    return {"allowed": is_allowed, "needs": None if is_allowed else needs}


def _may(session: CallerSession, asked: Asked) -> bool:
    right = asked.right
    return may(session.api, right.verb, right.resource, asked.namespace, asked.name, right.subresource)
