"""An Approval of a waiting row: the row that it is for, its effect, the remaining requirements, and approvals that would have no effect."""

from __future__ import annotations

import contextlib

import pytest

from dynamiq_operator.actions.approvals import ApprovalPlan, ApprovalRequest, outcome_lines, perform_approval, plan_approval
from dynamiq_operator.actions.idempotency import CallerKey, KeyClaim, KeyReused
from dynamiq_operator.actions.identity import REVIEWS
from dynamiq_operator.actions.refusals import Changed, NotAllowed, NotNow
from dynamiq_operator.kube.resources import APPROVALS, DEPLOY_POLICIES, NAMESPACES
from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.scripted import Reply, Script, ScriptedApi, listed
from tests.support.scripted_namespace import EXISTS, created, flow_path, holding, lacking, permitting
from tests.unit.support import rules

PATH = APPROVALS.path(given.NAMESPACE)
LIVE = given.row_manifest("chat-a", given.live(1, "v1"))
APPROVE = ApprovalRequest(given.NAMESPACE, given.NAME, Purpose.APPROVE)


def of(purpose: Purpose, row: str | int | None = None, message: str | None = None) -> ApprovalRequest:
    return ApprovalRequest(given.NAMESPACE, given.NAME, purpose, row, message)


def stage(*rows: Manifest, app: Manifest | None = None, by: str = "otto") -> Script:
    """Returns a script of an App with these rows, for a caller of this name."""
    script = holding(app or given.app_manifest(), LIVE, *rows)
    script.on("POST", PATH, rules.stamping(by))
    return script.on("POST", REVIEWS, {"status": {"userInfo": {"username": by}}})


def waits(name: str = "chat-b", sequence: int = 2, needed: int = 1) -> Manifest:
    return given.stored(given.row_manifest(name, rules.awaiting(sequence, needed=needed)))


def messages(plan: ApprovalPlan) -> list[str]:
    """Returns the messages about an Approval that the API server stamped."""
    return outcome_lines(plan, {"spec": {"by": plan.by}})


def test_an_approval_names_what_the_row_pins() -> None:
    row = waits()
    script = stage(row)
    plan = plan_approval(ScriptedApi(script), of(Purpose.APPROVE, None, "read it"))
    assert script.bodies("POST", PATH) == []
    performed = perform_approval(ScriptedApi(script), plan)
    (sent,) = script.bodies("POST", PATH)
    assert sent["spec"] == {"row": "chat-b", "digest": row["spec"]["pinned"]["digest"], "purpose": "Approve", "message": "read it"}
    assert performed.made["metadata"]["name"] == sent["metadata"]["name"]
    assert outcome_lines(plan, performed.made) == ["approved #2 (chat-b) of chat", "nothing else holds it: it is deployed"]


@pytest.mark.parametrize(
    ("row", "purpose", "missing"),
    [
        (rules.awaiting(2, needed=2), Purpose.APPROVE, "1 more approval is needed"),
        (rules.awaiting(2, needed=3, there=1), Purpose.APPROVE, "1 more approval is needed"),
        (rules.held(2), Purpose.RESUME, "nothing else holds it: it is deployed"),
        (rules.awaiting(2), Purpose.REJECT, "#2 (chat-b) is not deployed, and ends"),
    ],
)
def test_a_preview_names_the_missing_requirements(row: given.Modifier, purpose: Purpose, missing: str) -> None:
    plan = plan_approval(ScriptedApi(stage(given.stored(given.row_manifest("chat-b", row)))), of(purpose))
    assert messages(plan)[1:] == [missing]


@pytest.mark.parametrize(
    ("by", "why"),
    [
        ("anna", r"anna is the author of row #2 \(chat-b\): someone else has to approve it, with the role dynamiq-approver"),
        ("system:serviceaccount:ci:bot", "service account system:serviceaccount:ci:bot is not listed by every policy"),
    ],
)
def test_an_approval_that_would_have_no_effect_is_refused(by: str, why: str) -> None:
    """Otherwise the approver would leave, and the row would wait on."""
    script = stage(waits(), by=by)
    with pytest.raises(NotAllowed, match=why):
        plan_approval(ScriptedApi(script), APPROVE)


