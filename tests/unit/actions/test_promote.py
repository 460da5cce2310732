"""Promoting: the parts that are promoted, those that the target keeps, what is missing, and what a key covers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dynamiq_operator.actions import idempotency
from dynamiq_operator.actions.idempotency import NOTED_MOST, CallerKey, KeyClaim, KeyReused, Performed
from dynamiq_operator.actions.promote import (
    NeedsHostname,
    PromotionRequest,
    find_target,
    perform_confirmed_promotion,
    perform_promotion,
    plan_promotion,
    promote_once,
    promotion_claim,
)
from dynamiq_operator.actions.refusals import Changed, NotAllowed, NotNow, Refusal, Taken, Unknown
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, NAMESPACES, ROWS, RUNTIMES, SECRETS, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.base import GROUP
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.scripted import Reply, Script, ScriptedApi, Sent, failure, listed
from tests.support.scripted_namespace import (
    CONFLICT,
    EXISTS,
    FORBIDDEN,
    NOT_FOUND,
    created,
    environment,
    flow_path,
    holding,
    hostnames,
    lacking,
    permitting,
)

STAGING, PRODUCTION, QA = given.NAMESPACE, "production", "qa"
REQUEST = PromotionRequest(STAGING, given.NAME, message="out")
LABELLED = {
    "metadata": {"name": STAGING, "labels": {names.PROJECT_LABEL: "chat", names.ENVIRONMENT_LABEL: "staging"}},
}
TARGETS = [
    {"metadata": {"name": name, "labels": {names.PROJECT_LABEL: "chat", names.ENVIRONMENT_LABEL: name}}} for name in (PRODUCTION, QA)
]
APP_PATH = APPS.path(STAGING, given.NAME)


def staging(*modifiers: given.Modifier) -> Script:
    """Returns a script of an App that serves v1 and two empty environments. The caller may do everything."""
    script = holding(given.app_manifest(*modifiers), given.row_manifest("chat-7", given.live(7, "v1")), given.version_manifest("v1"))
    script.on("GET", NAMESPACES.path("", STAGING), LABELLED).on("GET", NAMESPACES.path(), listed(LABELLED, *TARGETS))
    script.on("GET", RUNTIMES.path("", given.RUNTIME_NAME), given.stored(given.runtime_manifest()))
    script.on("GET", APPS.path(), hostnames())
    for target in (PRODUCTION, QA):
        script.on("GET", NAMESPACES.path("", target), environment(target, target))
        holding(namespace=target, script=script)
        lacking(script, APPS.path(target, given.NAME), VERSIONS.path(target, "chat-v1"))
    return lacking(permitting(script), flow_path("v1"))


def in_production(script: Script, *objects: Manifest) -> Script:
    """Adds these objects to the target."""
    placed = [{**made, "metadata": {**made["metadata"], "namespace": PRODUCTION}} for made in objects]
    return holding(*placed, namespace=PRODUCTION, script=script)


def posted(script: Script) -> list[tuple[str, str]]:
    """Returns kind and namespace of the objects that were created."""
    return [
        (sent.body["kind"], sent.body["metadata"]["namespace"])
        for sent in script.writes()
        if sent.method == "POST" and sent.path.startswith(f"/apis/{GROUP}/")
    ]


def test_a_first_promotion_makes_the_version_the_app_and_the_row() -> None:
    script = staging(given.with_spec(displayName="Chat", triggers=[{"name": "t", "schedule": "0 9 * * *"}]))
    api = ScriptedApi(script)
    plan = plan_promotion(api, REQUEST)
    assert posted(script) == [], "a plan writes nothing"
    text = "\n".join(plan.lines())
    assert "promote demo/chat v1 (#7) to production" in text
    assert "App chat is made in production" in text
    assert "WorkflowVersion chat-v1 is put into production" in text
    performed = perform_promotion(api, plan)
    assert posted(script) == [("WorkflowVersion", PRODUCTION), ("App", PRODUCTION), ("Deployment", PRODUCTION)]
    assert script.bodies("POST", ROWS.path(PRODUCTION)) == [plan.deploy.row] == [plan.preview.row]
    record = performed.made["spec"]
    assert (record["workflowVersion"], record["runtime"], record["message"]) == ("v1", given.RUNTIME_NAME, "out")
    assert record["promotedFrom"] == {"namespace": STAGING, "app": given.NAME, "row": "chat-7", "hash": given.flow_hash("v1")}
    (app,) = script.bodies("POST", APPS.path(PRODUCTION))
    assert (app["spec"]["workflow"], app["spec"]["displayName"], "triggers" in app["spec"]) == (given.NAME, "Chat", False)


def test_a_later_promotion_keeps_what_is_the_targets_own() -> None:
    script = in_production(staging(), given.app_manifest(), given.row_manifest("chat-1", given.live(1, "v0")), given.version_manifest("v1"))
    lacking(script, flow_path("v0", PRODUCTION), VERSIONS.path(PRODUCTION, "chat-v0"))
    plan = plan_promotion(ScriptedApi(script), REQUEST)
    assert (plan.version, plan.new_app) == (None, None)
    assert "runtime" not in plan.deploy.row["spec"]
    assert "config" not in plan.deploy.row["spec"]


def test_a_version_of_another_flow_gives_way_to_the_next_number() -> None:
    other = given.version_manifest("v1", given.with_spec(flow=given.flow("other")))
    plan = plan_promotion(ScriptedApi(in_production(staging(), other)), REQUEST)
    assert plan.version is not None
    assert plan.version["metadata"]["name"] == "chat-v2"
    assert plan.version["metadata"]["annotations"] == {names.ORIGIN_ANNOTATION: "demo/chat v1"}
    brought = given.version_manifest("v2", given.with_spec(flow=given.flow("v1")))
    again = plan_promotion(ScriptedApi(in_production(staging(), other, brought)), REQUEST)
    assert (again.version, again.preview.then.version) == (None, "v2")


def test_a_promotion_warns_of_variables_that_the_target_lacks() -> None:
    value = {"name": "LEVEL", "value": "debug"}
    plan = plan_promotion(ScriptedApi(staging(given.with_variables(value))), REQUEST)
    assert "values of LEVEL are taken from demo" in plan.preview.warnings
    script = in_production(staging(given.with_variables(value)), given.app_manifest(), given.version_manifest("v1"))
    assert "production has no variable LEVEL, which demo has" in plan_promotion(ScriptedApi(script), REQUEST).preview.warnings


OTHER_CONFIG = {**given.CONFIG, "autoscaling": {"minReplicas": 4, "maxReplicas": 9, "targetCPUUtilizationPercentage": 80}}
SECRET = {"name": "TOKEN", "secret": {"name": "vault", "key": "token"}}


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (NOT_FOUND, "variable TOKEN needs Secret vault with a key token"),
        ({"data": {"other": "x"}}, "variable TOKEN needs key token of Secret vault"),
    ],
)
def test_a_promotion_without_its_secret_is_refused(found: Any, says: str) -> None:
    script = staging(given.with_variables(SECRET)).on("GET", SECRETS.path(PRODUCTION, "vault"), found)
    with pytest.raises(Refusal, match=says):
        plan_promotion(ScriptedApi(script), REQUEST)


@pytest.mark.parametrize("found", [FORBIDDEN, {"data": {"token": "x"}}])
def test_a_secret_that_is_there_or_may_not_be_read_is_no_obstacle(found: Any) -> None:
    script = staging(given.with_variables(SECRET)).on("GET", SECRETS.path(PRODUCTION, "vault"), found)
    assert plan_promotion(ScriptedApi(script), REQUEST).new_app is not None


def test_a_hostname_has_to_be_given_for_the_target() -> None:
    api = ScriptedApi(staging(given.with_hostname("chat.staging.example")))
    with pytest.raises(NeedsHostname) as lacking_one:
        plan_promotion(api, REQUEST)
    assert lacking_one.value.field == "hostname"
    plan = plan_promotion(api, replace(REQUEST, hostname="chat.example"))
    assert plan.new_app is not None
    assert plan.new_app["spec"]["hostname"] == "chat.example"


def test_an_impossible_promotion_is_refused_with_the_reason() -> None:
    nothing_live = holding(given.app_manifest())
    other_app = in_production(staging(), given.app_manifest(given.with_spec(workflow="other")))
    no_flow = lacking(staging(), VERSIONS.path(STAGING, "chat-v1"))
    cases: list[tuple[Script, PromotionRequest, type[Refusal], str]] = [
        (nothing_live, REQUEST, Refusal, "serves nothing"),
        (staging(), replace(REQUEST, environment="dev"), Unknown, "no environment dev; there are: production, qa, staging"),
        (staging(), replace(REQUEST, environment="staging"), Refusal, "is staging itself"),
        (other_app, REQUEST, Taken, "runs workflow other"),
        (no_flow, REQUEST, Refusal, "is in no ConfigMap"),
    ]
    for script, request, kind, says in cases:
        with pytest.raises(kind, match=says):
            plan_promotion(ScriptedApi(script), request)
        assert posted(script) == []


@pytest.mark.parametrize("plural", ["apps", "workflowversions", "deployments"])
def test_a_missing_right_is_a_warning_of_the_preview_and_refused_before_anything_is_created(plural: str) -> None:
    script = permitting(staging(), but=[("create", plural)])
    plan = plan_promotion(ScriptedApi(script), REQUEST)
    assert [warning for warning in plan.preview.warnings if f"you may not create {plural}" in warning]
    with pytest.raises(NotAllowed, match=f"you may not create {plural}.*dynamiq-promoter"):
        perform_promotion(ScriptedApi(script), plan)
    assert posted(script) == []


@pytest.mark.parametrize(
    ("verb", "asked", "role"),
    [
        ("deploy", REQUEST, "the role dynamiq-promoter"),
        ("bypass", replace(REQUEST, bypass_reason="the shop is down"), "the role dynamiq-bypass"),
    ],
)
def test_a_caller_who_may_not_deploy_or_bypass_there_is_refused_before_anything_is_created(
    verb: str, asked: PromotionRequest, role: str
) -> None:
    script = permitting(staging(), but=[(verb, "deployments")])
    plan = plan_promotion(ScriptedApi(script), asked)
    says = f"you may not {verb} deployments.{GROUP} in namespace {PRODUCTION}"
    assert f"you could not do this: {says}" in plan.preview.warnings
    with pytest.raises(NotAllowed, match=f"{says}: ask for {role} there"):
        perform_promotion(ScriptedApi(script), plan)
    assert posted(script) == []


def test_a_first_promotion_of_a_suspended_app_is_not_suspended() -> None:
    plan = plan_promotion(ScriptedApi(staging(given.with_spec(suspend=True))), REQUEST)
    assert plan.new_app is not None
    assert "suspend" not in plan.new_app["spec"]


def test_a_first_promotion_leaves_settings_changed_by_out() -> None:
    plan = plan_promotion(ScriptedApi(staging(given.with_spec(settingsChangedBy="ada"))), REQUEST)
    assert plan.new_app is not None
    assert "settingsChangedBy" not in plan.new_app["spec"]


def test_a_first_promotion_lets_no_page_of_the_source_environment_call_the_target() -> None:
    access = {"type": "private", "origins": ["https://staging.example.com"]}
    plan = plan_promotion(ScriptedApi(staging(given.with_spec(access=access))), REQUEST)
    assert plan.new_app is not None
    assert plan.new_app["spec"]["access"] == {"type": "private"}


def test_a_promotion_that_has_changed_after_its_preview_is_refused() -> None:
    script = staging()
    plan = plan_promotion(ScriptedApi(script), REQUEST)
    in_production(script, given.app_manifest(), given.row_manifest("chat-1", given.live(1, "v0", config=OTHER_CONFIG)))
    lacking(script, flow_path("v0", PRODUCTION), VERSIONS.path(PRODUCTION, "chat-v0"))
    with pytest.raises(Changed) as changed:
        perform_confirmed_promotion(ScriptedApi(script), plan)
    assert {(each.field, each.confirmed, each.now) for each in changed.value.differences if each.field == "newApp"} == {
        ("newApp", True, False)
    }
    assert "config" in [each.field for each in changed.value.differences]
    assert posted(script) == []


def test_a_confirmed_promotion_leaves_nothing_open() -> None:
    script = in_production(staging(), given.app_manifest(), given.row_manifest("chat-1", given.live(1, "v0")), given.version_manifest("v1"))
    lacking(script, flow_path("v0", PRODUCTION), VERSIONS.path(PRODUCTION, "chat-v0"))
    made = perform_confirmed_promotion(ScriptedApi(script), plan_promotion(ScriptedApi(script), REQUEST)).made["spec"]
    assert (made["workflowVersion"], made["runtime"], made["config"]) == ("v1", given.RUNTIME_NAME, given.CONFIG)


@pytest.mark.parametrize(
    ("own", "found", "kind", "says"),
    [
        ({"metadata": {"name": STAGING}}, [], Refusal, "belongs to no project"),
        (LABELLED, [TARGETS[0], {"metadata": {**TARGETS[0]["metadata"], "name": "second"}}], Refusal, "several namespaces"),
        (LABELLED, [], Unknown, "label its namespace"),
    ],
)
def test_a_target_that_is_not_one(own: Manifest, found: list[Manifest], kind: type[Refusal], says: str) -> None:
    script = Script().on("GET", NAMESPACES.path("", STAGING), own).on("GET", NAMESPACES.path(), listed(*found))
    with pytest.raises(kind, match=says):
        find_target(ScriptedApi(script), STAGING, PRODUCTION)


def test_a_caller_who_may_not_list_namespaces_names_the_target() -> None:
    script = staging().on("GET", NAMESPACES.path(), FORBIDDEN)
    with pytest.raises(NotAllowed, match="name the target's"):
        plan_promotion(ScriptedApi(script), REQUEST)
    assert plan_promotion(ScriptedApi(script), replace(REQUEST, environment=QA, target_namespace=QA)).target_namespace == QA


@pytest.mark.parametrize(
    ("target", "kind", "says"),
    [
        (NOT_FOUND, Unknown, "namespace qa does not exist: create and label it first"),
        ({"metadata": {"name": QA}}, Refusal, f"is of no environment.*kubectl label namespace qa {names.ENVIRONMENT_LABEL}=production"),
        (environment(QA, "qa"), Refusal, "namespace qa is qa, not production"),
        (environment(QA, PRODUCTION, "other"), Refusal, "belongs to project other, not to chat"),
    ],
)
def test_a_namespace_that_is_named_has_to_be_that_environment(target: Manifest | Reply, kind: type[Refusal], says: str) -> None:
    """In another namespace no policy for that environment would apply."""
    script = staging().on("GET", NAMESPACES.path("", QA), target)
    with pytest.raises(kind, match=says):
        plan_promotion(ScriptedApi(script), replace(REQUEST, target_namespace=QA))
    assert posted(script) == []


def test_a_preview_warns_of_unreadable_parts_of_the_target() -> None:
    script = staging(given.with_hostname("chat.staging.example"))
    script.on("GET", NAMESPACES.path("", QA), FORBIDDEN).on("GET", APPS.path(), FORBIDDEN).on("GET", APPS.path(QA), FORBIDDEN)
    plan = plan_promotion(ScriptedApi(script), replace(REQUEST, target_namespace=QA, hostname="chat.example"))
    assert [each for each in plan.preview.warnings if each.startswith("cannot check")] == [
        "cannot check that namespace qa is production: you may not read namespaces there",
        "cannot check that hostname chat.example is free: you may not list Apps of other namespaces there",
    ]


def test_a_preview_warns_that_the_project_is_unknown_if_the_source_namespace_is_unreadable() -> None:
    script = staging().on("GET", NAMESPACES.path("", STAGING), FORBIDDEN)
    plan = plan_promotion(ScriptedApi(script), replace(REQUEST, target_namespace=PRODUCTION))
    (warning,) = [each for each in plan.preview.warnings if each.startswith("cannot check")]
    assert warning == "cannot check that namespace production is of the same project: you may not read the source namespace"


def test_a_hostname_that_another_app_has_is_refused_before_anything_is_made() -> None:
    script = staging(given.with_hostname("chat.staging.example"))
    script.on("GET", APPS.path(), hostnames(shop__faq="chat.example", demo__chat="chat.staging.example"))
    with pytest.raises(Taken, match=r"App shop/faq has hostname chat\.example already: choose another"):
        plan_promotion(ScriptedApi(script), replace(REQUEST, hostname="chat.example"))
    assert "with hostname chat.new" in "\n".join(plan_promotion(ScriptedApi(script), replace(REQUEST, hostname="chat.new")).lines())


def test_only_apps_with_the_hostname_are_listed() -> None:
    script = staging(given.with_hostname("chat.staging.example"))
    plan_promotion(ScriptedApi(script), replace(REQUEST, hostname="chat.example"))
    assert [sent.query["fieldSelector"] for sent in script.sent if sent.path == APPS.path()] == ["status.hostname=chat.example"]


def test_all_apps_are_listed_if_an_older_crd_cannot_select_by_hostname() -> None:
    script = staging(given.with_hostname("chat.staging.example"))
    refused = failure(400, "BadRequest", "field label not supported: status.hostname")
    script.on("GET", APPS.path(), refused, hostnames(shop__faq="chat.example"))
    with pytest.raises(Taken, match=r"App shop/faq has hostname"):
        plan_promotion(ScriptedApi(script), replace(REQUEST, hostname="chat.example"))


def test_a_promotion_meets_objects_that_others_created_at_the_same_moment() -> None:
    script = staging()
    api = ScriptedApi(script)
    plan = plan_promotion(api, REQUEST)
    script.on("POST", VERSIONS.path(PRODUCTION), EXISTS)
    script.on("GET", VERSIONS.path(PRODUCTION, "chat-v1"), given.stored(given.version_manifest("v1")))
    assert perform_promotion(api, plan).made["spec"]["workflowVersion"] == "v1", "the same flow is no obstacle"
    script.on("POST", APPS.path(PRODUCTION), EXISTS).on("GET", APPS.path(PRODUCTION, given.NAME), given.stored(given.app_manifest()))
    with pytest.raises(Taken, match="promote again"):
        perform_promotion(api, plan)


def test_an_object_that_the_api_server_finds_invalid_is_a_refusal() -> None:
    script = staging()
    api = ScriptedApi(script)
    plan = plan_promotion(api, REQUEST)
    script.on("POST", APPS.path(PRODUCTION), failure(422, "Invalid", 'App "chat" is invalid: spec.hostname: no'))
    with pytest.raises(Refusal, match=r"^spec.hostname: no$"):
        perform_promotion(api, plan)


KEY = CallerKey("anna", "once")
UID = given.an_app().meta.uid


class KeptApp:
    """The App that is promoted, with annotations as they were patched under its resourceVersion."""

    def __init__(self, script: Script, *, conflicts: int = 0) -> None:
        self.app, self.conflicts = given.stored(given.app_manifest()), conflicts
        script.on("GET", APP_PATH, lambda _: self.app).on("PATCH", APP_PATH, self._patched)

    def _patched(self, sent: Sent) -> Reply:
        meta = sent.body["metadata"]
        if self.conflicts or meta["resourceVersion"] != self.app["metadata"]["resourceVersion"]:
            self.conflicts -= 1
            return CONFLICT
        version = str(int(meta["resourceVersion"]) + 1)
        self.app = {**self.app, "metadata": {**self.app["metadata"], "annotations": meta["annotations"], "resourceVersion": version}}
        return Reply(200, self.app)

    @property
    def noted(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.app["metadata"].get("annotations", {}).get(names.PROMOTIONS_ANNOTATION, "{}"))
        return found


def claim(request: PromotionRequest = REQUEST, key: CallerKey = KEY) -> KeyClaim:
    made = promotion_claim(request, UID, key)
    assert made is not None
    return made


def once(script: Script, request: PromotionRequest = REQUEST, key: CallerKey = KEY, target: str = PRODUCTION) -> Performed:
    lacking(script, *(ROWS.path(place, claim(request, key).row) for place in (STAGING, PRODUCTION, QA)))
    return promote_once(
        ScriptedApi(script), request, claim(request, key), target_of=lambda: target, places_of=lambda: [STAGING, PRODUCTION, QA]
    )


def test_a_key_covers_the_promotion_whatever_its_target() -> None:
    """Both requests arrive at once, so the second one does not see the first one's row. The App's note distinguishes them."""
    script = staging()
    app = KeptApp(script)
    row = once(script).made
    assert (row["metadata"]["namespace"], row["metadata"]["name"]) == (PRODUCTION, claim().row)
    assert len(app.noted) == 1
    before = posted(script)
    with pytest.raises(KeyReused):
        once(script, replace(REQUEST, environment=QA), target=QA)
    assert posted(script) == before
    assert once(script, replace(REQUEST, environment=QA), CallerKey("anna", "another"), QA).made["metadata"]["namespace"] == QA


def test_a_repeat_gives_the_row_of_before_wherever_it_is_found() -> None:
    script = staging()
    KeptApp(script)
    row = once(script).made
    script.on("GET", ROWS.path(PRODUCTION, claim().row), row)
    for places in ([PRODUCTION], [STAGING]):
        found = promote_once(
            ScriptedApi(script),
            REQUEST,
            claim(),
            target_of=lambda: PRODUCTION,
            places_of=lambda places=places: places,  # type: ignore[misc]
        )
        assert found == Performed(row, is_replayed=True)


def test_the_same_request_elsewhere_at_the_same_moment_is_planned_again() -> None:
    script = staging()
    KeptApp(script)
    app = given.stored(given.app_manifest(given.in_namespace(PRODUCTION)))
    script.on("POST", APPS.path(PRODUCTION), EXISTS)
    script.on("GET", APPS.path(PRODUCTION, given.NAME), NOT_FOUND, app)
    assert once(script).made["spec"]["runtime"] == given.RUNTIME_NAME, "it is still the first one"


def test_another_app_in_the_target_is_refused_at_once() -> None:
    script = in_production(staging(), given.app_manifest(given.with_spec(workflow="other")))
    with pytest.raises(Taken):
        once(script)
    assert [sent.path for sent in script.sent].count(APPS.path(PRODUCTION, given.NAME)) == 1


def test_a_note_is_written_between_the_writes_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "PAUSE", 0.0)
    script = staging()
    app = KeptApp(script, conflicts=2)
    once(script)
    assert len(app.noted) == 1
    app = KeptApp(script, conflicts=1000)
    with pytest.raises(NotNow, match="somebody else is changing App chat"):
        once(script)


def test_a_caller_who_may_not_patch_the_app_promotes_all_the_same() -> None:
    script = staging().on("PATCH", APP_PATH, FORBIDDEN)
    assert once(script).made["metadata"]["namespace"] == PRODUCTION
    script.on("PATCH", APP_PATH, failure(401, "Unauthorized"))
    with pytest.raises(errors.Denied):
        once(script)


@pytest.mark.parametrize("there", ["no JSON", "[]", json.dumps({str(number): "x" for number in range(NOTED_MOST)})])
def test_the_newest_keys_are_noted(there: str) -> None:
    script = staging()
    app = KeptApp(script)
    app.app["metadata"]["annotations"] = {names.PROMOTIONS_ANNOTATION: there}
    once(script)
    assert list(app.noted)[-1] == claim().key[:16]
    assert len(app.noted) <= NOTED_MOST


def test_a_promotion_into_a_deleted_app_is_unknown() -> None:
    script = staging()
    api = ScriptedApi(script)
    plan = plan_promotion(api, REQUEST, PRODUCTION, claim())
    script.on("GET", APP_PATH, NOT_FOUND).on("POST", ROWS.path(PRODUCTION), created)
    with pytest.raises(Unknown):
        perform_promotion(api, plan)


def test_a_note_that_the_api_server_finds_invalid_is_a_refusal() -> None:
    script = staging().on("PATCH", APP_PATH, failure(422, "Invalid", 'App "chat" is invalid: metadata.annotations: Too long'))
    with pytest.raises(Refusal, match=r"^metadata.annotations: Too long$"):
        once(script)


def test_a_key_stays_with_its_request_though_performing_it_failed() -> None:
    script = staging()
    KeptApp(script)
    script.on("POST", APPS.path(PRODUCTION), failure(422, "Invalid", 'App "chat" is invalid: spec.hostname: no'), created)
    with pytest.raises(Refusal, match=r"^spec.hostname: no$"):
        once(script)
    with pytest.raises(KeyReused):
        once(script, replace(REQUEST, message="another"))
    assert once(script).made["metadata"]["name"] == claim().row
