"""Environments over HTTP: the targets to which an App can be promoted, and its state there."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.kube.resources import APPS, NAMESPACES, VERSIONS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.environments.responses import Environment
from dynamiq_operator.rest.reads.environments import MOST
from tests.support import factories as make
from tests.support.rest_stage import DOMAIN, UNKNOWN, RestStage, a_namespace
from tests.support.scripted import failure

YES = {"allowed": True, "needs": None}


def _path(stage: RestStage) -> str:
    return f"/v1/apps/{stage.uid(APPS, 'chat')}/environments"


def _environments(stage: RestStage) -> list[Any]:
    found: list[Any] = stage.get(_path(stage))
    for each in found:
        Environment.model_validate(each)
    return found


def _later(made: Manifest) -> Manifest:
    """Returns the same object, changed after the index has seen it."""
    return {**made, "metadata": {**made["metadata"], "resourceVersion": "2"}}


def test_its_own_environment_comes_first_and_then_production(stage: RestStage) -> None:
    stage.put(a_namespace("canary", project="support", environment="canary"))
    stage.put(a_namespace("elsewhere", project="billing", environment="production"))
    stage.put(a_namespace("unlabelled", project="support"))
    answer = _environments(stage)
    assert [(each["environment"], each["project_name"], each["is_own"]) for each in answer] == [
        ("staging", "demo", True),
        ("production", "prod", False),
        ("canary", "canary", False),
    ]
    own, production, _ = answer
    assert (own["app_id"], own["live_version"], own["hostname"]) == (stage.uid(APPS, "chat"), "v2", f"chat.demo.{DOMAIN}")
    assert own["promote"]["allowed"] is False
    assert production == {
        "environment": "production",
        "project_id": stage.uid(NAMESPACES, "prod"),
        "project_name": "prod",
        "is_own": False,
        "app_id": None,
        "live_version": None,
        "hostname": None,
        "needs_hostname": False,
        "promote": YES,
    }


def test_the_app_of_the_same_name_there(stage: RestStage) -> None:
    live = {"row": "chat-x", "sequence": 7, "workflowVersion": "v1", "runtime": "1.0.0"}
    there = stage.put(make.app_manifest(make.in_namespace("prod"), make.with_hostname("chat.example.com"), make.with_status(live=live)))
    production = _environments(stage)[1]
    assert (production["app_id"], production["live_version"]) == (there["metadata"]["uid"], "v1")
    assert (production["hostname"], production["needs_hostname"]) == ("chat.example.com", False)


def test_a_first_promotion_of_an_app_with_a_hostname_needs_one_there(stage: RestStage) -> None:
    stage.put(_later(make.app_manifest(make.with_hostname("staging.example.com"))))
    own, production = _environments(stage)
    assert (own["needs_hostname"], production["needs_hostname"]) == (False, True)


def test_an_unreadable_namespace_is_no_environment(stage: RestStage) -> None:
    stage.allow(lambda _verb, _plural, namespace: namespace != "prod")
    assert [each["project_name"] for each in _environments(stage)] == ["demo"]


def test_an_unreadable_app_of_the_target_is_not_shown(stage: RestStage) -> None:
    stage.put(make.app_manifest(make.in_namespace("prod"), make.with_hostname("chat.example.com")))
    stage.put(_later(make.app_manifest(make.with_hostname("staging.example.com"))))
    stage.script.on("GET", APPS.path("prod", "chat"), failure(403, "Forbidden"))
    production = _environments(stage)[1]
    assert (production["app_id"], production["hostname"], production["needs_hostname"]) == (None, None, False)


def test_promoting_takes_the_right_to_make_what_is_not_there(stage: RestStage) -> None:
    lacks = "{} in prod: the role dynamiq-promoter has it"
    for plural in ("deployments", "apps", "workflowversions"):
        stage.allow(lambda verb, asked, namespace, plural=plural: (verb, asked, namespace) != ("create", plural, "prod"))  # type: ignore[misc]
        needs = lacks.format(f"create {plural}.dynamiq.getdynamiq.ai")
        assert _environments(stage)[1]["promote"] == {"allowed": False, "needs": needs}
    stage.put(make.app_manifest(make.in_namespace("prod")))
    stage.put(make.version_manifest("v2", make.in_namespace("prod")))
    stage.allow(lambda verb, plural, _: verb != "create" or plural == "deployments")
    assert _environments(stage)[1]["promote"] == YES, "the App and the version are there"


def test_the_required_right_does_not_reveal_an_unreadable_version_of_the_target(stage: RestStage) -> None:
    stage.put(make.app_manifest(make.in_namespace("prod")))
    stage.allow(lambda verb, plural, namespace: (verb, plural, namespace) != ("create", "workflowversions", "prod"))
    stage.script.on("GET", VERSIONS.path("prod", "chat-v2"), failure(403, "Forbidden"))
    there_is_none = _environments(stage)[1]["promote"]
    stage.put(make.version_manifest("v2", make.in_namespace("prod")))
    assert _environments(stage)[1]["promote"]["allowed"] is True, "it is there, and may be read"
    stage.script.on("GET", VERSIONS.path("prod", "chat-v2"), failure(403, "Forbidden"))
    assert _environments(stage)[1]["promote"] == there_is_none


def test_production_is_an_environment_however_many_others_there_are(stage: RestStage) -> None:
    stage.put(a_namespace("bare", project="support"))
    for number in range(2 * MOST):
        stage.put(a_namespace(f"demo-pr-{number:02}", project="support", environment=f"pr-{number:02}"))
    assert [each["project_name"] for each in _environments(stage)] == [
        "demo",
        "prod",
        *(f"demo-pr-{number:02}" for number in range(MOST - 1)),
    ]
    stage.allow(lambda _verb, _plural, namespace: namespace in ("demo", "prod"))
    assert [each["project_name"] for each in _environments(stage)] == ["demo", "prod"]
    assert stage.get(f"/v1/apps/{stage.uid(APPS, 'chat')}/rights")["promote"] == YES


def test_a_namespace_of_no_project_is_an_environment_for_itself(stage: RestStage) -> None:
    stage.put(_later(a_namespace("demo")))
    (own,) = _environments(stage)
    assert (own["environment"], own["is_own"]) == (None, True)


def test_an_app_that_may_not_be_seen(stage: RestStage) -> None:
    stage.script.on("GET", APPS.path("demo", "chat"), failure(403, "Forbidden"))
    seen = stage.call("GET", _path(stage)).error(404)["message"]
    assert seen.replace(stage.uid(APPS, "chat"), UNKNOWN) == stage.call("GET", f"/v1/apps/{UNKNOWN}/environments").error(404)["message"]


def test_environments_are_not_returned_in_part(stage: RestStage) -> None:
    stage.script.on("GET", APPS.path("prod", "chat"), failure(503, "ServiceUnavailable", "away"))
    stage.call("GET", _path(stage)).error(503)
    stage.script.on("GET", APPS.path("prod", "chat"), failure(401, "Unauthorized"))
    stage.call("GET", _path(stage)).error(401)