def test_a_preview_of_an_approval_names_only_the_other_requirements() -> None:
    """The row's status is older than the approval, and still requires it."""
    row = waits()
    frozen = "Frozen until 2026-11-30T06:00:00Z (freeze weekend of policy production), then someone who may deploy runs `…`"
    for message in (
        f"Needs 2 things: (1) {frozen}; (2) {rules.AWAITS}",
        f"{frozen}; it awaits 1 approval (policy production): `…`, by who may",
    ):
        row["status"]["waits"] |= {"reason": "Frozen", "message": message}
        plan = plan_approval(ScriptedApi(stage(row)), APPROVE)
        assert messages(plan)[1:] == [f"After this approval it still needs: {frozen}"]


def test_a_preview_warns_a_caller_who_may_not_approve() -> None:
    script = permitting(stage(waits()), but=[("approve", "deployments")])
    assert plan_approval(ScriptedApi(script), APPROVE).warnings == (
        "you could not do this: you may not approve deployments.dynamiq.getdynamiq.ai in namespace demo",
    )


def test_a_repeated_approval_is_a_no_op() -> None:
    row = waits(needed=2)
    script = stage(row).on("GET", PATH, listed(rules.approval(row, "otto")))
    plan = plan_approval(ScriptedApi(script), APPROVE)
    assert plan.existing is not None
    assert messages(plan) == ["you have approved #2 (chat-b) already: nothing to do"]


@pytest.mark.parametrize(
    "before",
    [{"by": "cara"}, {"restored": True}, {"digest": f"sha256:{'0' * 64}"}, {"purpose": "Resume"}],
    ids=["by another", "from a backup", "of another digest", "another word"],
)
def test_an_approval_without_effect_is_no_former_approval(before: Manifest) -> None:
    row = waits(needed=2)
    made = rules.approval(row, "otto")
    made["spec"] |= before
    assert plan_approval(ScriptedApi(stage(row).on("GET", PATH, listed(made))), APPROVE).existing is None


