"""Runs operators under test: the checkout's own process, with the identity and the rights of `manifests/`."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import ssl
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local.clusters import Cluster
from tests.support import programs
from tests.support.api import Api
from tests.support.cluster import TOKEN_LIVES
from tests.support.faults.proxy import Proxy
from tests.support.operator import OPERATOR_ACCOUNT
from tests.support.programs import Process
from tests.support.waiting import IN_TIME, eventually

USER = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_ACCOUNT}"
WORKS_WITHIN = IN_TIME  # seconds, on a busy machine
ENDS_WITHIN = 90.0


def allow_leases(api: Api, namespace: str) -> None:
    """Allows the operator to keep its lease in a test's namespace: operators of parallel tests do not share one."""
    meta = {"name": "lease-of-the-operator-under-test", "namespace": namespace}
    group = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "update", "watch"]}]
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": rules}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": meta["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR_ACCOUNT, "namespace": OPERATOR_NAMESPACE}],
    }
    for manifest in (role, binding):
        answer = api.apply(manifest)
        assert answer.ok, answer.message


def token(api: Api) -> str:
    """Returns a token of the operator's account, valid for longer than any test."""
    path = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/serviceaccounts/{OPERATOR_ACCOUNT}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": TOKEN_LIVES}}
    answer = api.request("POST", path, request)
    assert answer.ok, answer.message
    return str(answer.body["status"]["token"])


@dataclass(frozen=True)
class Login:
    """The API server of an operator, and its login; a proxy adds the token by itself. `authority`: base64 of PEM.

    `token_file`: a file with the token, which may be rotated.
    """

    server: str
    authority: str = ""
    token: str = "given-by-the-proxy"
    token_file: Path | None = None

    @classmethod
    def of(cls, cluster: Cluster, api: Api) -> Login:
        """Returns the login of the operator's account, without a proxy."""
        details = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
        return cls(details["server"], details["certificate-authority-data"], token(api))

    def write(self, path: Path) -> None:
        """Writes it as a kubeconfig."""
        credentials = {"tokenFile": str(self.token_file)} if self.token_file is not None else {"token": self.token}
        place = {"server": self.server, **({"certificate-authority-data": self.authority} if self.authority else {})}
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": place}],
            "users": [{"name": "operator", "user": credentials}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "operator"}}],
            "current-context": "it",
        }
        path.write_text(yaml.safe_dump(kubeconfig))


@contextlib.contextmanager
def proxied(cluster: Cluster, api: Api) -> Iterator[Proxy]:
    """Runs a proxy in front of the cluster's API server that logs in as the operator."""
    login = Login.of(cluster, api)
    authority = base64.b64decode(login.authority).decode()
    with Proxy(login.server, ssl.create_default_context(cadata=authority), login.token) as proxy:
        yield proxy


@dataclass
class OperatorProcess:
    """One process of the operator; its log is in `log`."""

    process: Process
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends the process and waits for its end; returns its exit code."""
        if self.alive:
            self.send(signal.SIGCONT)
            self.send(number)
        return self.process.wait(ENDS_WITHIN)

    def said(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")

    def wait_until_leading(self, seconds: float = WORKS_WITHIN) -> None:
        eventually("the operator leads", lambda: self.said("leading as") or not self.alive, seconds)
        assert self.alive, self.log.read_text()


def start(
    server: str | Login,
    namespace: str | None,
    folder: Path,
    *flags: str,
    lease: str,
    lease_namespace: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> OperatorProcess:
    """Starts `python -m dynamiq_operator run` for an API server, or by its URL for a proxy. `environment`: as of `programs.fork`."""
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid.uuid4().hex[:8]
    kubeconfig = folder / f"{name}.kubeconfig"
    (Login(server) if isinstance(server, str) else server).write(kubeconfig)
    options = [f"--kubeconfig={kubeconfig}", f"--lease-name={lease}", *([f"--namespace={namespace}"] if namespace else [])]
    options += [f"--lease-namespace={lease_namespace or namespace or OPERATOR_NAMESPACE}", *flags]
    log = folder / f"{name}.log"
    return OperatorProcess(programs.fork("dynamiq_operator", "run", *options, log=log, environment=environment), log)


@contextlib.contextmanager
def running(server: str | Login, namespace: str | None, folder: Path, *flags: str, lease: str = "under-test") -> Iterator[OperatorProcess]:
    """Runs an operator that leads while the block runs."""
    operator = start(server, namespace, folder, *flags, lease=lease)
    try:
        operator.wait_until_leading()
        yield operator
    finally:
        operator.stop()
