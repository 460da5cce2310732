"""Access Keys over HTTP: listed without values, created and shown once, revoked, each with the caller's own right to the Secret."""

from __future__ import annotations

import base64

import pytest

from dynamiq_operator.actions.idempotency import TRIES
from dynamiq_operator.kube.resources import APPS, SECRETS
from dynamiq_operator.model import names, ownership
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.access_keys.responses import AccessKey, MadeAccessKey
from tests.support.rest_stage import UNKNOWN, RestStage
from tests.support.scripted import Reply, failure

SECRET = SECRETS.path("demo", names.access_keys("chat"))
LONG = "a-long-secret-key"


def _path(stage: RestStage, name: str = "") -> str:
    return f"/v1/apps/{stage.uid(APPS, 'chat')}/access-keys{f'/{name}' if name else ''}"


def _secret(**keys: str) -> Manifest:
    data = {name: base64.b64encode(value.encode()).decode() for name, value in keys.items()}
    return {"metadata": {"name": names.access_keys("chat"), "uid": "u", "resourceVersion": "7"}, "data": data}


@pytest.fixture
def keyed(stage: RestStage) -> RestStage:
    """Returns App chat with two keys."""
    stage.script.on("GET", SECRET, _secret(default=LONG, ci="short")).on("PATCH", SECRET, Reply())
    return stage


def test_keys_are_listed_without_their_values(keyed: RestStage) -> None:
    answered = keyed.call("GET", _path(keyed))
    for each in answered.data:
        AccessKey.model_validate(each)
    assert answered.data == [{"name": "ci", "begins": ""}, {"name": "default", "begins": "a-lo"}]
    assert b"short" not in answered.content
    assert LONG.encode() not in answered.content


def test_an_app_that_was_never_deployed_has_none(stage: RestStage) -> None:
    assert stage.get(_path(stage)) == []
    assert "made with its first deploy" in stage.call("POST", _path(stage)).error(409)["message"]


def test_keys_of_an_app_that_had_the_name_before_are_none_of_its(stage: RestStage) -> None:
    """These keys will be deleted with the old App: a new key among them would not work."""
    before = _secret(default=LONG)
    before["metadata"]["ownerReferences"] = [ownership.reference("chat", UNKNOWN)]
    stage.script.on("GET", SECRET, before)
    assert stage.get(_path(stage)) == []
    assert "made with its first deploy" in stage.call("POST", _path(stage)).error(409)["message"]
    assert stage.script.bodies("PATCH", SECRET) == []


def test_a_key_is_returned_once(keyed: RestStage) -> None:
    answered = keyed.call("POST", _path(keyed), {"name": "website"})
    assert answered.status == 201
    MadeAccessKey.model_validate(answered.data)
    made = answered.data
    (sent,) = keyed.script.bodies("PATCH", SECRET)
    assert base64.b64decode(sent["data"]["website"]).decode() == made["value"]
    assert sent["metadata"] == {"uid": "u", "resourceVersion": "7"}
    assert (made["name"], made["begins"], made["is_announced"]) == ("website", made["value"][:4], True)
    assert len(made["value"]) >= 40
    assert answered.headers["cache-control"] == "no-store"
    (patch,) = keyed.script.bodies("PATCH", APPS.path("demo", "chat"))
    assert list(patch["metadata"]["annotations"]) == [names.KEYS_CHANGED_ANNOTATION]
    assert keyed.call("POST", _path(keyed)).data["name"].startswith("key-")


def test_a_caller_who_may_not_change_the_app_gets_an_unannounced_key(keyed: RestStage) -> None:
    keyed.script.on("PATCH", APPS.path("demo", "chat"), failure(403, "Forbidden"))
    assert keyed.call("POST", _path(keyed), {}).data["is_announced"] is False


@pytest.mark.parametrize(
    ("name", "status", "says"),
    [("default", 409, "taken"), (".hidden", 422, "begin with"), ("a/b", 422, "letters"), ("x" * 254, 422, "253")],
)
def test_a_name_that_cannot_be(keyed: RestStage, name: str, status: int, says: str) -> None:
    assert says in keyed.call("POST", _path(keyed), {"name": name}).error(status)["details"]["name"]
    assert keyed.script.bodies("PATCH", SECRET) == []


def test_a_key_is_revoked(keyed: RestStage) -> None:
    answered = keyed.call("DELETE", _path(keyed, "ci"))
    assert (answered.status, answered.content) == (204, b"")
    assert [sent["data"] for sent in keyed.script.bodies("PATCH", SECRET)] == [{"ci": None}]
    assert "no key other" in keyed.call("DELETE", _path(keyed, "other")).error(404)["message"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_right_is_the_callers_own(keyed: RestStage, method: str) -> None:
    keyed.script.on("GET", SECRET, failure(403, "Forbidden", "anna may not get secrets"))
    assert "anna may not get secrets" in keyed.call(method, _path(keyed)).error(403)["message"]
    keyed.script.on("GET", APPS.path("demo", "chat"), failure(403, "Forbidden"))
    seen = keyed.call(method, _path(keyed)).error(404)["message"]
    assert seen.replace(keyed.uid(APPS, "chat"), UNKNOWN) == keyed.call(method, f"/v1/apps/{UNKNOWN}/access-keys").error(404)["message"]


def test_a_caller_who_may_only_read_keys_is_forbidden_to_write_them(keyed: RestStage) -> None:
    keyed.script.on("PATCH", SECRET, failure(403, "Forbidden", "anna may not patch secrets"))
    keyed.call("POST", _path(keyed)).error(403)
    keyed.call("DELETE", _path(keyed, "ci")).error(403)


def test_a_secret_that_others_write_at_the_same_moment(keyed: RestStage) -> None:
    conflict = failure(409, "Conflict")
    keyed.script.on("PATCH", SECRET, conflict, Reply())
    assert keyed.call("POST", _path(keyed)).status == 201
    keyed.script.on("PATCH", SECRET, *[conflict] * TRIES)
    assert "somebody else is changing" in keyed.call("DELETE", _path(keyed, "ci")).error(409)["message"]
