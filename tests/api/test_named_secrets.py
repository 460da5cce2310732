"""A user who names a Secret in an App must be allowed to read it: an App is no way around RBAC."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dynamiq_operator.model.base import GROUP
from local.clusters import Cluster
from tests.support import rest
from tests.support.admission import made, refused
from tests.support.api import Api, Manifest, fresh_namespace
from tests.support.factories import Modifier, app_manifest, exposed, in_namespace, with_spec, with_variables
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("guarded")

AUTHOR = "author"
MOST = 8
RBAC = "rbac.authorization.k8s.io"


@pytest.fixture(scope="module")
def place(cluster: Cluster, guarded: None) -> Iterator[str]:
    """Yields a namespace in which the author may write Apps, and read the Secrets s0 to s9 by name."""
    api = Api.of(cluster)
    with fresh_namespace(api, "named secrets") as namespace:
        rules = [
            {"apiGroups": [GROUP], "resources": ["apps"], "verbs": ["get", "create", "update", "patch"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": [f"s{number}" for number in range(10)]},
        ]
        meta = {"name": AUTHOR, "namespace": namespace}
        made(api.create({"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": meta, "rules": rules}))
        binding = rest.of_user(AUTHOR, namespace, AUTHOR)
        made(api.create({**binding, "roleRef": {**binding["roleRef"], "kind": "Role"}}))
        acting = api.acting_as(AUTHOR)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s9", "namespace": namespace}}
        eventually("the author's rights apply", lambda: {acting.read(each).status for each in (secret, an_app(namespace))} == {404})
        yield namespace


@pytest.fixture
def author(api: Api) -> Api:
    return api.acting_as(AUTHOR)


def an_app(namespace: str, *modifiers: Modifier, name: str = "chat") -> Manifest:
    return app_manifest(in_namespace(namespace), *modifiers, name=name)


def taking(*secrets: str) -> Modifier:
    return with_variables(*({"name": f"V{at}", "secret": {"name": secret, "key": "key"}} for at, secret in enumerate(secrets)))


def test_only_who_may_read_a_secret_names_it(api: Api, author: Api, place: str) -> None:
    def naming(*secrets: str) -> Manifest:
        return an_app(place, taking(*secrets), name="first")

    refused(author.create(naming("s0", "other")), "Secret other", AUTHOR, "may not read")
    made(author.create(naming("s0", "s1")))
    refused(author.apply(naming("s0", "s1", "other")), "Secret other")
    made(api.apply(naming("s0", "s1", "other")))
    for secret, allowed in (("other", False), ("s3", True)):
        served = with_spec(hostname="chat.example"), exposed("Ingress", tls={"secretName": secret})
        answer = author.create(an_app(place, *served, name="with-a-certificate"))
        assert answer.ok is allowed, answer.message
    # A user who may write Apps but not read ConfigMaps may name one: secrets belong in a Secret.
    made(author.create(an_app(place, with_variables({"name": "MODEL", "configMap": {"name": "models", "key": "best"}}), name="mapped")))


def test_secrets_that_an_app_already_names_may_stay(api: Api, author: Api, place: str) -> None:
    """The right is checked only when an App first names a Secret."""
    app = an_app(place, taking("other", "s0"), name="named")
    made(api.create(app))
    made(author.merge(app, {"spec": {"description": "changed"}}))
    made(author.apply({**app, "spec": {**app["spec"], "access": {"type": "public"}}}))
    made(author.merge(app, {"spec": {"variables": [{"name": "ANOTHER", "secret": {"name": "other", "key": "key"}}]}}))
    made(author.merge(app, {"spec": {"variables": []}}))
    refused(author.merge(app, {"spec": {"variables": app["spec"]["variables"]}}), "Secret other")


def test_many_at_once(api: Api, author: Api, place: str) -> None:
    every = [f"s{number}" for number in range(10)]

    def naming(*secrets: str) -> Manifest:
        return an_app(place, taking(*secrets), name="many")

    refused(author.create(naming(*every)), "name at most 8 new Secrets at once")
    made(author.create(naming(*every[:MOST])))
    made(author.apply(naming(*every)))
    made(api.apply(naming(*(f"x{number}" for number in range(100)))))
