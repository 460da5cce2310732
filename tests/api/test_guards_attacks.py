"""Attacks on guards that the API server stops: rights to deploy, approve and bypass, authors of approvals, and labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.api.support import guard_attacks
from tests.api.support.guard_attacks import JOB, SWITCH, Attack, Drawn, Place
from tests.api.support.schema.frozen import ASKED, COMPLETED
from tests.support import rest
from tests.support.admission import ADMIN, COLLECTOR, NAMESPACE_CONTROLLER, RESTORERS, admin, made, operator, refused, without_stamps
from tests.support.api import Answer, Api, fresh_namespace
from tests.support.cluster import Kubectl
from tests.support.factories import (
    app_manifest,
    approval_manifest,
    asking,
    in_namespace,
    policy_manifest,
    rejection_manifest,
    row_manifest,
    with_deploy,
    with_spec,
)
from tests.support.history_stage import counted
from tests.support.identities import account, impersonated
from tests.support.swarm import Request, shared, swarm
from tests.support.waiting import eventually

pytestmark = [pytest.mark.usefixtures("guarded"), pytest.mark.timeout(900)]

FORGED = 1000
SEED = 14


@pytest.fixture(scope="module")
def place(cluster: Cluster, guarded: None) -> Iterator[Place]:
    """Yields a production with a waiting row, and all attackers."""
    api = Api.of(cluster)
    with fresh_namespace(api, "guards-attacks") as namespace:
        guard_attacks.install(api, namespace)
        found = guard_attacks.place(api, namespace)
        yield found
        api.delete(found.policy)


# Drawn.


@pytest.mark.full_count
async def test_no_forged_request_gets_past_a_guard(cluster: Cluster, api: Api, place: Place) -> None:
    before = place.now(api)
    attacks = Drawn(place, SEED).attacks(counted(FORGED))
    answers: dict[Attack, Answer] = {}
    taken: dict[Attack, Answer] = {}
    async with swarm(cluster) as requests:

        async def send(_: int, attack: Attack) -> None:
            answers[attack] = await requests.send(attack.sent())
            if attack.by_rights:
                taken[attack] = await requests.send(attack.asked_by_an_administrator())

        await shared(attacks, send)
    assert [(str(attack), answer.message) for attack, answer in answers.items() if not attack.failed(answer)] == []
    assert [(str(attack), answer.message) for attack, answer in taken.items() if not answer.ok] == [], "not even an administrator may"
    assert place.now(api) == before
    counts = Counter(attack.about for attack in attacks)
    print(
        f"{len(attacks)} forged requests of {len(counts)} kinds, seed {SEED}: 0 accepted as sent; {len(taken)} of them only lacked a right"
    )


# Impersonation.


async def test_an_approver_cannot_be_impersonated_without_the_right(cluster: Cluster, api: Api, place: Place) -> None:
    robot = account(api, place.namespace, "robot")
    rest.bind(api, place.namespace, "robot", "dynamiq-deployer", place.namespace)
    sent = approval_manifest(in_namespace(place.namespace), name="impersonated")
    url = f"/apis/{sent['apiVersion']}/namespaces/{place.namespace}/approvals"
    async with swarm(cluster, robot.credentials) as requests:
        for headers in (impersonated("grace").headers, impersonated("grace", "system:masters").headers, impersonated(ADMIN).headers):
            answer = await requests.send(Request("POST", url, sent, headers=headers))
            assert answer.status == 403
            assert "cannot impersonate" in answer.message


@pytest.mark.parametrize("way", ["create", "apply", "apply --server-side"])
def test_kubectl_shows_the_reason(kubectl: Kubectl, place: Place, way: str) -> None:
    sent = row_manifest("by-kubectl", in_namespace(place.namespace), asking(workflowVersion="v1"))
    done = kubectl("--as=rita", *way.split(), "-f", "-", input=sent, check=False)
    assert done.returncode != 0
    assert "rita may not deploy in namespace" in done.stderr
    assert "ClusterRole dynamiq-deployer gives" in done.stderr


# What each role is for.


def test_each_role_does_what_it_is_for(api: Api, place: Place) -> None:
    here = in_namespace(place.namespace)
    rollback = row_manifest("back", here, asking(restores="older", message="prod is down"))
    takes = row_manifest("take", here, asking(restores="older", takeSessions=True))
    deploy = row_manifest("forth", here, asking(workflowVersion="v1", config=ASKED["config"], hold=False))
    bypass = with_spec(bypass={"reason": "prod is down"})
    may = {
        "otto": [rollback, takes, approval_manifest(here, with_spec(purpose="Withdraw"))],
        "bruno": [row_manifest("back", here, asking(restores="older"), bypass)],
        "dora": [
            rollback,
            deploy,
            *(approval_manifest(here, with_spec(purpose=word), name=word.lower()) for word in ("Resume", "Withdraw")),
        ],
        "edda": [rollback, deploy, app_manifest(here, with_deploy(), with_spec(rollout=JOB, suspend=True), name="new")],
        "adam": [rollback, deploy, app_manifest(here, with_deploy(), with_spec(rollout=JOB), name="new")],
        "grace": [*(approval_manifest(here, with_spec(purpose=word), name=word.lower()) for word in ("Approve", "Reject", "Withdraw"))],
        "milo": [app_manifest(here, name="new"), app_manifest(here, with_spec(suspend=False), name="new")],
    }
    for user, manifests in may.items():
        for each in manifests:
            found = made(
                api.acting_as(user).create(
                    {**each, "metadata": {**each["metadata"], "name": f"{user}-{each['metadata']['name']}"}}, dry_run=True
                )
            )
            if each["kind"] == "Approval":
                assert (found["spec"]["by"], "restored" in found["spec"]) == (user, False)
    assert made(api.acting_as("grace").create(rejection_manifest(here, name="worse"), dry_run=True))["spec"]["by"] == "grace"


def test_a_user_with_the_rights_to_bypass_and_deploy_passes_all_guards(api: Api, place: Place) -> None:
    sent = row_manifest("past", in_namespace(place.namespace), asking(workflowVersion="v1"), with_spec(bypass={"reason": "prod is down"}))
    refused(api.acting_as("bruno").create(sent, dry_run=True), "bruno may not deploy", "only roll back")
    made(api.apply(rest.of_user("bruno", place.namespace, "dynamiq-deployer")))
    try:
        eventually("bruno deploys past the rules", lambda: api.acting_as("bruno").create(sent, dry_run=True).ok)
    finally:
        api.delete(rest.of_user("bruno", place.namespace, "dynamiq-deployer"))


# Apps of a user who may change them, and not deploy.


def test_an_app_that_deploys_stays_anybodys_to_change_but_for_that(api: Api, place: Place) -> None:
    milo, app = api.acting_as("milo"), place.app
    git = {**app, "metadata": {"name": "chat", "namespace": place.namespace}, "spec": {**app["spec"], "description": "Answers questions"}}
    applied = made(milo.apply(git, manager="kustomize-controller"))
    assert made(milo.apply(git, manager="kustomize-controller"))["metadata"]["resourceVersion"] == applied["metadata"]["resourceVersion"]
    assert made(milo.replace(applied))["metadata"]["resourceVersion"] == applied["metadata"]["resourceVersion"]
    assert applied["spec"]["deploy"] == app["spec"]["deploy"], "who asked for it stays who did"
    for field in ("deploy", "rollout"):
        refused(milo.merge(app, {"spec": {field: None}}), f"milo may not deploy in namespace {place.namespace}", f"spec.{field}")
    assert made(milo.merge(app, {"spec": {"suspend": False}}, dry_run=True))


def test_a_job_that_is_there_already_stays(api: Api, place: Place) -> None:
    here = in_namespace(place.namespace)
    made(api.acting_as("edda").create(app_manifest(here, with_spec(rollout=JOB), name="scored")))
    vito, app = api.acting_as("vito"), app_manifest(here, name="scored")
    assert made(vito.merge(app, {"spec": {"rollout": {"progressDeadlineSeconds": 600}}}))["spec"]["rollout"]["verify"] == JOB["verify"]
    other = {**SWITCH, "verify": {"job": {"image": "evals.test/mine:v1"}}}
    refused(vito.merge(app, {"spec": {"rollout": other}}), "vito may not create jobs.batch")
    assert "verify" not in made(vito.merge(app, {"spec": {"rollout": {"verify": None}}}))["spec"]["rollout"]


# Approvals cannot be changed, and end with their row.


def test_the_operator_and_the_cluster_delete_an_approval(api: Api, place: Place) -> None:
    here = in_namespace(place.namespace)
    for who in (operator(api), admin(api, COLLECTOR), admin(api, NAMESPACE_CONTROLLER)):
        for make in (approval_manifest, rejection_manifest):
            assert who.delete(made(api.create(make(here, name="brief")))).ok


def test_a_user_who_may_delete_policies_deletes_approvals_and_changes_none(api: Api, place: Place) -> None:
    bound = {**rest.of_user("pia", "", "dynamiq-policies"), "kind": "ClusterRoleBinding", "metadata": {"name": "pia-policies-of-tests"}}
    refused(api.acting_as("rita").delete(place.approval), "rita may not delete it: it ends with its row", "ClusterRole dynamiq-policies")
    made(api.apply(bound))
    try:
        word = made(
            api.acting_as("otto").create(
                approval_manifest(in_namespace(place.namespace), with_spec(purpose="Withdraw"), name="one-of-many")
            )
        )
        eventually("pia clears it", lambda: api.acting_as("pia").delete(word).ok)
        assert api.acting_as("pia").merge(place.approval, {"metadata": {"labels": {"a": "b"}}}).status == 403, "she has no right to"
        refused(admin(api, ADMIN).merge(place.approval, {"metadata": {"labels": {"a": "b"}}}), "never changes")
    finally:
        api.delete(bound)


def test_an_approval_sent_again_changes_nothing(api: Api, place: Place) -> None:
    for sent, stored in ((approval_manifest, place.approval), (rejection_manifest, place.rejection)):
        again = sent(in_namespace(place.namespace))
        again["spec"] = {key: value for key, value in stored["spec"].items() if key != "by"}
        version = {"resourceVersion": stored["metadata"]["resourceVersion"]}
        assert made(api.replace({**again, "metadata": {**again["metadata"], **version}}))["spec"] == stored["spec"]
        assert made(api.apply(again))["spec"] == stored["spec"]


def test_a_rejection_is_withdrawn_by_an_approver_who_is_named(api: Api, place: Place) -> None:
    found = made(api.acting_as("grace").create(rejection_manifest(in_namespace(place.namespace), name="mended")))
    refused(api.acting_as("rita").merge(found, {"spec": {"withdrawn": {"reason": "fine"}}}), "rita may not withdraw Rejections")
    withdrawn = made(api.acting_as("grace").merge(found, {"spec": {"withdrawn": {"reason": "it was the invoice", "by": "eve"}}}))
    assert withdrawn["spec"]["withdrawn"] == {"reason": "it was the invoice", "by": "grace"}
    assert made(api.acting_as("grace").apply(rejection_manifest(in_namespace(place.namespace), name="mended")))["spec"] == withdrawn["spec"]


def test_a_backup_restores_approvals_as_history(api: Api, place: Place) -> None:
    restorer = api.acting_as("somebody", RESTORERS)
    word = made(restorer.create(approval_manifest(in_namespace(place.namespace), with_spec(by="grace"), name="old")))
    assert (word["spec"]["by"], word["spec"]["restored"]) == ("grace", True)
    spec = with_spec(by="grace", withdrawn={"by": "heidi", "reason": "mended"})
    rejected = made(restorer.create(rejection_manifest(in_namespace(place.namespace), spec, name="old")))
    assert (rejected["spec"]["by"], rejected["spec"]["withdrawn"]["by"]) == ("grace", "heidi")
    refused(restorer.merge(place.rejection, {"spec": {"withdrawn": {"reason": "gone"}}}), "somebody may not withdraw Rejections")


# Namespaces and policies.


def test_other_labels_of_a_namespace_are_its_owners(api: Api, place: Place) -> None:
    nora = api.acting_as("nora")
    assert nora.merge(place.project, {"metadata": {"labels": {"team": "a"}, "annotations": {"a": "b"}}}, dry_run=True).ok
    answer = nora.merge(place.project, {"metadata": {"labels": {names.ENVIRONMENT_LABEL: "dev"}}})
    refused(answer, "decide which DeployPolicies apply in it, and nora may not change them", "ClusterRole dynamiq-policies gives")
    found = made(nora.merge(place.project, {"metadata": {"labels": {"kubernetes.io/metadata.name": "other"}}}, dry_run=True))
    assert found["metadata"]["labels"]["kubernetes.io/metadata.name"] == place.namespace


def test_a_user_who_writes_policies_may_label_namespaces(api: Api, place: Place) -> None:
    bound = {**rest.of_user("nora", "", "dynamiq-policies"), "kind": "ClusterRoleBinding", "metadata": {"name": "nora-policies-of-tests"}}
    made(api.apply(bound))
    nora = api.acting_as("nora")
    try:
        patch = {"metadata": {"labels": {names.ENVIRONMENT_LABEL: "dev"}}}
        eventually("nora labels the namespace", lambda: nora.merge(place.project, patch, dry_run=True).ok)
        assert nora.create(policy_manifest(name=f"{place.namespace}-more"), dry_run=True).ok
        assert nora.merge(place.policy, {"spec": {"exempt": []}}, dry_run=True).ok
    finally:
        api.delete(bound)


# Without mutating policies.


def test_without_stamps_an_approval_names_its_own_author_or_is_refused(cluster: Cluster, api: Api, place: Place) -> None:
    here = in_namespace(place.namespace)
    grace, restorer = api.acting_as("grace"), api.acting_as("somebody", RESTORERS)
    rejection = made(grace.create(rejection_manifest(here, with_spec(by="grace"), name="unstamped")))
    with without_stamps(cluster):
        for make in (approval_manifest, rejection_manifest):
            for by in (None, "eve", ""):
                refused(grace.create(make(here, with_spec(by=by), name="word"), dry_run=True), "set it to grace")
            assert made(grace.create(make(here, with_spec(by="grace"), name="word"), dry_run=True))
        backup = with_spec(by="dora")
        refused(restorer.create(approval_manifest(here, backup, name="word"), dry_run=True), "only members of dynamiq:restorers set it")
        assert made(restorer.create(approval_manifest(here, backup, with_spec(restored=True), name="word"), dry_run=True))
        withdrawn = {"reason": "fine"}
        for spec in (withdrawn, {**withdrawn, "by": "eve"}):
            refused(grace.merge(rejection, {"spec": {"withdrawn": spec}}, dry_run=True), "withdrawn.by", "set it to grace")
        assert grace.merge(rejection, {"spec": {"withdrawn": {**withdrawn, "by": "grace"}}}, dry_run=True).ok
        owned = {"finalizers": ["a.test/b"]}
        for make in (approval_manifest, rejection_manifest):
            refused(
                grace.create(make(here, lambda each: each["metadata"].update(owned), with_spec(by="grace"), name="word"), dry_run=True),
                "leave them out",
            )


def test_every_refusal_names_the_requirement(api: Api, place: Place) -> None:
    """Rita has every RBAC right here, so each refusal is our own sentence."""
    here, rita = in_namespace(place.namespace), api.acting_as("rita")
    answers = [
        rita.create(row_manifest("said", here, asking(workflowVersion="v1"))),
        rita.create(row_manifest("said", here, asking(restores="older"), with_spec(bypass={"reason": "why not"}))),
        rita.create(row_manifest("said", here, asking(restores="older"), with_spec(released=COMPLETED["released"]))),
        *(rita.create(approval_manifest(here, with_spec(purpose=word))) for word in ("Approve", "Reject", "Resume")),
        rita.create(rejection_manifest(here, name="said")),
        rita.delete(place.approval),
        rita.merge(place.app, {"spec": {"suspend": True}}),
    ]
    for answer in answers:
        refused(answer, "rita")
        assert re.search(r"which ClusterRole dynamiq-[a-z-]+ gives|leave them out|it ends with its row", answer.message), answer.message