def test_an_approval_that_has_expired_can_be_given_again() -> None:
    row = waits(needed=2)
    made = rules.approval(row, "otto")
    made["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    assert plan_approval(ScriptedApi(stage(row).on("GET", PATH, listed(made))), APPROVE).existing is None


def test_one_of_several_waiting_rows_has_to_be_named() -> None:
    script = stage(waits(), waits("chat-c", 3))
    with pytest.raises(NotNow, match=r"several rows of chat wait, #3 \(chat-c\), #2 \(chat-b\): name one"):
        plan_approval(ScriptedApi(script), APPROVE)
    assert plan_approval(ScriptedApi(script), of(Purpose.APPROVE, "#2")).row["metadata"]["name"] == "chat-b"


def test_to_resume_is_meant_of_what_can_be_resumed() -> None:
    script = stage(waits(), given.stored(given.row_manifest("chat-c", rules.held(3, "v3"))))
    assert plan_approval(ScriptedApi(script), of(Purpose.RESUME)).row["metadata"]["name"] == "chat-c"


HOLDS = {"row": "chat-a", "sequence": 1}
BACK = given.stored(given.row_manifest("chat-a", given.live(1, "v1", holds=HOLDS)))


def holding_back(*rows: Manifest, by: str = "otto", holds: Manifest = HOLDS) -> Script:
    """Returns a script of an App whose changes from Git are on hold."""
    live = {"row": "chat-a", "sequence": 1, "workflowVersion": "v1", "runtime": "1.0.0"}
    script = holding(given.app_manifest(given.with_status(holds=holds, live=live)), *rows)
    return script.on("POST", REVIEWS, {"status": {"userInfo": {"username": by}}})


def test_a_hold_is_lifted_where_nothing_waits_yet() -> None:
    """The Resume is for the live row, which carries the hold."""
    plan = plan_approval(ScriptedApi(holding_back(BACK)), of(Purpose.RESUME))
    assert plan.manifest["spec"]["row"] == "chat-a"
    assert messages(plan)[1:] == ["changes from Git are applied again"]


def test_a_hold_is_lifted_while_a_row_by_hand_awaits_approval() -> None:
    script = holding_back(BACK, waits())
    assert plan_approval(ScriptedApi(script), of(Purpose.RESUME)).row["metadata"]["name"] == "chat-a"
    with pytest.raises(NotNow, match=r"Nobody has to resume row #2 \(chat-b\): Needs 1 approval"):
        plan_approval(ScriptedApi(script), of(Purpose.RESUME, "#2"))


def test_an_operator_of_before_noted_no_hold_of_a_row_that_took_a_version_back() -> None:
    reverted = given.stored(given.row_manifest("chat-a", given.live(1, "v1", source="Revert")))
    assert plan_approval(ScriptedApi(holding_back(reverted)), of(Purpose.RESUME)).row["metadata"]["name"] == "chat-a"


@pytest.mark.parametrize("live", [LIVE, BACK], ids=["nothing was held before", "what runs holds, too"])
@pytest.mark.parametrize("back", [given.progressing(12, "v1"), rules.awaiting(12, "v1")], ids=["rolls out", "waits itself"])
def test_a_rollback_that_is_not_live_yet_is_not_resumed(live: Manifest, back: given.Modifier) -> None:
    holds = {"row": "chat-l", "sequence": 12}
    script = holding_back(live, given.row_manifest("chat-l", back), holds=holds)
    with pytest.raises(NotNow, match="rollback #12 is not live yet: resume once it is"):
        plan_approval(ScriptedApi(script), of(Purpose.RESUME))
    with pytest.raises(NotNow, match="resume once it is live"):
        plan_approval(ScriptedApi(holding_back(LIVE)), of(Purpose.RESUME, "chat-a"))


def test_a_row_that_carries_the_hold_on_is_named_while_it_rolls_out() -> None:
    with pytest.raises(NotNow, match="row #2 is not live yet"):
        plan_approval(
            ScriptedApi(holding_back(BACK, given.row_manifest("chat-b", given.progressing(2, "v1", holds=HOLDS)))), of(Purpose.RESUME)
        )


def test_a_resumption_without_a_target_names_the_requirements_of_waiting_rows() -> None:
    lost = waits()
    lost["spec"]["outcome"] = {
        "result": "Overtaken",
        "reason": "variables of the App were changed: deploy again",
        "at": "2026-11-24T12:00:00Z",
    }
    for rows, says in (
        ((), "no row of chat can be resumed, none waits"),
        ((waits(),), r"Nobody has to resume row #2 \(chat-b\): Needs 1 approval"),
        ((lost,), r"no row of chat can be resumed, row #2 \(chat-b\) ended: variables of the App were changed: deploy again"),
        ((waits(), waits("chat-c", 3)), r"no row of chat can be resumed, #3 \(chat-c\), #2 \(chat-b\) wait for something else"),
    ):
        with pytest.raises(NotNow, match=says):
            plan_approval(ScriptedApi(stage(*rows)), of(Purpose.RESUME))


def test_a_resume_of_a_freeze_does_not_stand_for_the_one_after_it() -> None:
    """The Resume was given during the freeze. The operator counts only one that is given after its end."""
    row = given.stored(given.row_manifest("chat-b", rules.held(2)))
    script = stage(row).on("GET", PATH, listed(rules.approval(row, "otto", "Resume")))
    plan = plan_approval(ScriptedApi(script), of(Purpose.RESUME))
    assert (plan.existing, messages(plan)[0]) == (None, "resumed #2 (chat-b) of chat")
    lifted = holding_back(BACK).on("GET", PATH, listed(rules.approval(BACK, "otto", "Resume")))
    assert plan_approval(ScriptedApi(lifted), of(Purpose.RESUME)).existing is not None


# Approvals without effect.


def unverified(row: Manifest) -> Manifest:
    pinned = {name: value for name, value in row["spec"]["pinned"].items() if name != "createdByVerified"}
    return {**row, "spec": {**row["spec"], "pinned": pinned}}


def test_a_row_without_a_stamped_author_can_be_neither_approved_nor_withdrawn() -> None:
    with pytest.raises(NotAllowed, match="did not stamp who made the row, so its author is unknown: no approval of it counts"):
        plan_approval(ScriptedApi(stage(unverified(waits()))), APPROVE)
    with pytest.raises(NotAllowed, match="reject it instead"):
        plan_approval(ScriptedApi(stage(unverified(waits()), by="anna")), of(Purpose.WITHDRAW))


@pytest.mark.parametrize(
    ("row", "purpose", "left"),
    [
        (rules.awaiting(2), Purpose.APPROVE, "1 more approval is needed"),
        (rules.held(2), Purpose.RESUME, f"it still needs: {rules.HELD}"),
    ],
)
def test_an_approval_without_a_stamp_is_reported_as_without_effect(row: given.Modifier, purpose: Purpose, left: str) -> None:
    api = ScriptedApi(stage(given.stored(given.row_manifest("chat-b", row))).on("POST", PATH, created))
    plan = plan_approval(api, of(purpose))
    _, nothing, still = outcome_lines(plan, perform_approval(api, plan).made)
    assert "the API server did not stamp its author" in nothing
    assert still == left


FLUX = "system:serviceaccount:flux-system:kustomize-controller"


def policy(name: str = "production", **spec: object) -> Manifest:
    return given.stored({"kind": "DeployPolicy", "metadata": {"name": name}, "spec": {"namespaceSelector": {}, **spec}})


@pytest.mark.parametrize(
    ("by", "policies", "is_vain"),
    [
        (FLUX, (), True),
        ("otto", (), False),
        ("robot", (policy(automation={"users": ["robot"]}),), True),
        (FLUX, (policy(automation={"users": ["robot"]}),), False),
        ("robot", (policy(namespaceSelector={"matchLabels": {"a": "b"}}, automation={"users": ["robot"]}),), False),
    ],
    ids=["Flux", "a person", "as a policy says", "another than a policy says", "as a policy of others says"],
)
def test_automation_resumes_nothing(by: str, policies: tuple[Manifest, ...], is_vain: bool) -> None:
    for rows in ([LIVE, given.stored(given.row_manifest("chat-b", rules.held(2)))], [BACK]):
        script = holding_back(*rows, by=by).on("GET", DEPLOY_POLICIES.path(), listed(*policies))
        api = ScriptedApi(script.on("GET", NAMESPACES.path("", given.NAMESPACE), {"metadata": {}}))
        if is_vain:
            with pytest.raises(NotAllowed, match="is automation to the rules for deploys: a person has to resume row"):
                plan_approval(api, of(Purpose.RESUME))
        else:
            assert messages(plan_approval(api, of(Purpose.RESUME)))[1] in (
                "changes from Git are applied again",
                "nothing else holds it: it is deployed",
            )


def test_a_service_account_is_listed_by_each_policy_or_by_none() -> None:
    row, bot = waits(), "system:serviceaccount:ci:bot"
    listed_once = {**row["spec"]["pinned"]["guards"][0], "serviceAccounts": [bot]}
    for guards, is_vain in (([listed_once], False), ([listed_once, row["spec"]["pinned"]["guards"][0]], True)):
        pinned = {**row["spec"]["pinned"], "guards": guards}
        api = ScriptedApi(stage({**row, "spec": {**row["spec"], "pinned": pinned}}, by=bot))
        with pytest.raises(NotAllowed, match="is not listed by every policy") if is_vain else contextlib.nullcontext():
            plan_approval(api, APPROVE)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (given.failed(2, "v2"), "has ended: no pod became Ready"),
        (given.progressing(2, "v2"), "waits for nothing"),
        (given.waiting(2), "is not pinned yet"),
        (rules.held(2), "needs no approval: Changes from Git"),
    ],
)
def test_a_row_that_waits_for_no_approval_takes_none(row: given.Modifier, why: str) -> None:
    script = stage(given.row_manifest("chat-b", row))
    with pytest.raises(NotNow, match=why):
        plan_approval(ScriptedApi(script), of(Purpose.APPROVE, "chat-b"))


