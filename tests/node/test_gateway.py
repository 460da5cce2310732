"""Calls Apps by their hostnames through a real gateway: by an Ingress, by TLS, by an HTTPRoute, and during another deploy of each."""

from __future__ import annotations

import base64
import socket
import ssl
import subprocess
from collections.abc import Iterator
from http.client import HTTPSConnection

import pytest

from dynamiq_operator.model import kinds
from local import pki
from local.clusters import Cluster
from local.gateway import DOMAIN, Gateway
from tests.support.gateway import ROUTED_WITHIN, TIMEOUT, ThroughTheGateway, answer, asked, until_answer
from tests.support.stage import Stage, operator, stage
from tests.support.waiting import eventually

APP = "shop"


class ByTls(HTTPSConnection):
    """A call by TLS: it names the hostname, and `authority` must have signed its certificate."""

    def __init__(self, host: str, at: Gateway, authority: bytes) -> None:
        self._trusts = ssl.create_default_context(cadata=authority.decode())
        super().__init__(host, timeout=TIMEOUT, context=self._trusts)
        self._at = (at.address, at.https_port)

    def connect(self) -> None:
        self.sock = self._trusts.wrap_socket(socket.create_connection(self._at, TIMEOUT), server_hostname=self.host)


@pytest.fixture(scope="module")
def on(cluster: Cluster, at: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    options = [f"--{name}={value}" for name, value in at.settings.items()]
    with stage(cluster, "gateway") as staged, operator(staged, folder=tmp_path_factory.mktemp("gateway"), options=options):
        staged.release("v1", "v2", "v3")
        staged.runtime("fast", by_default=True)
        staged.app(APP)
        staged.live(APP, "v1")
        yield staged


def by_curl(url: str, key: str) -> str:
    """Returns the answer to a user outside the cluster who knows only the URL, and has a key."""
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--max-time",
        "120",
        url,
        "--json",
        '{"input": {}}',
        "-H",
        f"Authorization: Bearer {key}",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def expose(on: Stage, hostname: str, **exposure: object) -> str:
    """Exposes the App by one more hostname; returns the live version."""
    app = on.get(kinds.APP.kind, APP)
    cleared = dict.fromkeys(app["spec"].get("exposure", {}))
    on.change(kinds.APP.kind, APP, spec={"hostname": hostname, "exposure": cleared | exposure})
    return str(app["status"]["live"]["workflowVersion"])


def test_an_ingress_serves_the_default_hostname_with_the_keys(on: Stage, at: Gateway) -> None:
    status, key = on.get(kinds.APP.kind, APP)["status"], on.key(APP)
    host = status["hostname"]
    assert host == f"{APP}.{on.namespace}.{DOMAIN}"
    until_answer(host, at, "v1", key)
    assert status["url"] == f"http://{host}:{at.port}"
    eventually("curl is answered", lambda: by_curl(status["url"], key) == answer("v1")[1])  # each thread of Envoy is updated separately
    eventually("who has no key is refused", lambda: asked(ThroughTheGateway(host, at))[0] == 401)
    assert asked(ThroughTheGateway(f"other.{DOMAIN}", at), key)[0] == 404
    headers = {"Host": host, "Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    eventually(
        "a pod that sends the hostname along is answered",
        lambda: on.asked(f"http://{at.inside}/", '{"input": {}}', headers) == answer("v1"),
    )
    on.live(APP, "v2")
    until_answer(host, at, "v2", key)


def test_an_http_route_serves_the_hostname(on: Stage, at: Gateway) -> None:
    host, key = f"routed.{on.namespace}.example.test", on.key(APP)
    version = expose(on, host, type="Gateway")
    until_answer(host, at, version, key)
    eventually("no Ingress is left", lambda: on.find("Ingress", APP) is None)
    on.live(APP, "v3")
    until_answer(host, at, "v3", key)
    inside = {"name": "contour", "namespace": "projectcontour", "sectionName": "http"}
    on.change(kinds.APP.kind, APP, spec={"exposure": {"parentRef": inside}})
    eventually("a listener is named", lambda: on.get("HTTPRoute", APP)["spec"]["parentRefs"][0].get("sectionName") == "http")
    until_answer(host, at, "v3", key)
    on.change(kinds.APP.kind, APP, spec={"exposure": {"type": "Ingress", "parentRef": None}})
    eventually("an Ingress is in its place", lambda: on.find("Ingress", APP) and not on.find("HTTPRoute", APP))
    until_answer(host, at, "v3", key)


def test_tls_serves_the_certificate_of_a_secret(on: Stage, at: Gateway) -> None:
    host, key = f"tls.{on.namespace}.example.test", on.key(APP)
    authority = pki.Authority("tests")
    pair = authority.issue("tls", hosts=[host])
    data = {"tls.crt": pair.certificate, "tls.key": pair.key}
    encoded = {name: base64.b64encode(content).decode() for name, content in data.items()}
    on.create({**on.named("Secret", "cert"), "type": "kubernetes.io/tls", "data": encoded})
    version = expose(on, host, type="Ingress", tls={"secretName": "cert"})

    def by_tls() -> tuple[int, str]:
        return asked(ByTls(host, at, authority.pair.certificate), key)

    eventually("it answers by TLS", lambda: by_tls() == answer(version), ROUTED_WITHIN)
    until_answer(host, at, version, key)
    to_tls = {"ingress.kubernetes.io/force-ssl-redirect": "true"}
    on.change(kinds.APP.kind, APP, spec={"exposure": {"annotations": to_tls}})
    eventually("its annotation sends callers of plain HTTP to TLS", lambda: asked(ThroughTheGateway(host, at))[0] == 301, ROUTED_WITHIN)
    stranger = asked(ByTls(host, at, pki.Authority("another").pair.certificate))
    assert stranger[0] == 0
    assert "CERTIFICATE_VERIFY_FAILED" in stranger[1]
    on.change(kinds.APP.kind, APP, spec={"exposure": {"tls": None, "annotations": None}})
    until_answer(host, at, version, key)
