"""Who names a Secret in an App must be allowed to read it: an App is no way around RBAC."""

from __future__ import annotations

import pytest

from tests.support.admission import made, refused
from tests.support.api import Api, Manifest
from tests.support.cluster import Kubectl
from tests.support.factories import Modifier, app_manifest, exposed, in_namespace, with_spec, with_variables
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("guarded")

AUTHOR = "author"
MOST = 8


@pytest.fixture
def author(api: Api, kubectl: Kubectl, namespace: str) -> Api:
    """Somebody who may write Apps and read the Secrets s0 to s9, by name."""
    kubectl("create", "role", "author", "--verb=get,create,update,patch", "--resource=apps.dynamiq.getdynamiq.ai", namespace=namespace)
    names = [f"--resource-name=s{number}" for number in range(10)]
    kubectl("create", "role", "reader", "--verb=get", "--resource=secrets", *names, namespace=namespace)
    for role in ("author", "reader"):
        kubectl("create", "rolebinding", role, f"--role={role}", f"--user={AUTHOR}", namespace=namespace)
    acting = api.acting_as(AUTHOR)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s9", "namespace": namespace}}
    eventually("the author's rights apply", lambda: {acting.read(each).status for each in (secret, naming(namespace))} == {404})
    return acting


def naming(namespace: str, *secrets: str) -> Manifest:
    return app_manifest(in_namespace(namespace), taking(*secrets))


def taking(*secrets: str) -> Modifier:
    return with_variables(*({"name": f"V{at}", "secret": {"name": secret, "key": "key"}} for at, secret in enumerate(secrets)))


def test_only_who_may_read_a_secret_names_it(api: Api, author: Api, namespace: str) -> None:
    refused(author.create(naming(namespace, "s0", "other")), "Secret other", AUTHOR, "may not read")
    made(author.create(naming(namespace, "s0", "s1")))
    refused(author.apply(naming(namespace, "s0", "s1", "other")), "Secret other")
    made(api.apply(naming(namespace, "s0", "s1", "other")))


def test_what_an_app_names_already_may_stay(api: Api, author: Api, namespace: str) -> None:
    made(api.create(naming(namespace, "other")))
    made(author.merge(naming(namespace), {"spec": {"description": "changed"}}))
    made(author.merge(naming(namespace), {"spec": {"variables": []}}))
    refused(author.merge(naming(namespace), {"spec": naming(namespace, "other")["spec"]}), "Secret other")


def test_a_certificate_is_a_secret_too(author: Api, namespace: str) -> None:
    for secret, allowed in (("other", False), ("s3", True)):
        asked = app_manifest(in_namespace(namespace), with_spec(hostname="chat.example"), exposed("Ingress", tls={"secretName": secret}))
        answer = author.create(asked)
        assert answer.ok is allowed, answer.message


def test_a_caller_who_changes_something_else_is_not_checked_again(api: Api, author: Api, namespace: str) -> None:
    """What an App may name is decided when it is named first."""
    made(api.create(app_manifest(in_namespace(namespace), taking("other", "s0"))))
    made(author.apply(app_manifest(in_namespace(namespace), taking("other", "s0"), with_spec(access={"type": "public"}))))
    renamed = {"spec": {"variables": [{"name": "ANOTHER", "secret": {"name": "other", "key": "key"}}]}}
    made(author.merge(app_manifest(in_namespace(namespace)), renamed))


def test_a_config_map_is_no_secret(author: Api, namespace: str) -> None:
    """Whoever may write Apps but not read ConfigMaps names one all the same: what must be kept secret is in a Secret."""
    variable = {"name": "MODEL", "configMap": {"name": "models", "key": "best"}}
    made(author.create(app_manifest(in_namespace(namespace), with_variables(variable))))


def test_many_at_once(api: Api, author: Api, namespace: str) -> None:
    every = [f"s{number}" for number in range(10)]
    refused(author.create(naming(namespace, *every)), "in several steps")
    made(author.create(naming(namespace, *every[:MOST])))
    made(author.apply(naming(namespace, *every)))
    made(api.apply(naming(namespace, *(f"x{number}" for number in range(100)))))
