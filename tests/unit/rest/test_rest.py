"""The management API without a cluster: names, users, configs, pages, and the parts of objects that the index keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from kubernetes import client as kubernetes
from pydantic import BaseModel

from dynamiq_operator.actions.create_app import slug
from dynamiq_operator.kube.resources import APPS, NAMESPACES, ROWS, VERSIONS
from dynamiq_operator.model.base import DNS_LABEL_MAX
from dynamiq_operator.model.engines import NODE_TYPES
from dynamiq_operator.model.guards import StandingGuard
from dynamiq_operator.model.runs import Shape
from dynamiq_operator.rest.app import document
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.examples import EXAMPLES
from dynamiq_operator.rest.http.models import RequestModel, ResponseModel
from dynamiq_operator.rest.http.pagination import Paging
from dynamiq_operator.rest.http.sessions import CallerSession, User, token_of
from dynamiq_operator.rest.identity import responses as of_identity
from dynamiq_operator.rest.identity.routes import me
from dynamiq_operator.rest.kube.client import ApiClient, ApiServer
from dynamiq_operator.rest.kube.entries import owned_by
from dynamiq_operator.rest.kube.id_index import IdIndex, newest_of
from dynamiq_operator.rest.parts.deployment import ConfigShape, GuardResponse, WaitsResponse
from dynamiq_operator.rest.parts.responses import Author
from dynamiq_runtime import flow

NOBODY = ApiClient("http://nowhere.invalid", urllib3.PoolManager(), lambda: None)
"""A client that sends nothing."""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Customer support", "customer-support"),
        ("Café no. 1", "cafe-no-1"),
        ("2 fast", "app-2-fast"),
        ("a" * 60, "a" * DNS_LABEL_MAX),
        ("x" * 39 + " y", "x" * 39),
    ],
)
def test_an_app_is_named_after_what_people_call_it(name: str, expected: str) -> None:
    assert slug(name) == expected


def test_a_name_without_a_latin_letter_still_gives_a_name() -> None:
    assert slug("客服") != slug("支持")
    assert slug("客服").startswith("app-")


def test_people() -> None:
    anna, account = User("anna@example.com", ("Anna", "Ek")), User("system:serviceaccount:demo:bot")
    assert (anna.email, account.email) == ("anna@example.com", None)
    assert anna.id == User("anna@example.com").id != account.id
    assert (anna.is_service_account, account.is_service_account) == (False, True)
    assert b'"first_name":"Anna"' in bytes(me(CallerSession(NOBODY, anna, "")).body)
    of_identity.Me.model_validate({**Author.read(anna.username).plain(), "first_name": "Anna", "last_name": "Ek"})
    with pytest.raises(HttpProblem, match="service account"):
        me(CallerSession(NOBODY, account, ""))


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("bearer  abc", "abc"), ("Basic abc", None), ("Bearer", None), ("Bearer a b", None), (None, None)],
)
def test_tokens(header: str | None, token: str | None) -> None:
    assert token_of(header) == token


def test_requests_of_callers_are_sent_without_the_programs_own_credentials() -> None:
    configuration = kubernetes.Configuration()
    configuration.host, configuration.cert_file, configuration.key_file = "https://nowhere.invalid", "own.crt", "own.key"
    configuration.api_key["BearerToken"] = "own"
    server = ApiServer(configuration)
    own, callers = server.own, server.of("theirs")
    assert own.credentials == ("own", "own.crt")
    assert callers.credentials == ("Bearer theirs", None)


def test_configs() -> None:
    assert ConfigShape.read({"type": "serverless"}).plain() == {"deployment_type": "serverless", "config": {}}
    scaling = {"min_replicas": 1, "max_replicas": 5, "target_cpu_utilization_percentage": 80}
    expected = {"deployment_type": "server_based", "config": {"autoscaling": scaling, "resources": None}}
    assert ConfigShape.read({"type": "server", "autoscaling": {"maxReplicas": 5}}).plain() == expected


@pytest.mark.parametrize(
    ("page", "size", "found", "pages"), [(1, 2, [5, 4], 3), (3, 2, [1], 3), (4, 2, [], 3), (1, 500, [5, 4, 3, 2, 1], 1)]
)
def test_pages(page: int, size: int, found: list[int], pages: int) -> None:
    answer = Paging(page=page, page_size=size).of([5, 4, 3, 2, 1], lambda item: item)
    expected = f'{{"data":{found},"pagination":{{"page":{page},"page_size":{size},"page_count":{pages},"total_count":5}}}}'
    assert bytes(answer.body).decode() == expected.replace(", ", ",")


def test_no_item_is_no_page() -> None:
    assert b'"page_count":0,"total_count":0' in bytes(Paging().of([], lambda item: item).body)


def test_the_runtime_runs_the_node_types_of_the_catalog() -> None:
    assert list(NODE_TYPES) == list(flow.TYPES)


def test_examples_are_of_their_models() -> None:
    document()  # it defines all of them
    models = {model.__name__: model for base in (RequestModel, ResponseModel, Shape) for model in _subclasses(base)}
    named = [name for name in EXAMPLES if name[0].isupper()]
    for name in named:
        models[name].model_validate(EXAMPLES[name])
    assert len(named) >= 60


def _subclasses(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in model.__subclasses__():
        yield each
        yield from _subclasses(each)


def test_parts_are_read_by_their_types() -> None:
    stored = {"reason": "Soaking", "message": "…", "appliesTo": ("Promotion",), "seconds": 3600, "namespaces": ("staging",)}
    guard = GuardResponse.read(stored)
    assert guard.plain() == {
        "reason": "Soaking",
        "message": "…",
        "applies_to": ["Promotion"],
        "policy": None,
        "until": None,
        "seconds": 3600,
        "namespaces": ["staging"],
        "clusters": None,
        "when": None,
    }
    assert guard == GuardResponse.read(stored) != GuardResponse.read(stored, seconds=60)
    assert WaitsResponse.read({"reason": "Frozen", "message": "…", "approvals": 0}).plain() == {
        **dict.fromkeys(WaitsResponse.model_fields),
        "reason": "Frozen",
        "message": "…",
        "approvals": 0,
        "resumable": False,
    }
    with pytest.raises(KeyError):
        WaitsResponse.read({"reason": "Frozen"})


def test_a_guard_of_an_apps_status_is_in_the_answer_with_all_of_its_fields() -> None:
    assert set(GuardResponse.model_fields) == set(StandingGuard.model_fields)
    assert set(document()["components"]["schemas"]["Guard"]["required"]) == set(StandingGuard.model_fields)


def _meta(name: str, version: int, **more: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "demo", "uid": f"uid-of-{name}", "resourceVersion": str(version), **more}
    return {"metadata": meta, "spec": {"app": "chat"}}


def test_the_index_keeps_the_newest_version_and_no_deleted_object() -> None:
    apps = IdIndex(NOBODY).of(APPS)
    apps.put(_meta("chat", 5))
    apps.put(_meta("chat", 4, uid="another"))
    found = apps.named("demo", "chat")
    assert found is not None
    assert found.uid == "uid-of-chat"
    apps.remove("uid-of-chat")
    apps.put(_meta("chat", 3))
    assert apps.get("uid-of-chat") is None


def test_the_later_of_two_rows_of_one_second_is_the_newest() -> None:
    rows = IdIndex(NOBODY).of(ROWS)
    of_chat, at = [{"kind": "App", "uid": "uid-of-chat"}], "2026-11-24T12:00:00Z"
    rows.put(_meta("chat-z", 1, ownerReferences=of_chat, creationTimestamp=at))
    rows.put(_meta("chat-a", 2, ownerReferences=of_chat, creationTimestamp=at))
    rows.put(_meta("chat-z", 3, ownerReferences=of_chat, creationTimestamp=at))
    newest = rows.newest(owned_by("demo", "uid-of-chat"))
    assert newest is not None
    assert newest.name == "chat-a"


def test_the_index_finds_rows_by_their_app_and_versions_by_their_workflow() -> None:
    index = IdIndex(NOBODY)
    index.of(ROWS).put(_meta("chat-1", 1))
    assert index.of(ROWS).group(owned_by("demo", "uid-of-chat")) == []
    index.of(ROWS).put(_meta("chat-1", 2, ownerReferences=[{"kind": "App", "uid": "uid-of-chat"}]))
    assert [entry.name for entry in index.of(ROWS).group(owned_by("demo", "uid-of-chat"))] == ["chat-1"]
    for version in ("my-flow-v2", "my-flow-v10", "my-flow-b-v3"):
        index.of(VERSIONS).put(_meta(version, 1))
    assert sorted(index.versions("demo", "my-flow")) == ["v10", "v2"]
    assert newest_of(index.versions("demo", "my-flow")) == "v10"
    assert index.of(NAMESPACES).all() == []
