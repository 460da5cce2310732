"""The configuration of an App over HTTP: read with its version, and changed over that version alone."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.actions.configuration import version_of
from dynamiq_operator.actions.idempotency import TRIES
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.configuration.responses import Configuration
from tests.support import factories as make
from tests.support.rest_stage import UNKNOWN, RestStage, patched
from tests.support.scripted import failure

APP = APPS.path("demo", "chat")
TOKEN = {"name": "TOKEN", "secret": {"name": "tokens", "key": "openai"}}
LANGUAGE = {"name": "LANGUAGE", "value": "en"}


def _path(stage: RestStage) -> str:
    return f"/v1/apps/{stage.uid(APPS, 'chat')}/configuration"


def _read(stage: RestStage) -> Any:
    configuration = stage.get(_path(stage))
    Configuration.model_validate(configuration)
    return configuration


def _app(*modifiers: make.Modifier) -> Manifest:
    return make.app_manifest(make.with_variables(LANGUAGE, TOKEN), *modifiers)


def _sent(stage: RestStage) -> Any:
    """Returns the spec of the only change that was sent."""
    (body,) = stage.script.bodies("PATCH", APP)
    return body["spec"]


@pytest.fixture
def configured(stage: RestStage) -> RestStage:
    """Returns App chat with two variables, a hostname and an Ingress."""
    ingress = make.exposed("Ingress", className="nginx", tls={"secretName": "chat-tls"}, annotations={"a.example/b": "c"})
    stage.put(_app(ingress, make.with_hostname("chat.example.com"), make.with_spec(displayName="Chat", description="Answers")))
    return stage


def test_a_configuration_has_the_fields_that_outlive_every_deploy(configured: RestStage) -> None:
    configuration = _read(configured)
    assert {name: value for name, value in configuration.items() if name != "object_version"} == {
        "name": "Chat",
        "description": "Answers",
        "hostname": "chat.example.com",
        "exposure": {
            "type": "Ingress",
            "class": "nginx",
            "tls_secret": "chat-tls",
            "gateway": None,
            "gateway_section": None,
            "annotations": {"a.example/b": "c"},
        },
        "access_type": "private",
        "origins": [],
        "variables": [
            {"name": "LANGUAGE", "value": "en", "secret": None, "config_map": None},
            {"name": "TOKEN", "value": None, "secret": {"name": "tokens", "key": "openai"}, "config_map": None},
        ],
        "managed_by": None,
        "is_applied": False,
        "problems": [],
    }


def test_an_app_that_leaves_everything_to_the_operator(stage: RestStage) -> None:
    configuration = _read(stage)
    assert (configuration["name"], configuration["hostname"], configuration["exposure"]["type"], configuration["variables"]) == (
        "chat",
        None,
        None,
        [],
    )
    stage.put(make.app_manifest(make.exposed("Gateway", parentRef={"name": "main", "namespace": "edge", "sectionName": "https"})))
    configuration = _read(stage)["exposure"]
    assert (configuration["type"], configuration["gateway"], configuration["gateway_section"]) == ("Gateway", "edge/main", "https")


def test_a_configuration_has_its_problems(stage: RestStage) -> None:
    since = "2026-11-24T12:00:00Z"
    taken = {
        "type": "ChildrenApplied",
        "status": "False",
        "reason": "HostnameTaken",
        "message": "another App has it",
        "lastTransitionTime": since,
    }
    fine = {"type": "VariablesResolved", "status": "True", "reason": "Resolved", "message": "", "lastTransitionTime": since}
    other = {**taken, "type": "Progressing"}
    stage.put(make.app_manifest(make.with_status(conditions=[taken, fine, other], observedGeneration=1)))
    configuration = _read(stage)
    assert configuration["is_applied"] is True
    assert [(each["type"], each["reason"], each["message"], each["since"]) for each in configuration["problems"]] == [
        ("ChildrenApplied", "HostnameTaken", "another App has it", since)
    ]


@pytest.mark.parametrize(
    ("meta", "who"),
    [
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "flux"),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "apps"}}, "flux"),
        ({"labels": {"argocd.argoproj.io/instance": "apps"}}, "argocd"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "apps:…"}}, "argocd"),
        ({"managedFields": [{"manager": "argocd-controller"}]}, "argocd"),
        ({"managedFields": [{"manager": "kustomize-controller"}]}, "flux"),
        ({"managedFields": [{"manager": "helm"}]}, "helm"),
        ({"managedFields": [{"manager": "argocd-controller", "subresource": "status"}, {"manager": "kubectl-edit"}]}, None),
        ({"annotations": {"argocd.argoproj.io/sync-options": "Prune=false", "kustomize.toolkit.fluxcd.io/prune": "disabled"}}, None),
    ],
)
def test_a_configuration_names_the_tool_that_manages_the_app(stage: RestStage, meta: Manifest, who: str | None) -> None:
    stage.put(make.app_manifest(make.with_meta(**meta)))
    assert _read(stage)["managed_by"] == who


def test_a_change_of_what_is_given_and_of_nothing_else(configured: RestStage) -> None:
    read = _read(configured)
    variables = [LANGUAGE, TOKEN, {"name": "FROM", "config_map": {"name": "settings", "key": "from"}}]
    answered = configured.call("PATCH", _path(configured), {"object_version": read["object_version"], "variables": variables}).data
    Configuration.model_validate(answered)
    (body,) = configured.script.bodies("PATCH", APP)
    assert body["metadata"] == {"uid": configured.uid(APPS, "chat"), "resourceVersion": "1"}
    assert body["spec"] == {"variables": [LANGUAGE, TOKEN, {"name": "FROM", "configMap": {"name": "settings", "key": "from"}}]}
    assert answered["variables"][2] == {"name": "FROM", "value": None, "secret": None, "config_map": {"name": "settings", "key": "from"}}
    assert answered["object_version"] != read["object_version"]
    assert answered["hostname"] == "chat.example.com"


@pytest.mark.parametrize(
    ("change", "spec"),
    [
        ({"hostname": "new.example.com"}, {"hostname": "new.example.com"}),
        ({"hostname": None, "description": None, "variables": []}, {"hostname": None, "description": None, "variables": None}),
        ({"access_type": "public"}, {"access": {"type": "public"}}),
        ({"exposure": None}, {"exposure": None}),
        (
            {"exposure": {"type": "Ingress", "annotations": {"a.example/d": "e"}}},
            {"exposure": {"type": "Ingress", "className": None, "tls": None, "annotations": {"a.example/b": None, "a.example/d": "e"}}},
        ),
        (
            {"exposure": {"type": "Gateway", "gateway": "edge/main", "gateway_section": "https"}},
            {
                "exposure": {
                    "type": "Gateway",
                    "className": None,
                    "tls": None,
                    "annotations": None,
                    "parentRef": {"name": "main", "namespace": "edge", "sectionName": "https"},
                }
            },
        ),
        ({"exposure": {"type": "Gateway", "gateway": "main"}}, None),
        ({}, {}),
    ],
)
def test_each_field_is_written_whole(configured: RestStage, change: dict[str, Any], spec: Any) -> None:
    """A merge would keep the fields of an object that the change does not name: the class of an Ingress, or an annotation."""
    body = {"object_version": _read(configured)["object_version"], **change}
    assert configured.call("PATCH", _path(configured), body).status == 200
    sent = _sent(configured)
    assert sent["exposure"]["parentRef"] == {"name": "main"} if spec is None else sent == spec


@pytest.mark.parametrize(
    ("change", "access"),
    [
        ({"access_type": "private"}, {"type": "private", "origins": ["https://a.example.com"]}),
        ({"origins": ["https://b.example.com"]}, {"type": "public", "origins": ["https://b.example.com"]}),
        ({"origins": None}, {"type": "public", "origins": None}),
        ({"origins": []}, {"type": "public", "origins": None}),
        ({"access_type": "public", "origins": ["*"]}, {"type": "public", "origins": ["*"]}),
        ({"description": "New"}, None),
    ],
)
def test_what_a_change_of_access_omits_stays(stage: RestStage, change: dict[str, Any], access: Any) -> None:
    stage.put(_app(make.with_spec(access={"type": "public", "origins": ["https://a.example.com"]})))
    read = _read(stage)
    assert (read["access_type"], read["origins"]) == ("public", ["https://a.example.com"])
    assert stage.call("PATCH", _path(stage), {"object_version": read["object_version"], **change}).status == 200
    assert _sent(stage).get("access") == access


def test_an_app_that_every_page_may_call_becomes_private_with_a_list_of_pages(stage: RestStage) -> None:
    """The console sends the access alone: the refusal names the field that it has."""
    stage.put(_app(make.with_spec(access={"type": "public", "origins": ["*"]})))
    body = {"object_version": _read(stage)["object_version"], "access_type": "private"}
    error = stage.call("PATCH", _path(stage), body).error(422)
    assert "origins" in error["details"]["access_type"]
    assert stage.script.bodies("PATCH", APP) == []
    assert stage.call("PATCH", _path(stage), {**body, "origins": ["https://a.example.com"]}).status == 200
    assert _sent(stage) == {"access": {"type": "private", "origins": ["https://a.example.com"]}}


def test_a_change_over_another_configuration_is_refused_with_what_is_so_now(configured: RestStage) -> None:
    read = _read(configured)
    configured.put(_app(make.with_hostname("other.example.com"), make.with_spec(displayName="Chat", description="Answers")))
    body = {"object_version": read["object_version"], "description": "New"}
    error = configured.call("PATCH", _path(configured), body).error(409)
    now = _read(configured)
    assert error["details"] == {
        "hostname": {"now": "other.example.com"},
        "exposure": {"now": now["exposure"]},
        "object_version": now["object_version"],
    }
    assert "hostname, exposure" in error["message"]
    assert configured.script.bodies("PATCH", APP) == []


def test_other_changes_of_the_app_are_none_of_its_configuration(configured: RestStage) -> None:
    """Status, triggers and deploys from Git write the same object."""
    read = _read(configured)
    now = configured.object(APPS, "chat")
    spec = {**now["spec"], "deploy": {"workflowVersion": "v2"}, "triggers": [{"name": "nightly", "schedule": "0 3 * * *"}]}
    meta = {**now["metadata"], "resourceVersion": "9", "generation": 4}
    configured.put({**now, "metadata": meta, "spec": spec, "status": {"observedGeneration": 4}})
    body = {"object_version": read["object_version"], "description": "New"}
    assert configured.call("PATCH", _path(configured), body).data["description"] == "New"


def test_a_write_of_others_at_the_same_moment_is_looked_at_again(configured: RestStage) -> None:
    app = configured.object(APPS, "chat")
    body = {"object_version": version_of(app), "description": "New"}
    again = {**app, "metadata": {**app["metadata"], "resourceVersion": "2"}}
    configured.script.on("GET", APP, app, again).on("PATCH", APP, failure(409, "Conflict"), patched(again))
    assert configured.call("PATCH", _path(configured), body).data["description"] == "New"
    assert [sent["metadata"]["resourceVersion"] for sent in configured.script.bodies("PATCH", APP)] == ["1", "2"]
    changed = {**again, "spec": {**again["spec"], "description": "Theirs"}}
    configured.script.on("GET", APP, app, changed).on("PATCH", APP, failure(409, "Conflict"), patched(changed))
    error = configured.call("PATCH", _path(configured), body).error(409)
    assert error["details"]["description"] == {"now": "Theirs"}
    configured.script.on("GET", APP, app).on("PATCH", APP, *[failure(409, "Conflict")] * TRIES)
    assert "somebody else is changing" in configured.call("PATCH", _path(configured), body).error(409)["message"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"variables": [{"name": "A"}]}, "variables.0"),
        ({"variables": [{"name": "A", "value": "b", "secret": {"name": "c", "key": "d"}}]}, "variables.0"),
        ({"variables": [{**LANGUAGE, "name": f"A{number}"} for number in range(129)]}, "variables"),
        ({"exposure": {"class": "nginx"}}, "exposure"),
        ({"exposure": {"type": "Gateway", "gateway_section": "https"}}, "exposure"),
        ({"exposure": {"type": "LoadBalancer"}}, "exposure.type"),
        ({"access_type": "secret"}, "access_type"),
        ({"access_type": None}, "access_type"),
        ({"origins": [f"https://{number}.example.com" for number in range(33)]}, "origins"),
        ({"origins": ["a" * 268]}, "origins.0"),
        ({"origins": "*"}, "origins"),
        ({"hostname": ""}, "hostname"),
        ({"name": "Another"}, "name"),
        ({"object_version": None}, "object_version"),
        ({"object_version": "1"}, "object_version"),
    ],
)
def test_a_change_that_cannot_be(configured: RestStage, change: dict[str, Any], field: str) -> None:
    body = {"object_version": _read(configured)["object_version"], **change}
    assert field in configured.call("PATCH", _path(configured), body).error(422)["details"]
    assert configured.script.bodies("PATCH", APP) == []


def test_a_configuration_may_have_128_variables(configured: RestStage) -> None:
    variables = [
        {"name": f"A{number}", "value": None, "config_map": None, "secret": {"name": "tokens", "key": "k"}} for number in range(128)
    ]
    body = {"object_version": _read(configured)["object_version"], "variables": variables}
    assert len(configured.call("PATCH", _path(configured), body).data["variables"]) == 128


def test_a_refusal_of_the_api_server_names_the_fields_of_the_contract(configured: RestStage) -> None:
    causes = {
        "spec.exposure.className": "for type Ingress",
        "spec.hostname": "is no DNS name",
        "spec.variables[0].name": "has letters",
        "spec.access.origins[1]": "this is no origin",
    }
    configured.script.on("PATCH", APP, failure(422, "Invalid", 'App "chat" is invalid: no', causes))
    body = {"object_version": _read(configured)["object_version"], "description": "New"}
    assert configured.call("PATCH", _path(configured), body).error(422)["details"] == {
        "exposure.class": "for type Ingress",
        "hostname": "is no DNS name",
        "variables[0].name": "has letters",
        "origins[1]": "this is no origin",
    }


def test_a_caller_who_may_only_read_is_forbidden_to_write(configured: RestStage) -> None:
    body = {"object_version": _read(configured)["object_version"], "description": "New"}
    configured.script.on("PATCH", APP, failure(403, "Forbidden", "anna may not patch apps"))
    assert "anna may not patch apps" in configured.call("PATCH", _path(configured), body).error(403)["message"]
    configured.script.on("PATCH", APP, failure(404, "NotFound"))
    configured.call("PATCH", _path(configured), body).error(404)
    configured.script.on("GET", APP, failure(403, "Forbidden"))
    for method in ("GET", "PATCH"):
        seen = configured.call(method, _path(configured), body if method == "PATCH" else None).error(404)["message"]
        assert seen.replace(configured.uid(APPS, "chat"), UNKNOWN).startswith("no App has the id")
