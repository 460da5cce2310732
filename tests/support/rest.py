"""Runs the management API as a process of this checkout, under its own account or behind a proxy, and calls it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from dynamiq_operator.model.base import GROUP
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local.clusters import Cluster
from tests.support import identities, programs
from tests.support.api import Api, Manifest
from tests.support.cluster import REPOSITORY, install_files, login_of
from tests.support.ports import free_port
from tests.support.programs import Process
from tests.support.waiting import IN_TIME, eventually

ACCOUNT = "dynamiq-api"
READY_WITHIN = 120.0  # seconds
ENDS_WITHIN = IN_TIME
RBAC = "rbac.authorization.k8s.io"
SERVER = {"deployment_type": "server_based", "config": {}}
"""The config of an App in a cluster without a gate: an App without a config sleeps."""
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@dataclass
class Client:
    """A caller with a token, of one process. It never raises for a refusal."""

    url: str
    token: str | None
    session: requests.Session = field(default_factory=requests.Session)

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        headers = {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **options.pop("headers", {})}
        payload = {"json": body} if body is not None else {}
        return self.session.request(method, f"{self.url}{path}", headers=headers, timeout=60, **payload, **options)

    def get(self, path: str, **options: Any) -> Any:
        """Returns the `data` of an answer that must be good."""
        answer = self("GET", path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def post(self, path: str, body: Any = None, status: int = 201, *, key: str | None = None) -> Any:
        """Returns the `data` of an answer that must have this status. `key`: an Idempotency-Key."""
        answer = self("POST", path, body, headers={"Idempotency-Key": key} if key else {})
        assert answer.status_code == status, answer.text
        return answer.json()["data"]

    def at(self, url: str) -> Client:
        """Returns the same caller of another process."""
        return Client(url, self.token)


def problem(answer: requests.Response, status: int, *texts: str) -> Manifest:
    """Returns the error of an answer, which must have the contract's shape, this status and these texts."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "details"}
    for each in texts:
        assert each in answer.text, answer.text
    error: Manifest = body["error"]
    return error


def install(cluster: Cluster, folder: Path) -> Path:
    """Installs the API's account and rights; returns a kubeconfig that logs in as it."""
    files = ("service-account.yaml", "rbac.yaml")
    install_files(cluster, OPERATOR_NAMESPACE, *(REPOSITORY / "manifests" / "api" / name for name in files))
    return login_of(cluster, ACCOUNT, OPERATOR_NAMESPACE, folder / "api.kubeconfig")


@contextlib.contextmanager
def serving(kubeconfig: Path, folder: Path, *options: str) -> Iterator[str]:
    """Runs the API as a process; yields its URL, once it is ready."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with process(kubeconfig, folder / f"api-{port}.log", port, *options, answers=lambda: _is_ready(url)):
        yield url


@contextlib.contextmanager
def process(
    kubeconfig: Path,
    log: Path,
    port: int,
    *options: str,
    answers: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
    seconds: float = IN_TIME,
    network_of: int | None = None,
) -> Iterator[Process]:
    """Runs the API as a process, once it `answers` at a port within `seconds`; asserts exit code 0 and no traceback at the end.

    `network_of`: a process whose network it gets, such as a node's.
    """
    socket.create_server(("127.0.0.1", port)).close()  # another server there would answer instead
    arguments = ("api", f"--kubeconfig={kubeconfig}", f"--port={port}", *options)
    process = programs.fork("dynamiq_operator", *arguments, log=log, environment=environment, network_of=network_of)
    with programs.beside(process, "the API", log, answers, seconds=seconds):
        yield process


def _is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def client(api: Api, url: str, namespace: str, name: str, *roles: str) -> Client:
    """Makes a caller: a service account of a namespace with these ClusterRoles there."""
    token = account(api, namespace, name, *roles)
    return Client(url, token)


def account(api: Api, namespace: str, name: str, *roles: str) -> str:
    """Returns the token of a new service account with these ClusterRoles in its namespace."""
    known = identities.account(api, namespace, name)
    for role in roles:
        bind(api, namespace, name, role, namespace)
    assert known.credentials is not None
    assert known.credentials.token is not None
    return known.credentials.token


def bind(api: Api, namespace: str, name: str, role: str, home: str) -> None:
    """Gives a service account of `home` a ClusterRole in a namespace, or with an empty namespace everywhere."""
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": {"name": f"{home}-{name}-{role}", **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": home}],
    }
    assert api.apply(binding).ok
    until_granted(api, f"system:serviceaccount:{home}:{name}", namespace or home, role)


def bind_user(api: Api, user: str, namespace: str, role: str) -> None:
    """Gives a user a ClusterRole in a namespace."""
    assert api.apply(of_user(user, namespace, role)).ok
    until_granted(api, user, namespace, role)


def until_granted(api: Api, user: str, namespace: str, role: str) -> None:
    """Waits until the API server applies all rights of a ClusterRole to the user in the namespace, which takes a moment."""
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}

    def applies() -> bool:
        rules = api.get("ClusterRole", role, "").body.get("rules") or ()
        review_of_user = api.acting_as(user).request("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review).body
        known = [_resources(rule) for rule in review_of_user["status"]["resourceRules"]]
        return all(_resources(rule) in known for rule in rules if rule.get("resources"))

    eventually(f"{user} has what ClusterRole {role} gives", applies)


def _resources(rule: Manifest) -> list[set[str]]:
    return [set(rule.get(part) or ()) for part in ("verbs", "apiGroups", "resources", "resourceNames")]


def of_user(user: str, namespace: str, role: str) -> Manifest:
    """Gives a user a ClusterRole in a namespace."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{user.partition('@')[0]}-{role}", "namespace": namespace},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
    }


def allowed(api: Api, user: str, namespace: str, verb: str, resource: str) -> bool:
    """Returns True if a user may do this with a kind of ours: rights take a moment to apply."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": {"group": GROUP, "resource": resource, "verb": verb, "namespace": namespace}},
    }
    answer = api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer.body["status"]["allowed"])


def uid(api: Api, kind: str, name: str, namespace: str = "") -> str:
    """Returns an object's id."""
    return str(api.get(kind, name, namespace).body["metadata"]["uid"])