def test_an_approval_is_refused_if_no_row_waits() -> None:
    with pytest.raises(NotNow, match="no row of chat waits"):
        plan_approval(ScriptedApi(stage()), APPROVE)


def test_only_the_author_withdraws() -> None:
    with pytest.raises(NotAllowed, match="only its author, anna"):
        plan_approval(ScriptedApi(stage(waits(), by="otto")), of(Purpose.WITHDRAW))
    assert messages(plan_approval(ScriptedApi(stage(waits(), by="anna")), of(Purpose.WITHDRAW)))[0] == "withdrawn #2 (chat-b) of chat"


def test_another_digest_than_the_caller_saw_is_refused() -> None:
    request = ApprovalRequest(given.NAMESPACE, given.NAME, Purpose.APPROVE, digest=f"sha256:{'0' * 64}")
    with pytest.raises(Changed, match="digest was sha256:0000"):
        plan_approval(ScriptedApi(stage(waits())), request)


def test_a_key_makes_one_approval_and_another_request_under_it_is_refused() -> None:
    row = waits()
    name = KeyClaim.of(CallerKey("otto", "once"), "Approve", row["metadata"]["uid"], APPROVE, "chat-b").row
    path = APPROVALS.path(given.NAMESPACE, name)
    api = ScriptedApi(lacking(stage(row), path))
    plan = plan_approval(api, APPROVE, key=CallerKey("otto", "once"))
    made = perform_approval(api, plan).made
    assert made["metadata"]["name"] == name
    api.script.on("POST", PATH, EXISTS).on("GET", path, made)
    assert perform_approval(api, plan_approval(api, APPROVE, key=CallerKey("otto", "once"))).is_replayed
    with pytest.raises(KeyReused):
        plan_approval(api, of(Purpose.APPROVE, None, "another"), key=CallerKey("otto", "once"))


