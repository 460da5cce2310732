"""Sends the few requests of a start to its own API server, with the standard library: no kubectl start-up, no client library."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.errors import LocalError

TIMEOUT = 10.0  # seconds for one request
FIELD_MANAGER = "dynamiq-local"
PLURALS = {
    "APIService": "apiservices",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "CustomResourceDefinition": "customresourcedefinitions",
    "EndpointSlice": "endpointslices",
    "Gateway": "gateways",
    "GatewayClass": "gatewayclasses",
    "IngressClass": "ingressclasses",
    "Namespace": "namespaces",
    "Node": "nodes",
    "RoleBinding": "rolebindings",
    "Service": "services",
}


@dataclass(frozen=True)
class Api:
    """The API server at 127.0.0.1:`port`, called as the administrator whose certificate is in `pki`."""

    port: int
    pki: Path

    def request(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> tuple[int, bytes]:
        """Sends one request; returns the status and the body. Raises OSError if nothing answers."""
        context = ssl.create_default_context(cafile=str(self.pki / "ca.crt"))
        context.load_cert_chain(self.pki / "admin.crt", self.pki / "admin.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=TIMEOUT, context=context)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": content_type, "Accept": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        except http.client.HTTPException as error:
            raise OSError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """Returns True if the API server serves and has finished its start."""
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> Any:
        """Returns the object at `path`; None if there is none yet."""
        status, body = self.request("GET", path)
        if status == 404:
            return None
        if status != 200:
            raise LocalError(f"GET {path}: {status} {body.decode(errors='replace')}")
        return json.loads(body)

    def apply(self, manifest: dict[str, Any]) -> bool:
        """Applies one object of a kind in PLURALS on the server side; False if its namespace is missing, or nothing answers."""
        version, metadata = manifest["apiVersion"], manifest["metadata"]
        base = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        namespace = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
        path = f"{base}{namespace}/{PLURALS[manifest['kind']]}/{metadata['name']}?fieldManager={FIELD_MANAGER}&force=true"
        try:
            status, body = self.request("PATCH", path, manifest, "application/apply-patch+yaml")
        except OSError:
            return False
        if status == 404:
            return False
        if status not in (200, 201):
            raise LocalError(f"could not apply {manifest['kind']} {metadata['name']}: {status} {body.decode(errors='replace')}")
        return True

    def node_ready(self, name: str) -> bool:
        """Returns True if node `name` is Ready and pods can be created in the default namespace."""
        try:
            node = self.get(f"/api/v1/nodes/{name}")
            conditions = (node or {}).get("status", {}).get("conditions", [])
            ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
            return ready and self.get("/api/v1/namespaces/default/serviceaccounts/default") is not None
        except OSError:
            return False
