"""The asynchronous client of the API server: the official client's configuration and connection pool, and errors of `kube.errors`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson
from kubernetes.aio import client as kubernetes
from kubernetes.aio import config as kubernetes_config

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import MERGE, PAGE, PLAIN, in_a_pod
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model.names import FIELD_MANAGER
from dynamiq_operator.model.objects import Manifest

PAGE_BYTES = 4_000_000
"""What is decoded at once: the loop stands still meanwhile, for some 20 ms."""
TIMEOUT = 30.0  # seconds for one request
CONNECTIONS = 32
JSON_PATCH = "application/json-patch+json"
# Without a charset the client would encode the bytes once more.
APPLY = "application/apply-patch+yaml; charset=utf-8"


class Client:
    """One connection pool to one API server. Use it as an async context manager."""

    def __init__(self, configuration: Any) -> None:
        configuration.connection_pool_maxsize = CONNECTIONS
        self._api = kubernetes.ApiClient(configuration)
        self._configuration = configuration

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Client:
        """A client by kubeconfig (its path, else $KUBECONFIG, else ~/.kube/config), or by the pod's service account inside a cluster."""
        configuration = kubernetes.Configuration()
        if kubeconfig is None and context is None and in_a_pod():
            kubernetes_config.load_incluster_config(configuration)
        else:
            path = str(kubeconfig) if kubeconfig else None
            await kubernetes_config.load_kube_config(config_file=path, context=context, client_configuration=configuration)
        return cls(configuration)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._api.close()

    async def credentials(self) -> dict[str, Any]:
        """The current credentials as the fields of kopf's ConnectionInfo; the token of a service account is read anew."""
        configuration = self._configuration
        token = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return {
            "server": configuration.host,
            "ca_path": configuration.ssl_ca_cert,
            "insecure": not configuration.verify_ssl,
            "certificate_path": configuration.cert_file,
            "private_key_path": configuration.key_file,
            "token": token.split(" ", 1)[-1] if token else None,
        }

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        content_type: str = PLAIN,
    ) -> Manifest:
        """Sends one request and returns the JSON of its answer. Raises errors.ApiError."""
        return _parsed(await self._answer(method, path, query=query, body=body, content_type=content_type), f"{method} {path}")

    async def _answer(
        self, method: str, path: str, *, query: Mapping[str, str | int] | None = None, body: Any = None, content_type: str = PLAIN
    ) -> bytes:
        """Sends one request and returns the bytes of its answer. Raises errors.ApiError."""
        url = f"{self._configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": PLAIN, "Content-Type": content_type}
        try:
            await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
            response = await self._api.call_api(method, url, headers, body, _request_timeout=TIMEOUT)
            raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise errors.Unavailable(f"{method} {path}: {error or type(error).__name__}") from error
        if response.status < 400:
            return bytes(raw)
        raise errors.from_answer(response.status, raw, f"{method} {path}")

    @asynccontextmanager
    async def watch(
        self, path: str, query: Mapping[str, str | int], seconds: float, accept: str = PLAIN
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of a watch, which is given up after `seconds`. Raises errors.ApiError, within the block too."""
        url = f"{self._configuration.host}{path}?{urlencode(query)}"
        headers = {"Accept": accept}
        try:
            await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
            response = await self._api.call_api("GET", url, headers, None, _request_timeout=seconds)
            if response.status >= 400:
                raise errors.from_answer(response.status, await response.read(), f"watch {path}")
            try:
                yield response.response.content
            finally:
                response.response.close()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise errors.Unavailable(f"watch {path}: {error or type(error).__name__}") from error

    async def get(self, resource: ApiResource, namespace: str, name: str) -> Manifest:
        """One object. Raises errors.NotFound and errors.ApiError."""
        return await self.request("GET", resource.path(namespace, name))

    async def pages(self, resource: ApiResource, namespace: str = "", *, label: str = "", field: str = "") -> AsyncIterator[Manifest]:
        """The pages of a list, which the selectors `label` and `field` limit.

        Each has at most `PAGE` items, and as few as it takes to be of about `PAGE_BYTES`: one item may be of 900 KiB.
        """
        query: dict[str, str | int] = {"limit": resource.first_page or PAGE}
        if label:
            query["labelSelector"] = label
        if field:
            query["fieldSelector"] = field
        while True:
            path = resource.path(namespace)
            answer = await self._answer("GET", path, query=query)
            page = _parsed(answer, f"GET {path}")
            query["limit"] = min(PAGE, len(page["items"]) * PAGE_BYTES // len(answer) + 1)
            del answer
            # A list leaves these out of its items.
            page["items"] = [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in page["items"]]
            yield page
            if not (token := page["metadata"].get("continue")):
                return
            query["continue"] = token

    async def create(self, resource: ApiResource, manifest: Manifest) -> Manifest:
        """POST: it never changes an object that exists. Raises errors.AlreadyExists and errors.ApiError."""
        path = resource.path(manifest["metadata"].get("namespace", ""))
        return await self.request("POST", path, query={"fieldManager": FIELD_MANAGER}, body=manifest)

    async def apply(self, resource: ApiResource, manifest: Manifest) -> Manifest:
        """Server-side apply, which takes back fields of ours that another manager changed. Raises errors.ApiError."""
        meta = manifest["metadata"]
        # The body is parsed as YAML, which knows no surrogate escapes: 🦊 goes as it is.
        return await self.request(
            "PATCH",
            resource.path(meta.get("namespace", ""), meta["name"]),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=json.dumps(manifest, ensure_ascii=False).encode(),
            content_type=APPLY,
        )

    async def patch(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        patch: Any,
        *,
        subresource: str = "",
        kind: str = MERGE,
        manager: str = FIELD_MANAGER,
    ) -> Manifest:
        """A merge patch, or with `kind=JSON_PATCH` a list of operations. Raises errors.ApiError."""
        path = resource.path(namespace, name, subresource)
        return await self.request("PATCH", path, query={"fieldManager": manager}, body=patch, content_type=kind)

    async def delete(
        self, resource: ApiResource, namespace: str, name: str, uid: str, *, version: str | None = None, keep_dependents: bool = False
    ) -> None:
        """Deletes the object of this uid, its dependents in the background. One that is absent is success, another uid is left alone.

        With `version`, an object of another resourceVersion is left alone, too. With `keep_dependents`, its dependents are orphaned.
        """
        preconditions = {"uid": uid} | ({"resourceVersion": version} if version else {})
        options = {"preconditions": preconditions, "propagationPolicy": "Orphan" if keep_dependents else "Background"}
        try:
            await self.request("DELETE", resource.path(namespace, name), body=options)
        except (errors.NotFound, errors.Conflict):
            return


def _parsed(raw: bytes, asked: str) -> Manifest:
    try:
        parsed = orjson.loads(raw)
    except ValueError as error:
        raise errors.Unavailable(f"{asked}: the answer is not JSON") from error
    return parsed if isinstance(parsed, dict) else {}