def test_an_approval_whose_response_was_lost_is_found_again() -> None:
    api = ScriptedApi(stage(waits()))
    plan = plan_approval(api, APPROVE)
    name = plan.manifest["metadata"]["name"]
    api.script.on("POST", PATH, Reply(cut=True)).on("GET", APPROVALS.path(given.NAMESPACE, name), plan.manifest)
    assert perform_approval(api, plan).made["metadata"]["name"] == name


JUDGED = {
    "result": "Breaking",
    "against": {"row": "chat-a", "sequence": 1},
    "breaks": [{"kind": "Fails", "name": "size", "runs": 3, "of": 9}],
}


@pytest.mark.parametrize(
    ("pins", "judged"), [({}, ""), ({"contract": JUDGED}, ", and whom it may break was judged against #1")], ids=["not judged", "judged"]
)
def test_an_approver_sees_what_the_author_saw(pins: Manifest, judged: str) -> None:
    row = given.stored(given.row_manifest("chat-c", rules.awaiting(3, base={"row": "chat-a", "sequence": 1}, **pins)))
    rows = (given.row_manifest("chat-a", given.superseded(1, "v1")), given.row_manifest("chat-b", given.live(2, "v1")), row)
    script = holding(given.app_manifest(), *rows, given.version_manifest("v1"), given.version_manifest("v2"))
    script.on("POST", REVIEWS, {"status": {"userInfo": {"username": "otto"}}})
    api = ScriptedApi(lacking(script, flow_path("v1"), flow_path("v2")))
    preview = plan_approval(api, of(Purpose.APPROVE, "#3")).preview(api)
    assert preview.now is not None
    assert (preview.now.sequence, preview.then.version, preview.then.sequence, preview.waits) == (2, "v2", 3, rules.AWAITS)
    assert any(line.startswith("+") for line in preview.flow_diff)
    assert preview.warnings == ("it was made while #1 was live, and #2 is now: fields that it leaves out come from #1" + judged,)
