"""Rules for deploys over HTTP: waiting rows and decisions on them, rejected versions, suspension, and the guards of a deploy."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.kube.resources import APPROVALS, APPS, DEPLOY_POLICIES, REJECTIONS, ROWS, VERSIONS, WORKFLOWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.apps.responses import AppDetails, AppResponse
from dynamiq_operator.rest.deployments.responses import PreviewShape
from dynamiq_operator.rest.guards.responses import (
    ApprovalResponse,
    MadeApproval,
    Policy,
    RejectionResponse,
    StandingResponse,
    WaitingPreview,
)
from dynamiq_operator.rest.parts.deployment import Deployment
from dynamiq_operator.rest.workflows.responses import VersionResponse
from tests.support import factories as make
from tests.support.rest_stage import ANNA, RestStage, created
from tests.support.scripted import failure, listed
from tests.unit.support import rules

OTTO = "otto@example.com"
REFUSED = (
    "approvals.dynamiq.getdynamiq.ai \"chat-c-1\" is forbidden: ValidatingAdmissionPolicy 'dynamiq-approvals' with binding"
    " 'dynamiq-approvals' denied request: anna may not approve in namespace demo"
)


def _path(stage: RestStage, more: str = "") -> str:
    return f"/v1/apps/{stage.uid(APPS, 'chat')}{more}"


def _of_row(stage: RestStage, more: str, name: str = "chat-c") -> str:
    return _path(stage, f"/deployments/{stage.uid(ROWS, name)}{more}")


@pytest.fixture
def held(stage: RestStage) -> RestStage:
    """Returns a stage whose App chat serves v2. otto's third row has one of two approvals, and the App's status has guards."""
    app = stage.object(APPS, "chat")
    holds = {"row": "chat-b", "sequence": 2}
    stage.put({**app, "status": {**app["status"], "holds": holds, "guards": [rules.WOULD_AWAIT, rules.WOULD_BE_FROZEN]}})
    stage.put(make.row_manifest("chat-c", rules.awaiting(3, "v1", needed=2, there=1, author=OTTO, base={"row": "chat-b", "sequence": 2})))
    for version in ("v1", "v2"):
        if ("demo", f"chat-{version}") not in stage._objects["WorkflowVersion"]:
            stage.put(make.version_manifest(version))
    stage.script.on("POST", APPROVALS.path(make.NAMESPACE), rules.stamping(ANNA)).on("POST", REJECTIONS.path(make.NAMESPACE), created)
    return stage


def test_a_waiting_row_has_its_requirement(held: RestStage) -> None:
    (newest, *_) = held.get(_path(held, "/deployments"))
    Deployment.model_validate(newest)
    assert (newest["status"], newest["waits"]) == (
        "Pending",
        {
            "reason": "AwaitingApproval",
            "message": rules.AWAITS,
            "until": None,
            "approvals": 1,
            "approvals_needed": 2,
            "resumable": False,
        },
    )
    assert newest["flow_hash"] == make.flow_hash("v1")


def test_an_admitted_row_names_its_approvers(held: RestStage) -> None:
    released = {"at": "2026-11-24T12:00:00Z", "guards": ["AwaitingApproval"], "approvals": ["said"], "by": [OTTO]}
    fields = {"released": released, "bypass": {"reason": "the shop is down"}}
    held.put(make.row_manifest("chat-d", make.progressing(4, "v1", holds={"row": "chat-d", "sequence": 4}), make.with_spec(**fields)))
    (newest, *_) = held.get(_path(held, "/deployments"))
    Deployment.model_validate(newest)
    assert [each["username"] for each in newest["released"]["by"]] == [OTTO]
    assert (newest["bypass_reason"], newest["holds"]) == ("the shop is down", {"row": "chat-d", "sequence": 4})


def test_an_app_serves_on_and_names_what_waits(held: RestStage) -> None:
    answer = held.get(_path(held))
    AppDetails.model_validate(answer)
    assert (answer["status"]["word"], answer["under_way"], answer["suspended"]) == ("Live", None, False)
    assert [(each["name"], each["waits"]["message"]) for each in answer["waiting"]] == [("chat-c", rules.AWAITS)]
    assert answer["holds"] == {"row": "chat-b", "sequence": 2}
    (of_list,) = held.get("/v1/apps")
    AppResponse.model_validate(of_list)
    assert of_list["waiting"] == answer["waiting"]


def test_guards_have_the_messages_of_the_operator(held: RestStage) -> None:
    answer = held.get(_path(held, "/guards"))
    StandingResponse.model_validate(answer)
    assert [(each["reason"], each["message"], each["until"]) for each in answer["guards"]] == [
        ("AwaitingApproval", rules.WOULD_AWAIT["message"], None),
        ("Frozen", rules.WOULD_BE_FROZEN["message"], rules.WOULD_BE_FROZEN["until"]),
    ]
    assert [each["sequence"] for each in answer["waiting"]] == [3]


def test_a_soak_has_its_source(held: RestStage) -> None:
    app = held.object(APPS, "chat")
    soak = {"reason": "Soaking", "message": "…", "appliesTo": ["Promotion"], "seconds": 3600, "namespaces": ["staging"], "clusters": ["eu"]}
    held.put({**app, "status": {**app["status"], "guards": [soak]}})
    told = {"seconds": 3600, "namespaces": ["staging"], "clusters": ["eu"]}
    (guard,) = held.get(_path(held, "/guards"))["guards"]
    assert {name: guard[name] for name in told} == told
    assert held.get(_path(held, ""))["guards"] == [guard]


def test_an_approver_sees_the_preview_of_the_author(held: RestStage) -> None:
    answer = held.get(_of_row(held, "/preview"))
    WaitingPreview.model_validate(answer)
    assert (answer["from"]["version"], answer["to"]["version"], answer["to"]["sequence"]) == ("v2", "v1", 3)
    assert (answer["waits"], answer["base"], answer["created_by"]["username"]) == (rules.AWAITS, {"row": "chat-b", "sequence": 2}, OTTO)
    assert answer["digest"] == held.object(ROWS, "chat-c")["spec"]["pinned"]["digest"]
    held.call("GET", _of_row(held, "/preview", "chat-a")).error(409)


def test_an_approval_returns_the_missing_requirements(held: RestStage) -> None:
    digest = held.object(ROWS, "chat-c")["spec"]["pinned"]["digest"]
    answer = held.call("POST", _of_row(held, "/approvals"), {"purpose": "Approve", "message": "read it", "digest": digest})
    MadeApproval.model_validate(answer.data)
    assert answer.data["says"] == ["approved #3 (chat-c) of chat", "nothing else holds it: it is deployed"]
    (sent,) = held.created(APPROVALS)
    assert sent["spec"] == {"row": "chat-c", "digest": digest, "purpose": "Approve", "message": "read it"}
    assert {each.headers["Authorization"] for each in held.script.sent} == {"Bearer token-of-anna"}


def test_approvals_of_a_row_are_listed(held: RestStage) -> None:
    row = held.object(ROWS, "chat-c")
    other = rules.approval(row, "cara", name="other", digest=f"sha256:{'0' * 64}")
    held.script.on("GET", APPROVALS.path(make.NAMESPACE), listed(rules.approval(row, OTTO), other))
    answer = held.get(_of_row(held, "/approvals"))
    for each in answer:
        ApprovalResponse.model_validate(each)
    assert [(each["created_by"]["username"], each["is_of_this_digest"]) for each in answer] == [("cara", False), (OTTO, True)]


def test_a_repeated_approval_is_a_no_op(held: RestStage) -> None:
    row = held.object(ROWS, "chat-c")
    held.script.on("GET", APPROVALS.path(make.NAMESPACE), listed(rules.approval(row, ANNA)))
    answer = held.call("POST", _of_row(held, "/approvals"), {"purpose": "Approve"}).data
    assert (answer["is_no_op"], answer["says"]) == (True, ["you have approved #3 (chat-c) already: nothing to do"])
    assert held.created(APPROVALS) == []


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"purpose": "Approve", "digest": f"sha256:{'0' * 64}"}, 409, "digest was sha256:0000"),
        ({"purpose": "Withdraw"}, 403, "only its author, otto@example.com, can withdraw"),
        ({"purpose": "Agree"}, 422, "purpose"),
        ({"purpose": "Approve", "message": "x" * 1025}, 422, "message"),
        ({"purpose": "Approve", "by": "otto"}, 422, "by"),
    ],
)
def test_an_impossible_approval_is_refused(held: RestStage, body: Manifest, status: int, says: str) -> None:
    assert says in held.call("POST", _of_row(held, "/approvals"), body).error(status)["message"]
    assert held.created(APPROVALS) == []


def test_an_ended_row_cannot_be_approved(held: RestStage) -> None:
    assert "has ended" in held.call("POST", _of_row(held, "/approvals", "chat-a"), {"purpose": "Approve"}).error(409)["message"]


def test_a_refusal_by_admission_is_its_sentence(held: RestStage) -> None:
    held.script.on("POST", APPROVALS.path(make.NAMESPACE), failure(403, "Forbidden", REFUSED))
    error = held.call("POST", _of_row(held, "/approvals"), {"purpose": "Approve"}).error(403)
    assert error["message"] == "anna may not approve in namespace demo"


def test_an_approval_under_a_key_is_created_once_even_after_its_row_was_admitted(held: RestStage) -> None:
    body = {"purpose": "Approve"}
    made = held.call("POST", _of_row(held, "/approvals"), body, key="once").data
    held.script.on("POST", APPROVALS.path(make.NAMESPACE), failure(409, "AlreadyExists"))
    (sent,) = held.created(APPROVALS)
    held.script.on("GET", APPROVALS.path(make.NAMESPACE, made["name"]), make.stored(sent))
    released = {"at": "2026-11-24T12:00:00Z", "guards": ["AwaitingApproval"], "approvals": [made["name"]], "by": [ANNA]}
    held.put(make.row_manifest("chat-c", make.progressing(3, "v1"), make.with_spec(released=released)))
    again = held.call("POST", _of_row(held, "/approvals"), body, key="once")
    assert (again.headers["idempotency-replayed"], again.data["name"]) == ("true", made["name"])
    held.put(make.row_manifest("chat-c", make.failed(3, "v1", "rejected by otto: no"), make.with_spec(released=released)))
    again = held.call("POST", _of_row(held, "/approvals"), body, key="once")
    assert again.data["says"][-1].endswith("has ended: rejected by otto: no")
    held.put(make.row_manifest("chat-c", make.progressing(3, "v1"), make.with_spec(released=released)))
    other = held.call("POST", _of_row(held, "/approvals"), {"purpose": "Reject"}, key="once")
    assert "used for another request" in other.error(422)["message"]
    assert "waits for nothing" in held.call("POST", _of_row(held, "/approvals"), body, key="twice").error(409)["message"]


# Deploys.


def _body(stage: RestStage, **fields: Any) -> Manifest:
    return {"workflow_id": stage.uid(WORKFLOWS, "chat"), "workflow_version_id": stage.uid(VERSIONS, "chat-v1"), **fields}


def test_a_preview_has_its_guards_and_a_confirmation_names_them(held: RestStage) -> None:
    preview = held.call("POST", _path(held, "/deploy/preview"), _body(held)).data
    PreviewShape.model_validate(preview)
    assert [each["message"] for each in preview["guards"]] == [rules.WOULD_AWAIT["message"], rules.WOULD_BE_FROZEN["message"]]
    confirmed = {**preview["to"], **{name: preview[name] for name in ("from", "under_way", "guards", "begins_hold")}}
    assert held.call("POST", _path(held, "/deploy"), _body(held, confirmed=confirmed)).status == 201
    error = held.call("POST", _path(held, "/deploy"), _body(held, confirmed={**confirmed, "guards": []})).error(409)
    assert list(error["details"]) == ["guards"]


def test_a_bypass_and_no_hold_are_in_the_row(held: RestStage) -> None:
    held.call("POST", _path(held, "/deploy"), _body(held, bypass_reason="the shop is down", hold=False))
    (sent,) = held.created(ROWS)
    assert (sent["spec"]["bypass"], sent["spec"]["hold"]) == ({"reason": "the shop is down"}, False)
    assert "bypass_reason" in held.call("POST", _path(held, "/deploy"), _body(held, bypass_reason=" ")).error(422)["details"]


def test_a_rollback_reports_that_git_waits_after_it(held: RestStage) -> None:
    app = held.object(APPS, "chat")
    held.put({**app, "spec": {**app["spec"], "deploy": {"workflowVersion": "v2"}}})
    preview = held.call("POST", _path(held, "/deploy/preview"), {"restores": held.uid(ROWS, "chat-a")}).data
    assert preview["begins_hold"] is True
    assert [each["reason"] for each in preview["guards"]] == ["Frozen"], "a rollback waits for no approval"


# Rejected versions.


def test_a_version_is_rejected_and_that_is_withdrawn(held: RestStage) -> None:
    answer = held.call("POST", _path(held, "/rejections"), {"workflow_version_id": held.uid(VERSIONS, "chat-v1"), "reason": "bad"}).data
    RejectionResponse.model_validate(answer)
    (sent,) = held.created(REJECTIONS)
    spec = {"workflowHash": make.flow_hash("v1"), "workflow": "chat", "version": "v1", "reason": "bad"}
    assert sent["spec"] == spec
    there = rules.rejection("v1", by=OTTO)
    path = REJECTIONS.path(make.NAMESPACE, there["metadata"]["name"])
    withdrawn = {**there, "spec": {**there["spec"], "withdrawn": {"by": ANNA, "reason": "fine"}}}
    held.script.on("GET", REJECTIONS.path(make.NAMESPACE), listed(there)).on("PATCH", path, withdrawn)
    uid = there["metadata"]["uid"]
    answer = held.call("POST", _path(held, f"/rejections/{uid}/withdraw"), {"reason": "fine"}).data
    assert (answer["withdrawn"]["by"]["username"], answer["withdrawn"]["reason"]) == (ANNA, "fine")
    held.call("POST", _path(held, f"/rejections/{held.uid(APPS, 'chat')}/withdraw"), {"reason": "fine"}).error(404)


def test_a_rejection_by_row_does_not_need_the_version(held: RestStage) -> None:
    held.call("POST", _path(held, "/rejections"), {"deployment_id": held.uid(ROWS, "chat-a"), "reason": "bad"})
    assert [each["spec"]["workflowHash"] for each in held.created(REJECTIONS)] == [make.flow_hash("v1")]
    held.call("POST", _path(held, "/rejections"), {"reason": "bad"}).error(422)


def test_rejections_are_listed_and_shown_by_releases_and_previews(held: RestStage) -> None:
    held.script.on("GET", REJECTIONS.path(make.NAMESPACE), listed(rules.rejection("v1", by=OTTO)))
    (answer,) = held.get(_path(held, "/rejections"))
    RejectionResponse.model_validate(answer)
    says = f"v1 was rejected by {OTTO}: it loses invoices"
    assert (answer["message"], answer["workflow"], answer["version"]) == (says, "chat", "v1")
    versions = held.get(f"/v1/workflows/{held.uid(WORKFLOWS, 'chat')}/versions")
    for each in versions:
        VersionResponse.model_validate(each)
    assert {each["version"]: (each["rejected"], each["rejection_id"]) for each in versions} == {
        "v2": (None, None),
        "v1": (says, answer["id"]),
    }
    one, two = (held.uid(VERSIONS, f"chat-{each}") for each in ("v1", "v2"))
    compared = held.get(f"/v1/workflows/{held.uid(WORKFLOWS, 'chat')}/versions/{two}/diff?with={one}")
    assert [(compared[side]["rejected"], compared[side]["rejection_id"]) for side in ("from", "to")] == [(says, answer["id"]), (None, None)]
    error = held.call("POST", _path(held, "/deploy/preview"), _body(held)).error(409)
    assert error["message"].startswith(says)
    held.script.on("GET", REJECTIONS.path(make.NAMESPACE), failure(403, "Forbidden"))
    assert held.get(_path(held, "/rejections")) == []


def test_a_release_is_rejected_by_its_flow_whatever_it_is_called(held: RestStage) -> None:
    """v3 has the flow of v1, which was rejected as v7. v2 was rejected, deleted and recreated with another flow."""
    held.put(make.version_manifest("v3", make.with_spec(flow=make.flow("v1"))))
    old = rules.rejection("v2", by=OTTO, workflowHash=make.flow_hash("v8"))
    nameless = rules.rejection("v1", by=OTTO, named="v7")
    held.script.on("GET", REJECTIONS.path(make.NAMESPACE), listed(old, nameless))
    path = f"/v1/workflows/{held.uid(WORKFLOWS, 'chat')}/versions"

    def read() -> list[str]:
        return [sent.path for sent in held.script.sent if sent.path.startswith(f"{VERSIONS.path(make.NAMESPACE)}/")]

    for _ in range(2):
        assert {each["version"]: each["rejected"] for each in held.get(path)} == {
            "v3": f"v3 was rejected by {OTTO}: it loses invoices",
            "v2": None,
            "v1": f"v1 was rejected by {OTTO}: it loses invoices",
        }
    assert len(read()) == 3, "each release is read once"
    held.script.on("GET", REJECTIONS.path(make.NAMESPACE), listed())
    held.put(make.version_manifest("v4"))
    held.get(path)
    assert len(read()) == 3, "where nothing is rejected none is"
    held.script.on("GET", REJECTIONS.path(make.NAMESPACE), listed(nameless))
    held.script.on("GET", VERSIONS.path(make.NAMESPACE, "chat-v4"), failure(403, "Forbidden"))
    assert held.get(path)[0]["rejected"] is None


def test_a_withdrawal_is_of_every_rejection_of_the_flow(held: RestStage) -> None:
    one, other = rules.rejection("v1", by=OTTO), rules.rejection("v1", by="cara", name="again")
    others = rules.rejection("v2", name="others", workflow="others")
    held.script.on("GET", REJECTIONS.path(make.NAMESPACE), listed(one, other, others))
    for each in (one, other):
        withdrawn = {**each, "spec": {**each["spec"], "withdrawn": {"by": ANNA, "reason": "fine"}}}
        held.script.on("PATCH", REJECTIONS.path(make.NAMESPACE, each["metadata"]["name"]), withdrawn)
    path = _path(held, f"/rejections/{one['metadata']['uid']}/withdraw")
    assert held.call("POST", path, {"reason": "fine"}).data["id"] == one["metadata"]["uid"]
    assert len([sent for sent in held.script.writes() if sent.method == "PATCH"]) == 2
    assert [each["id"] for each in held.get(_path(held, "/rejections"))].count(others["metadata"]["uid"]) == 1, (
        "as what it was rejected is no matter"
    )


# Suspension and policies.


def test_an_app_is_suspended_and_that_is_taken_off(held: RestStage) -> None:
    answer = held.call("POST", _path(held, "/suspend")).data
    AppDetails.model_validate(answer)
    (sent,) = [each.body for each in held.script.writes() if each.method == "PATCH"]
    assert sent["spec"] == {"suspend": True}
    assert held.call("POST", _path(held, "/unsuspend")).status == 200


def test_policies_are_for_those_who_may_read_them(held: RestStage) -> None:
    made = make.stored({"kind": "DeployPolicy", "metadata": {"name": "production"}, "spec": {"namespaceSelector": {}}})
    held.script.on("GET", DEPLOY_POLICIES.path(), listed(made))
    (answer,) = held.get("/v1/deploy-policies")
    Policy.model_validate(answer)
    assert (answer["name"], answer["spec"]) == ("production", {"namespaceSelector": {}})
    held.script.on("GET", DEPLOY_POLICIES.path(), failure(403, "Forbidden", "you may not"))
    assert "guards show what blocks it" in held.call("GET", "/v1/deploy-policies").error(403)["message"]
