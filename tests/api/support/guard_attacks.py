"""Draws random requests that would bypass guards. Each is sent by somebody who lacks one right, or is forbidden for everybody.

Rita has every RBAC verb on our kinds in her namespace except `deploy`, `approve` and `bypass`: only admission stops her. An attack that
fails for a missing right alone would succeed for an administrator: this shows that the request is well formed.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dynamiq_operator.model import names
from dynamiq_operator.model.base import GROUP
from dynamiq_operator.model.kinds import KINDS
from tests.api.support.schema.frozen import ASKED, COMPLETED
from tests.support import rest
from tests.support.admission import ADMIN, ADMINS, NOBODY, RESTORERS, RESTORING, made
from tests.support.api import Answer, Api, Manifest, path
from tests.support.factories import (
    app_change_manifest,
    app_manifest,
    approval_manifest,
    in_namespace,
    policy_manifest,
    rejection_manifest,
    row_manifest,
    with_deploy,
    with_spec,
)
from tests.support.identities import impersonated
from tests.support.swarm import APPLY, JSON, JSON_PATCH, MERGE, Request
from tests.support.waiting import eventually

RBAC = "rbac.authorization.k8s.io"
READ, WRITE = ["get", "list", "watch"], ["create", "update", "patch", "delete", "deletecollection"]
ROLES = {
    "vera": ("dynamiq-view",),
    "otto": ("dynamiq-on-call",),
    "dora": ("dynamiq-deployer",),
    "grace": ("dynamiq-approver",),
    "bruno": ("dynamiq-on-call", "dynamiq-bypass"),
    "edda": ("edit",),
    "adam": ("admin",),
}
"""The ClusterRoles of each user in the namespace."""
OWN_ROLES: dict[str, list[tuple[list[str], list[str]]]] = {
    "rita": [([*(kind.plural for kind in KINDS), "apps/status", "deployments/status"], [*READ, *WRITE])],
    "milo": [(["apps"], [*READ, "create", "update", "patch"])],
    "vito": [(["apps"], [*READ, "create", "update", "patch"]), (["deployments"], ["create", "deploy"])],
}
"""Users with a Role of their own in the namespace: resources of ours, and verbs. Vito deploys and makes no Jobs."""
SWITCH = {"strategy": "Switch"}
JOB = {**SWITCH, "verify": {"job": {"image": "evals.test/score:v1"}}}
BLANKS = ("", " ", "\t\n", "\u00a0", "\u2003\u2003")
EVE = "eve"


@dataclass(frozen=True)
class Place:
    """The stored objects to attack."""

    namespace: str
    app: Manifest
    row: Manifest
    """A waiting row."""

    approval: Manifest
    rejection: Manifest
    change: Manifest
    """An AppChange of the App."""

    policy: Manifest
    project: Manifest
    """The namespace, which is the production of some project."""

    def now(self, api: Api) -> list[Any]:
        """Returns everything that nobody may have changed."""
        stored = [
            made(api.read(each)) for each in (self.app, self.row, self.approval, self.rejection, self.change, self.policy, self.project)
        ]
        kept = ("labels", "annotations", "ownerReferences", "finalizers")
        return [(each["spec"], {key: each["metadata"].get(key) for key in kept}) for each in stored]


@dataclass(frozen=True, eq=False)
class Attack:
    """A request. `by_rights`: an administrator may send it. `harmless`: checks the body of an answer that is no refusal."""

    about: str
    by: str
    request: Request
    by_rights: bool = True
    harmless: Callable[[Manifest], bool] | None = None

    def __str__(self) -> str:
        return f"{self.about}, by {self.by}: {self.request.method} {self.request.path} {json.dumps(self.request.body, ensure_ascii=False)[:200]}"

    def sent(self) -> Request:
        groups = {ADMIN: [ADMINS], "restorer": [RESTORERS]}.get(self.by, [])
        return replace(self.request, headers=impersonated(self.by, *groups).headers)

    def asked_by_an_administrator(self) -> Request:
        return replace(self.request, headers=impersonated(ADMIN, ADMINS).headers, query={**(self.request.query or {}), "dryRun": "All"})

    def failed(self, answer: Answer) -> bool:
        """Returns True if the request was refused with a sentence, or had no harmful effect."""
        if answer.ok:
            return self.harmless is not None and self.harmless(answer.body)
        return answer.status in (403, 422) and len(answer.message.split()) >= 4


def install(api: Api, namespace: str) -> None:
    """Grants everybody their rights."""
    for user, roles in ROLES.items():
        for role in roles:
            rest.bind_user(api, user, namespace, role)
    for user, rules in OWN_ROLES.items():
        meta = {"name": user, "namespace": namespace}
        told = [{"apiGroups": [GROUP], "resources": resources, "verbs": verbs} for resources, verbs in rules]
        made(api.apply({"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": meta, "rules": told}))
        binding = rest.of_user(user, namespace, user)
        made(api.apply({**binding, "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": user}}))
    reaches = {"apiGroups": [""], "resources": ["namespaces", "namespaces/status", "namespaces/finalize"], "verbs": [*READ, *WRITE[:3]]}
    made(api.apply({"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "nora-of-tests"}, "rules": [reaches]}))
    bound = {**rest.of_user("nora", namespace, "nora-of-tests"), "kind": "ClusterRoleBinding", "metadata": {"name": "nora-of-tests"}}
    made(api.apply(bound))
    first = (("edda", "deploy", "deployments"), ("adam", "create", "apps"), ("rita", "create", "rejections"))
    for user, verb, resource in (*first, ("milo", "update", "apps"), ("vito", "deploy", "deployments")):
        eventually(f"{user}'s rights apply", lambda u=user, v=verb, r=resource: rest.allowed(api, u, namespace, v, r))  # type: ignore[misc]
    project = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    eventually("nora's rights apply", lambda: api.acting_as("nora").read(project).ok)


def place(api: Api, namespace: str) -> Place:
    """Creates the objects to attack. A restorer creates the row, so that no operator is needed."""
    here = in_namespace(namespace)
    restorer = api.acting_as("restorer", RESTORERS)
    guards = [{"reason": "AwaitingApproval", "policy": "production", "approvals": 1}]
    waiting = {"sequence": 1, "pinned": {**COMPLETED["pinned"], "guards": guards}}
    project = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    labels = {names.ENVIRONMENT_LABEL: "production", names.PROJECT_LABEL: namespace}
    policy = policy_manifest(name=namespace)
    return Place(
        namespace,
        app=made(api.create(app_manifest(here, with_deploy(workflowVersion="v1"), with_spec(rollout=SWITCH)))),
        row=made(restorer.create(row_manifest("waiting", here, with_spec(**waiting, createdBy="dora")))),
        # Approvals and rejections name their authors here: before 1.36 no policy stamps them.
        approval=made(api.acting_as("grace").create(approval_manifest(here, with_spec(message="fine", by="grace")))),
        rejection=made(api.acting_as("grace").create(rejection_manifest(here, with_spec(by="grace")))),
        change=made(restorer.create(app_change_manifest(here))),
        policy=made(api.create(policy)),
        project=made(api.merge(project, {"metadata": {"labels": labels}})),
    )


class Drawn:
    """Random attacks on a place, the same for a seed."""

    def __init__(self, place: Place, seed: int) -> None:
        self._place, self._number = place, 0
        self._chance = random.Random(seed)  # noqa: S311 - a test that is the same each time

    def attacks(self, count: int) -> list[Attack]:
        """Returns `count` attacks, from each family in turn."""
        families: Sequence[Callable[[], Attack]] = (
            *(self._deploys, self._bypasses, self._blank, self._completes, self._releases, self._says_status),
            *(self._approves, self._in_anothers_name, self._as_restored, self._changes_a_word, self._deletes),
            *(self._rejects, self._withdraws, self._changes_a_rejection, self._records_settings, self._changes_a_record_of_settings),
            *(self._changes_an_app, self._makes_an_app, self._adds_a_job, self._labels, self._takes_a_label, self._changes_a_policy),
        )
        return [families[number % len(families)]() for number in range(count)]

    # Rows.

    def _deploys(self) -> Attack:
        extras = {name: ASKED[name] for name in ("workflowVersion", "runtime", "config", "promotedFrom", "hold")}
        chosen = {name: value for name, value in extras.items() if self._chance.random() < 0.35}
        rollback = {"restores": "older"} if chosen and "workflowVersion" not in chosen and self._chance.random() < 0.7 else {}
        fields = {**chosen, **rollback, **({"message": "quick"} if self._chance.random() < 0.3 else {})}
        return self._creates("a deploy", row_manifest(self._name(), with_spec(**fields)), "otto", "vera", "grace", "bruno", "milo", "rita")

    def _bypasses(self) -> Attack:
        fields: Manifest = self._chance.choice([{"restores": "older"}, {"workflowVersion": "v1"}, {}])
        sent = row_manifest(self._name(), with_spec(**fields, bypass={"reason": "prod is down"}))
        return self._creates("a bypass", sent, "otto", "dora", "edda", "adam", "grace", "vito", "rita")

    def _blank(self) -> Attack:
        sent = row_manifest(self._name(), with_spec(restores="older", bypass={"reason": self._chance.choice(BLANKS)}))
        return replace(self._creates("a bypass for no reason", sent, "bruno", ADMIN, "otto"), by_rights=False)

    def _completes(self) -> Attack:
        fields = self._chance.sample(sorted(COMPLETED), self._chance.randint(1, 3))
        sent = row_manifest(self._name(), with_spec(restores="older", **{name: COMPLETED[name] for name in fields}))
        return replace(self._creates("a row with the operator's fields", sent, "otto", "dora", "edda", "rita", ADMIN), by_rights=False)

    def _releases(self) -> Attack:
        field = self._chance.choice(["released", "verified", "outcome"])
        return self._changes("a row released by hand", self._place.row, {"spec": {field: COMPLETED[field]}}, "dora", "adam", "rita", ADMIN)

    def _says_status(self) -> Attack:
        row, app = self._place.row, self._place.app
        which, status = self._chance.choice([(row, {"phase": "Live"}), (app, {"guards": []}), (app, {"lastSequence": 9})])
        attack = self._changes("a status", which, {"status": status}, "rita", "edda", ADMIN, ways=("merge",))
        return replace(attack, request=replace(attack.request, path=f"{attack.request.path}/status"))

    # Approvals.

    def _approves(self) -> Attack:
        purpose = self._chance.choice(["Approve", "Reject", "Resume"])
        others = ("grace", "vera") if purpose == "Resume" else ("dora", "edda", "adam", "otto", "vito")
        author = {"by": self._chance.choice(["grace", ADMIN])} if self._chance.random() < 0.4 else {}
        return self._creates(f"{purpose} without the right", self._word(purpose=purpose, **author), *others, "rita", "milo")

    def _in_anothers_name(self) -> Attack:
        purpose = self._chance.choice(["Approve", "Reject", "Withdraw"])
        attack = self._creates("an Approval in another's name", self._word(purpose=purpose, by=EVE), "grace", ADMIN)
        return replace(attack, by_rights=False, harmless=lambda body: body["spec"]["by"] == attack.by)

    def _as_restored(self) -> Attack:
        mark = self._chance.choice([{}, {"restored": False}, {"restored": True}])
        attack = self._creates("an Approval of the restore group", self._word(by="grace", **mark), "restorer", ways=("post", "apply"))
        return replace(attack, by_rights=False, harmless=lambda body: body["spec"]["restored"] is True)

    def _changes_a_word(self) -> Attack:
        spec: Manifest = {
            "row": "other",
            "digest": "sha256:" + "b" * 64,
            "purpose": "Resume",
            "message": "not fine",
            "by": EVE,
            "restored": True,
        }
        meta: Manifest = {
            "labels": {"a": "b"},
            "annotations": {"a": "b"},
            "finalizers": ["a.test/b"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": NOBODY}],
        }
        chosen: tuple[str, Manifest] = self._chance.choice([("spec", spec), ("metadata", meta)])
        part, fields = chosen
        name = self._chance.choice(sorted(fields))
        return self._changes("a change of an Approval", self._place.approval, {part: {name: fields[name]}}, "rita", "grace", ADMIN)

    def _deletes(self) -> Attack:
        which = self._chance.choice([self._place.approval, self._place.rejection, self._place.change, self._place.row])
        url = path(which)
        body = self._chance.choice([None, {"propagationPolicy": "Orphan"}, {"gracePeriodSeconds": 0}])
        if self._chance.random() < 0.3:
            url, body = url.rpartition("/")[0], None
        others = () if which is self._place.approval else (ADMIN,)
        by_rights = not others and body is None  # where there is a body, a dry run in the query is none
        return Attack("a deletion", self._by("rita", "grace", "adam", *others), Request("DELETE", url, body), by_rights=by_rights)

    # Rejected versions.

    def _rejects(self) -> Attack:
        sent = rejection_manifest(name=self._name())
        if self._chance.random() < 0.3:
            sent["spec"]["withdrawn"] = {"reason": "never mind", "by": EVE}
            return replace(self._creates("a Rejection withdrawn at once", sent, "grace", ADMIN, "rita"), by_rights=False)
        return self._creates("a Rejection", sent, "dora", "edda", "adam", "otto", "vera", "rita")

    def _withdraws(self) -> Attack:
        patch = {"spec": {"withdrawn": {"reason": "it is fine"}}}
        return replace(self._changes("a Rejection withdrawn", self._place.rejection, patch, "dora", "adam", "rita"), by_rights=True)

    def _changes_a_rejection(self) -> Attack:
        spec = {"workflowHash": "sha256:" + "b" * 64, "workflow": "other", "version": "v2", "reason": "none", "by": EVE}
        name = self._chance.choice(sorted(spec))
        return self._changes("a change of a Rejection", self._place.rejection, {"spec": {name: spec[name]}}, "grace", "rita", ADMIN)

    # AppChanges.

    def _records_settings(self) -> Attack:
        sent = app_change_manifest(with_spec(sequence=2, summary="nothing was changed", by=EVE), name=self._name())
        return replace(self._creates("a record of settings", sent, "rita", "edda", "adam", ADMIN), by_rights=False)

    def _changes_a_record_of_settings(self) -> Attack:
        spec: Manifest = {"by": EVE, "summary": "nothing was changed", "changes": [], "byVerified": False, "after": 9, "states": []}
        meta: Manifest = {
            "finalizers": ["a.test/b"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": NOBODY}],
        }
        chosen: tuple[str, Manifest] = self._chance.choice([("spec", spec), ("metadata", meta)])
        part, fields = chosen
        name = self._chance.choice(sorted(fields))
        return self._changes("a change of a record of settings", self._place.change, {part: {name: fields[name]}}, "rita", ADMIN)

    # Apps.

    _APP_CHANGES: Sequence[Manifest] = (
        {"spec": {"deploy": {"workflowVersion": "v2"}}},
        {"spec": {"deploy": {"workflowVersion": "v1", "config": {"type": "serverless"}}}},
        {"spec": {"suspend": True}},
        {"spec": {"rollout": {**SWITCH, "holdAfterRollback": False}}},
        {"spec": {"rollout": {**SWITCH, "progressDeadlineSeconds": 600}}},
        {"metadata": {"annotations": {RESTORING: "true"}}},
    )

    def _changes_an_app(self) -> Attack:
        patch = self._chance.choice(self._APP_CHANGES)
        return replace(self._changes("a deploy by an App", self._place.app, patch, "milo", "rita"), by_rights=True)

    def _makes_an_app(self) -> Attack:
        fields: Manifest = self._chance.choice(
            [{"deploy": {}}, {"deploy": {"workflowVersion": "v1"}}, {"suspend": True}, {"rollout": SWITCH}]
        )
        return self._creates("an App that deploys", app_manifest(with_spec(**fields), name=self._name()), "milo", "rita")

    def _adds_a_job(self) -> Attack:
        if self._chance.random() < 0.5:
            return self._creates("an App with a Job", app_manifest(with_spec(rollout=JOB), name=self._name()), "vito")
        return replace(self._changes("a Job of an App", self._place.app, {"spec": {"rollout": JOB}}, "vito"), by_rights=True)

    # Labels that policies select by, and policies.

    def _labels(self) -> Attack:
        key = self._chance.choice([names.ENVIRONMENT_LABEL, names.PROJECT_LABEL, f"{GROUP}/exempt"])
        if self._chance.random() < 0.3:
            meta = {"name": self._name(), "labels": {key: "staging"}}
            return self._creates("a namespace with a label of ours", {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}, "nora")
        attack = self._changes("a namespace's label", self._place.project, {"metadata": {"labels": {key: "staging"}}}, "nora")
        ends = self._chance.choice(["", "/status"])
        return replace(attack, by_rights=True, request=replace(attack.request, path=attack.request.path + ends))

    def _takes_a_label(self) -> Attack:
        key = self._chance.choice([names.ENVIRONMENT_LABEL, names.PROJECT_LABEL])
        url = path(self._place.project)
        without = copy.deepcopy(self._place.project)
        del without["metadata"]["labels"][key], without["metadata"]["resourceVersion"]
        pointer = f"/metadata/labels/{key.replace('/', '~1')}"
        request = self._chance.choice(
            [
                Request("PATCH", url, {"metadata": {"labels": {key: None}}}, MERGE),
                Request("PATCH", f"{url}/status", {"metadata": {"labels": {key: None}}}, MERGE),
                Request("PATCH", url, [{"op": "remove", "path": pointer}], JSON_PATCH),
                Request("PUT", url, without),
                Request("PUT", f"{url}/finalize", without),
            ]
        )
        return Attack("a label taken off the namespace", "nora", request)

    def _changes_a_policy(self) -> Attack:
        if self._chance.random() < 0.4:
            made_ = policy_manifest(name=self._name())
            return self._creates("a policy", made_, "adam", "rita", "edda", "nora", "grace")
        by, url = self._by("adam", "rita", "edda", "nora", "grace"), path(self._place.policy)
        url = self._chance.choice([url, url.rpartition("/")[0]])
        patch = Request("PATCH", path(self._place.policy), {"spec": {"exempt": [], "freezes": []}}, MERGE)
        return Attack("a policy weakened or deleted", by, self._chance.choice([Request("DELETE", url), patch]))

    # How a change is sent.

    def _name(self) -> str:
        self._number += 1
        return f"forged-{self._number}"

    def _by(self, *users: str) -> str:
        return self._chance.choice(users)

    def _word(self, **spec: Any) -> Manifest:
        digest = self._place.row["spec"]["pinned"]["digest"]
        return approval_manifest(with_spec(row="waiting", digest=digest, **spec), name=self._name())

    def _creates(self, about: str, sent: Manifest, *users: str, ways: Sequence[str] = ("post", "yaml", "apply", "generated")) -> Attack:
        if "namespace" in sent["metadata"]:
            sent["metadata"]["namespace"] = self._place.namespace
        way, url = self._chance.choice(ways), path(sent)
        if way == "apply":
            return Attack(about, self._by(*users), Request("PATCH", url, sent, APPLY, {"fieldManager": "kubectl", "force": "true"}))
        if way == "generated" and sent["kind"] not in ("App", "Namespace"):
            sent["metadata"]["generateName"] = f"{sent['metadata'].pop('name')}-"
        content = "application/yaml" if way == "yaml" else JSON
        return Attack(about, self._by(*users), Request("POST", url.rpartition("/")[0], sent, content, {"fieldManager": "kubectl"}))

    def _changes(
        self, about: str, which: Manifest, patch: Manifest, *users: str, ways: Sequence[str] = ("merge", "json", "apply", "put")
    ) -> Attack:
        """Returns a change of one object. Nobody has the right to change what is frozen."""
        way, url, by = self._chance.choice(ways), path(which), self._by(*users)
        ((part, fields),) = patch.items()
        if way == "json":
            operations = [{"op": "add", "path": f"/{part}/{name}", "value": value} for name, value in fields.items()]
            request = Request("PATCH", url, operations, JSON_PATCH)
        elif way == "apply":
            meta = {key: which["metadata"][key] for key in ("name", "namespace") if key in which["metadata"]}
            sent = {"apiVersion": which["apiVersion"], "kind": which["kind"], "metadata": meta}
            sent[part] = {**(which["spec"] if part == "spec" else meta), **fields}
            request = Request("PATCH", url, sent, APPLY, {"fieldManager": "another", "force": "true"})
        elif way == "put":
            request = Request("PUT", url, {**which, part: {**which[part], **fields}})
        else:
            request = Request("PATCH", url, patch, MERGE)
        return Attack(about, by, request, by_rights=False)
