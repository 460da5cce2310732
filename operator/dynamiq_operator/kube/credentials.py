"""Reads the address of the API server and the operator's login, and reads them again: tokens and certificates are rotated."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from dynamiq_operator.kube.api import in_a_pod

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""The directory in which a kubelet puts a pod's credentials."""

RENEW_PERIOD = 300.0
"""Seconds after which the login is read again in any case: a kubelet rotates a token long before it expires."""
RENEW_PAUSE = 1.0
"""Seconds between two readings at least, however many requests are refused meanwhile."""


@dataclass(frozen=True)
class PodConfiguration:
    """The login of this pod, with the attributes of the Kubernetes client's `Configuration` that `Credentials` reads."""

    host: str
    token: str
    ssl_ca_cert: str | None
    cert_file: None = None
    key_file: None = None
    ca_cert_data: None = None
    tls_server_name: None = None
    proxy: None = None
    verify_ssl: bool = True
    disable_strict_ssl_verification: bool = False

    @classmethod
    def read(cls) -> PodConfiguration:
        """Reads the service account of this pod.

        Raises OSError if this is no pod with a service account's token.
        """
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "")
        if not host or not port:
            raise OSError("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is not a pod")
        token = (ACCOUNT / "token").read_text().strip()
        return cls(f"https://{f'[{host}]' if ':' in host else host}:{port}", token, str(ACCOUNT / "ca.crt"))

    async def get_api_key_with_prefix(self, identifier: str, alias: str) -> str:  # noqa: ARG002 - as the client has it
        return f"Bearer {self.token}"


@dataclass(frozen=True)
class Login:
    """The address and credentials of a request. `authorization`: the header, None with a client certificate. `trust`: None without TLS."""

    host: str
    authorization: str | None
    trust: ssl.SSLContext | None
    server_name: str | None = None
    proxy: str | None = None


class Credentials:
    """The login of a kubeconfig, or of the pod's service account. `clock`: monotonic seconds."""

    def __init__(self, load: Callable[[], Awaitable[Any]], clock: Callable[[], float] = monotonic) -> None:
        self._load, self._clock = load, clock
        self._lock = asyncio.Lock()
        self._login: Login | None = None
        self._read_at = 0.0
        self._trusted: tuple[tuple[object, ...], ssl.SSLContext] | None = None

    @classmethod
    def of(cls, kubeconfig: Path | None, context: str | None) -> Credentials:
        """Returns the credentials of a kubeconfig (its path, else $KUBECONFIG, else ~/.kube/config), or of this pod."""

        async def load() -> Any:
            # Imported here: an image whose programs use only `of_pod` lacks this client, which takes 100 MB.
            from kubernetes.aio import client as kubernetes
            from kubernetes.aio import config as kubernetes_config

            configuration: Any = kubernetes.Configuration()
            if kubeconfig is None and context is None and in_a_pod():
                kubernetes_config.load_incluster_config(configuration, try_refresh_token=False)  # type: ignore[no-untyped-call]
            else:
                path = str(kubeconfig) if kubeconfig else None
                await kubernetes_config.load_kube_config(config_file=path, context=context, client_configuration=configuration)  # type: ignore[no-untyped-call]
            return configuration

        return cls(load)

    @classmethod
    def of_pod(cls) -> Credentials:
        """Returns the credentials of this pod's service account."""

        async def load() -> Any:
            return PodConfiguration.read()

        return cls(load)

    async def login(self) -> Login:
        """Returns the current login, read again after `RENEW_PERIOD`.

        Raises an error of reading only if the login was never read.
        """
        if self._login is None or self._clock() - self._read_at > RENEW_PERIOD:
            await self._read(self._login)
        assert self._login is not None  # noqa: S101 - for the type checker: it was read, or reading it has raised
        return self._login

    async def renewed(self, refused: Login) -> Login:
        """Reads the login again after the API server refused one, and returns it. It may be the same."""
        await self._read(refused)
        return await self.login()

    async def _read(self, previous: Login | None) -> None:
        """Reads the login, once for concurrent callers. If that fails, the old login stays."""
        async with self._lock:
            if self._login is not None and (self._login is not previous or self._clock() - self._read_at < RENEW_PAUSE):
                return
            try:
                configuration = await self._load()
                read = Login(
                    host=configuration.host,
                    authorization=await configuration.get_api_key_with_prefix("BearerToken", alias="authorization"),
                    trust=self._trust(configuration) if configuration.host.startswith("https") else None,
                    server_name=configuration.tls_server_name,
                    proxy=configuration.proxy,
                )
            except Exception:  # a file may be half written
                if self._login is None:
                    raise
            else:
                self._login = read if read != self._login else self._login
            self._read_at = self._clock()

    def _trust(self, configuration: Any) -> ssl.SSLContext:
        """Returns the TLS context of a login; the previous one if its files are unchanged."""
        # Connections are pooled by the context: a new one would open them all again.
        paths = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
        read = (*(Path(path).read_bytes() if path else None for path in paths), configuration.verify_ssl)
        if self._trusted is None or self._trusted[0] != read:
            context = ssl.create_default_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
            if configuration.cert_file:
                context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
            if not configuration.verify_ssl:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if configuration.disable_strict_ssl_verification:
                context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            self._trusted = (read, context)
        return self._trusted[1]
