"""Planning and performing a deploy: the written row matches the preview, and a key deploys once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dynamiq_operator.actions.confirmed import perform_confirmed
from dynamiq_operator.actions.deploy import DeployRequest, deploy_claim, perform_deploy, plan_deploy, plan_unseen
from dynamiq_operator.actions.idempotency import CallerKey, KeyReused
from dynamiq_operator.actions.refusals import Changed, Refusal, Unknown
from dynamiq_operator.actions.rights import REVIEWS
from dynamiq_operator.desired.base import SERVICE, WORKLOAD
from dynamiq_operator.desired.flow import FLOW_KEY
from dynamiq_operator.desired.pin_labels import stored_digest
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, BY_KIND, ROWS, RUNTIMES, VERSIONS
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.scripted import Reply, Script, ScriptedApi, Sent, listed
from tests.support.scripted_namespace import EXISTS, FORBIDDEN, NOT_FOUND, created, flow_path, holding, lacking, permitting

ROW_LIST = ROWS.path(given.NAMESPACE)
KEY = CallerKey("anna", "once")
MADE_AGAIN = given.stored(given.runtime_manifest(given.with_image("registry.test/other@sha256:" + "2" * 64)))
REQUEST = DeployRequest(given.NAMESPACE, given.NAME, version="v2", message="why")
HASH_BEFORE = "7755fb4b096a51801d76fe3f2d3b2cbfcec72b87f954f2d203583ceb42c18fc8"
"""The hash of REQUEST on App `uid` in versions without conversations."""
ANY = DeployRequest(given.NAMESPACE, given.NAME)


def scaled(fewest: int) -> Manifest:
    return {"autoscaling": {"minReplicas": fewest}}


@pytest.fixture
def script() -> Script:
    """Returns a script of an App that serves v1 of two versions."""
    row = given.row_manifest("chat-1", given.live(1, "v1"))
    releases = (given.version_manifest("v1"), given.version_manifest("v2"))
    keyed = [claim.row for request in (REQUEST, ANY) if (claim := deploy_claim(request, given.an_app().meta.uid, KEY)) is not None]
    script = holding(given.app_manifest(), row, *releases)
    return lacking(script, flow_path("v1"), flow_path("v2"), *(ROWS.path(given.NAMESPACE, name) for name in keyed))


def written(script: Script) -> list[Manifest]:
    return script.bodies("POST", ROW_LIST)


@pytest.mark.parametrize("key", [None, KEY])
def test_the_written_row_is_the_previewed_one(script: Script, key: CallerKey | None) -> None:
    api = ScriptedApi(script)
    plan = plan_deploy(api, REQUEST, key=key)
    assert (plan.preview.now, plan.preview.then.version) == (plan.preview.now, "v2")
    assert written(script) == []
    performed = perform_deploy(api, plan)
    assert written(script) == [plan.row] == [plan.preview.row]
    assert not performed.is_replayed
    unseen = plan_unseen(REQUEST, deploy_claim(REQUEST, given.an_app().meta.uid, key))
    assert unseen.row == plan.row, "the plan that nobody is shown has the same record"


def test_a_preview_shows_the_changes(script: Script) -> None:
    preview = plan_deploy(ScriptedApi(script), REQUEST).preview
    assert preview.now is not None
    assert (preview.now.version, preview.now.sequence, preview.then.sequence) == ("v1", 1, None)
    assert (preview.restarts, preview.no_op, preview.warnings) == (True, False, ())
    assert any("v2" in line for line in preview.flow_diff)


def test_a_deploy_of_the_live_version_changes_nothing(script: Script) -> None:
    preview = plan_deploy(ScriptedApi(script), DeployRequest(given.NAMESPACE, given.NAME, version="v1")).preview
    assert (preview.restarts, preview.no_op, preview.flow_diff) == (False, True, ())


def test_without_a_version_it_is_the_newest(script: Script) -> None:
    assert plan_deploy(ScriptedApi(script), DeployRequest(given.NAMESPACE, given.NAME)).preview.then.version == "v2"


SESSIONS = {"rollout": {"strategy": "Switch"}, "sessions": {}}


def test_a_deploy_takes_conversations_of_other_versions_if_it_is_asked_to(script: Script) -> None:
    finishing = {"row": "chat-0", "sequence": 1, "version": "v0", "pins": "0123456789abcdef", "sessions": 2}
    app = given.app_manifest(given.with_spec(**SESSIONS), given.with_status(finishing=[finishing]))
    row = given.row_manifest("chat-1", given.live(1, "v1"))
    holding(app, row, given.version_manifest("v1"), given.version_manifest("v2"), script=script)
    for kind in (WORKLOAD, SERVICE):
        script.on("GET", BY_KIND[kind.kind].path(given.NAMESPACE), listed())
    plan = plan_deploy(ScriptedApi(script), replace(REQUEST, take_sessions=True))
    assert (plan.row["spec"]["takeSessions"], plan.preview.takes_sessions, plan.preview.has_sessions) == (True, True, True)
    live = stored_digest(row["spec"]["pinned"])
    assert plan.preview.titles == {"0123456789abcdef": "v0 (#1)", live: "v1 (#1)"}
    assert plan.preview.pins != live
    script.on("GET", RUNTIMES.path(name="tiny-1"), given.stored(given.runtime_manifest()))
    perform_confirmed(ScriptedApi(script), plan)
    assert [each["spec"]["takeSessions"] for each in written(script)] == [True]
    assert "takeSessions" not in plan_deploy(ScriptedApi(script), REQUEST).row["spec"]


def test_a_deploy_of_an_app_without_sessions_takes_none(script: Script) -> None:
    for request in (
        replace(REQUEST, take_sessions=True),
        DeployRequest(given.NAMESPACE, given.NAME, restores="chat-1", take_sessions=True),
    ):
        with pytest.raises(Refusal, match=r"chat has no spec\.sessions, so no conversation stays on its version"):
            plan_deploy(ScriptedApi(script), request)
    assert written(script) == []


def test_a_first_deploy_takes_the_newest_runtime() -> None:
    script = holding(given.app_manifest(), given.version_manifest("v1"))
    script.on("GET", RUNTIMES.path(), {"metadata": {}, "items": [given.stored(given.runtime_manifest())]})
    preview = plan_deploy(ScriptedApi(script), DeployRequest(given.NAMESPACE, given.NAME)).preview
    assert (preview.now, preview.then.version, preview.then.runtime) == (None, "v1", "1.0.0")


def test_a_rollback_does_not_need_the_workflow_version() -> None:
    rows = (given.row_manifest("chat-1", given.superseded(1, "v1")), given.row_manifest("chat-2", given.live(2, "v2")))
    script = lacking(holding(given.app_manifest(), *rows, given.version_manifest("v2")), flow_path("v2"))
    script.on("GET", flow_path("v1"), {"metadata": {}, "data": {FLOW_KEY: given.flow("v1")}})
    plan = plan_deploy(ScriptedApi(script), DeployRequest(given.NAMESPACE, given.NAME, restores="chat-1"))
    assert plan.row["spec"] == {"app": given.NAME, "restores": "chat-1"}
    assert (plan.preview.then.version, bool(plan.preview.flow_diff)) == ("v1", True)


def test_a_preview_warns_of_missing_rights_unknown_flows_and_git(script: Script) -> None:
    script.on("GET", APPS.path(given.NAMESPACE, given.NAME), given.stored(given.app_manifest(given.with_deploy(workflowVersion="v1"))))
    permitting(script, but=[("create", "deployments")])
    script.on("GET", VERSIONS.path(given.NAMESPACE, "chat-v1"), NOT_FOUND)
    warnings = plan_deploy(ScriptedApi(script), REQUEST).preview.warnings
    assert [warning.partition(":")[0] for warning in warnings] == [
        "you could not do this",
        "the flows cannot be compared",
        "Git deploys this App, too",
    ]


def test_a_preview_warns_of_a_reverted_version(script: Script) -> None:
    condition = {
        "type": "Trial",
        "status": "False",
        "reason": "Reverted",
        "message": "v2 (#2, chat-2) was reverted: 14 of 20 runs failed",
    }
    reverted = given.with_status(conditions=[{**condition, "lastTransitionTime": "2026-11-24T12:00:00Z"}])
    script.on("GET", APPS.path(given.NAMESPACE, given.NAME), given.stored(given.app_manifest(reverted)))
    assert plan_deploy(ScriptedApi(script), REQUEST).preview.warnings == (condition["message"],)


@pytest.mark.parametrize(
    ("request_", "kind", "says"),
    [
        (DeployRequest(given.NAMESPACE, "other"), Unknown, "no App other in namespace demo; Apps there: chat"),
        (DeployRequest(given.NAMESPACE, given.NAME, version="v9"), Unknown, "no version v9 of chat; released: v1, v2"),
        (DeployRequest(given.NAMESPACE, given.NAME, runtime="none"), Unknown, "no Runtime none; there are: tiny-1"),
        (DeployRequest(given.NAMESPACE, given.NAME, config={"idleSeconds": 9}), Refusal, "give type serverless with it"),
        (DeployRequest(given.NAMESPACE, given.NAME, config={"autoscaling": {"minReplicas": "x"}}), Refusal, "valid integer"),
        (DeployRequest(given.NAMESPACE, given.NAME, config=scaled(0)), Refusal, "to scale to zero, use type serverless"),
        (DeployRequest(given.NAMESPACE, given.NAME, config=scaled(5)), Refusal, "minReplicas 5 is above maxReplicas 2"),
        (DeployRequest(given.NAMESPACE, given.NAME, config=scaled(2000)), Refusal, "less than or equal to 1000"),
        (DeployRequest(given.NAMESPACE, given.NAME, restores="gone"), Unknown, "no row gone of chat"),
    ],
)
def test_an_impossible_deploy_is_refused_with_the_next_step(
    script: Script, request_: DeployRequest, kind: type[Refusal], says: str
) -> None:
    lacking(script, APPS.path(given.NAMESPACE, "other"), VERSIONS.path(given.NAMESPACE, "chat-v9"), RUNTIMES.path("", "none"))
    lacking(script, ROWS.path(given.NAMESPACE, "gone"))
    script.on("GET", RUNTIMES.path(), {"metadata": {}, "items": [given.stored(given.runtime_manifest())]})
    with pytest.raises(kind, match=says):
        plan_deploy(ScriptedApi(script), request_)
    assert written(script) == []


def test_a_deploy_without_any_release_is_unknown() -> None:
    script = holding(given.app_manifest())
    script.on("GET", RUNTIMES.path(), {"metadata": {}, "items": [given.stored(given.runtime_manifest())]})
    with pytest.raises(Unknown):
        plan_deploy(ScriptedApi(script), DeployRequest(given.NAMESPACE, given.NAME))


def test_a_preview_takes_the_rights_of_a_reader(script: Script) -> None:
    """A preview makes no dry run. If the caller may not review their own rights, it has no warning about them."""
    script.on("POST", ROW_LIST, FORBIDDEN).on("POST", REVIEWS.path(), FORBIDDEN)
    assert plan_deploy(ScriptedApi(script), REQUEST).preview.warnings == ()
    assert written(script) == []


@pytest.mark.parametrize(
    ("asked", "verbs"),
    [
        (REQUEST, ["deploy"]),
        (DeployRequest(given.NAMESPACE, given.NAME, restores="chat-1"), []),
        (DeployRequest(given.NAMESPACE, given.NAME, restores="chat-1", hold=False), ["deploy"]),
        (DeployRequest(given.NAMESPACE, given.NAME, restores="chat-1", bypass_reason="the shop is down"), ["bypass"]),
        (DeployRequest(given.NAMESPACE, given.NAME, version="v2", bypass_reason="the shop is down"), ["deploy", "bypass"]),
    ],
    ids=["a deploy", "a rollback", "one that does not hold", "one past the rules", "a deploy past the rules"],
)
def test_a_preview_names_the_verbs_that_its_caller_lacks(script: Script, asked: DeployRequest, verbs: list[str]) -> None:
    """The caller may only create rows, which suffices for a rollback."""
    permitting(script, but=[("deploy", "deployments"), ("bypass", "deployments")])
    assert plan_deploy(ScriptedApi(script), asked).preview.warnings == tuple(
        f"you could not do this: you may not {verb} deployments.dynamiq.getdynamiq.ai in namespace demo" for verb in verbs
    )


def test_runtimes_that_may_not_be_read_are_a_warning() -> None:
    script = holding(given.app_manifest(), given.version_manifest("v1")).on("GET", RUNTIMES.path(), FORBIDDEN)
    script.on("GET", RUNTIMES.path("", "tiny-9"), FORBIDDEN)
    for name, shown in ((None, "(the newest)"), ("tiny-9", "tiny-9")):
        plan = plan_deploy(ScriptedApi(script), DeployRequest(given.NAMESPACE, given.NAME, runtime=name))
        assert (plan.preview.then.runtime, ["you may not read Runtimes" in each for each in plan.preview.warnings]) == (shown, [True])
        perform_confirmed(ScriptedApi(script), plan)
    assert [row["spec"].get("runtime") for row in written(script)] == [None, "tiny-9"]


def test_a_preview_refuses_an_image_that_the_policy_refuses(script: Script) -> None:
    tagged = given.runtime_manifest(given.with_image("registry.test/runtime:latest"), name="tagged")
    script.on("GET", RUNTIMES.path("", "tagged"), given.stored(tagged))
    request = DeployRequest(given.NAMESPACE, given.NAME, runtime="tagged")
    assert plan_deploy(ScriptedApi(script), request).preview.then.runtime_name == "tagged"
    app = given.app_manifest(given.with_status(imagePolicy="digest"))
    script.on("GET", APPS.path(given.NAMESPACE, given.NAME), given.stored(app))
    with pytest.raises(Refusal, match="cluster requires a digest"):
        plan_deploy(ScriptedApi(script), request)


@pytest.mark.parametrize(
    ("found", "named"),
    [(given.stored(given.runtime_manifest()), given.RUNTIME_NAME), (NOT_FOUND, given.RUNTIME_NAME), (MADE_AGAIN, None)],
    ids=["there", "gone", "another of its name"],
)
def test_a_confirmed_deploy_leaves_nothing_open(script: Script, found: Reply | Manifest, named: str | None) -> None:
    script.on("GET", RUNTIMES.path("", given.RUNTIME_NAME), found)
    plan = plan_deploy(ScriptedApi(script), DeployRequest(given.NAMESPACE, given.NAME))
    perform_confirmed(ScriptedApi(script), plan)
    spec = {"app": given.NAME, "workflowVersion": "v2", "runtime": named, "config": given.CONFIG}
    assert [row["spec"] for row in written(script)] == [{key: value for key, value in spec.items() if value is not None}]


def test_a_row_whose_answer_was_lost_is_not_made_twice(script: Script) -> None:
    lacking(script, RUNTIMES.path("", given.RUNTIME_NAME))
    made: list[Manifest] = []

    def lost(sent: Sent) -> Reply:
        made.append(given.stored(sent.body))
        script.on("GET", ROWS.path(given.NAMESPACE, made[0]["metadata"]["name"]), made[0])
        return Reply(cut=True)

    script.on("POST", ROW_LIST, lost)
    assert perform_confirmed(ScriptedApi(script), plan_deploy(ScriptedApi(script), ANY)).made == made[0]
    script.on("POST", ROW_LIST, Reply(cut=True))
    with pytest.raises(errors.Unavailable):
        perform_deploy(ScriptedApi(script), plan_unseen(ANY))


def test_a_confirmed_deploy_is_refused_where_another_version_would_be_deployed_by_now(script: Script) -> None:
    plan = plan_deploy(ScriptedApi(script), DeployRequest(given.NAMESPACE, given.NAME))
    row = given.row_manifest("chat-1", given.live(1, "v1"))
    holding(given.app_manifest(), row, *(given.version_manifest(version) for version in ("v1", "v2", "v3")), script=script)
    with pytest.raises(Changed, match="version was v2 and is v3 now") as changed:
        perform_confirmed(ScriptedApi(script), plan)
    assert [each.field for each in changed.value.differences] == ["version", "flowHash"]
    assert written(script) == []


def test_a_confirmed_deploy_is_refused_where_somebody_else_deployed_since(script: Script) -> None:
    plan = plan_deploy(ScriptedApi(script), REQUEST)
    rows = [given.row_manifest("chat-1", given.superseded(1, "v1")), given.row_manifest("chat-2", given.live(2, "v1"))]
    holding(given.app_manifest(), *rows, *(given.version_manifest(version) for version in ("v1", "v2")), script=script)
    with pytest.raises(Changed, match=r"from\.sequence was 1 and is 2 now"):
        perform_confirmed(ScriptedApi(script), plan)
    assert written(script) == []


def test_a_repeat_of_a_confirmed_deploy_gives_the_row_of_before_whatever_changed(script: Script) -> None:
    lacking(script, RUNTIMES.path("", given.RUNTIME_NAME))
    plan = plan_deploy(ScriptedApi(script), ANY, key=KEY)
    first = perform_confirmed(ScriptedApi(script), plan).made
    script.on("GET", ROWS.path(given.NAMESPACE, first["metadata"]["name"]), first)
    script.on("GET", APPS.path(given.NAMESPACE, given.NAME), NOT_FOUND)
    again = perform_confirmed(ScriptedApi(script), plan)
    assert (again.made, again.is_replayed, len(written(script))) == (first, True, 1)


def test_a_repeat_under_a_key_gives_the_row_of_before(script: Script) -> None:
    api = ScriptedApi(script)
    plan = plan_unseen(REQUEST, deploy_claim(REQUEST, "uid", KEY))
    first = perform_deploy(api, plan).made
    script.on("POST", ROW_LIST, EXISTS).on("GET", ROWS.path(given.NAMESPACE, first["metadata"]["name"]), first)
    again = perform_deploy(api, plan)
    assert (again.made, again.is_replayed) == (first, True)
    other = DeployRequest(given.NAMESPACE, given.NAME, version="v1")
    with pytest.raises(KeyReused) as refused:
        perform_deploy(api, plan_unseen(other, deploy_claim(other, "uid", KEY)))
    assert refused.value.field == "Idempotency-Key"


def test_the_preview_of_a_repeat_shows_that_no_row_is_added(script: Script) -> None:
    api = ScriptedApi(script)
    uid = given.an_app().meta.uid
    first = perform_deploy(api, plan_unseen(REQUEST, deploy_claim(REQUEST, uid, KEY))).made
    script.on("POST", ROW_LIST, EXISTS).on("GET", ROWS.path(given.NAMESPACE, first["metadata"]["name"]), first)
    assert plan_deploy(api, REQUEST, key=KEY).preview.warnings == ("this was deployed before under the same key: no row is added",)


def test_a_key_that_a_promotion_used_elsewhere_is_refused(script: Script) -> None:
    claim = deploy_claim(REQUEST, "uid", KEY)
    assert claim is not None
    assert claim.request != getattr(deploy_claim(replace(REQUEST, take_sessions=True), "uid", KEY), "request", None)
    other = given.row_manifest(claim.row, given.in_namespace("production"))
    script.on("GET", ROWS.path("production", claim.row), given.stored(other))
    with pytest.raises(KeyReused):
        perform_deploy(ScriptedApi(script), plan_unseen(REQUEST, claim), elsewhere=["production"])
    assert written(script) == []


def test_without_a_key_a_conflict_stays_one(script: Script) -> None:
    script.on("POST", ROW_LIST, EXISTS, created)
    with pytest.raises(errors.AlreadyExists):
        perform_deploy(ScriptedApi(script), plan_unseen(REQUEST))


@pytest.mark.parametrize(
    "other",
    [
        deploy_claim(REQUEST, "uid", CallerKey("bo", "once")),
        deploy_claim(REQUEST, "uid", CallerKey("anna", "twice")),
        deploy_claim(REQUEST, "uid of another App", KEY),
    ],
)
def test_a_key_is_its_users_and_its_apps(other: object) -> None:
    claim = deploy_claim(REQUEST, "uid", KEY)
    assert claim is not None
    assert claim == deploy_claim(REQUEST, "uid", KEY)
    assert claim.row != getattr(other, "row", None)


def test_a_key_of_the_version_before_still_finds_its_row() -> None:
    """The request of that version had no field for conversations."""
    claim = deploy_claim(REQUEST, "uid", KEY)
    assert claim is not None
    assert claim.request == HASH_BEFORE
