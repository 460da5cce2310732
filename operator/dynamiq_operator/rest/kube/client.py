"""Sends requests to the API server with the caller's own bearer token, over one bounded pool of connections.

The pool for callers' requests holds no certificate and no token of this program: a request is authenticated as the caller or not at all.
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
import orjson
import urllib3
from kubernetes import client as kubernetes
from kubernetes import config as kubernetes_config

from dynamiq_operator.kube import errors, nesting
from dynamiq_operator.kube.api import PLAIN, in_a_pod
from dynamiq_operator.model.objects import Manifest

CONNECT_TIMEOUT = 5.0  # seconds
READ_TIMEOUT = 15.0
"""Seconds without data from the API server, at most."""
ANSWERED_WITHIN = 25.0
"""Seconds from the begin of a caller's request, after which nothing more is sent or awaited for it."""
UNDONE_WITHIN = 4.0
"""Extra seconds of a DELETE: if the time ran out halfway, it removes what was made."""
CONNECTIONS = 64
"""Requests of callers that are served at once."""
POOL = 3 * CONNECTIONS
"""Connections of the pool: a request may use several at once."""

_DEADLINE: ContextVar[float] = ContextVar("deadline", default=math.inf)
_NOT_SENT = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.EmptyPoolError)
_UNSURE = "this may have been done: check, or send it again with its Idempotency-Key"
Answer = urllib3.BaseHTTPResponse
T = TypeVar("T")


def begin_deadline() -> None:
    """Begins the time limit for everything that the request of this context asks of the API server."""
    _DEADLINE.set(time.monotonic() + ANSWERED_WITHIN)


class ApiServer:
    """One API server: its address and its CA. `own` sends this program's credentials, `of` only a caller's."""

    def __init__(self, configuration: Any) -> None:
        self._configuration = configuration
        self.host: str = configuration.host.rstrip("/")
        self._callers = _pool(configuration, with_certificate=False)
        self._own = _pool(configuration, with_certificate=True)

    @classmethod
    def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> ApiServer:
        """Connects by kubeconfig (its path, else $KUBECONFIG, else ~/.kube/config), or by the pod's service account inside a cluster.

        Raises kubernetes.config.ConfigException.
        """
        configuration = kubernetes.Configuration()
        if kubeconfig is None and context is None and in_a_pod():
            kubernetes_config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        else:
            path = str(kubeconfig) if kubeconfig else None
            kubernetes_config.load_kube_config(path, context, configuration)  # type: ignore[no-untyped-call]
        return cls(configuration)

    def of(self, token: str) -> ApiClient:
        """Returns a client that authenticates with a caller's token."""
        return ApiClient(self.host, self._callers, lambda: f"Bearer {token}")

    @property
    def own(self) -> ApiClient:
        """A client that authenticates as this program. The token of a service account is read again when it is rotated."""
        return ApiClient(self.host, self._own, lambda: self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization"))


class ApiClient:
    """`kube.api.Api` for one identity. Thread-safe: it holds no state but its credentials."""

    def __init__(self, host: str, pool: urllib3.PoolManager, authorization: Callable[[], str | None]) -> None:
        self._host, self._pool, self._authorization = host, pool, authorization

    @property
    def credentials(self) -> tuple[str | None, str | None]:
        """The credentials of its requests: the Authorization header, and the client certificate's file."""
        return self._authorization(), self._pool.connection_pool_kw.get("cert_file")

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        content_type: str = PLAIN,
        accept: str = PLAIN,
    ) -> Manifest:
        """Returns the JSON of the response. Raises kube.errors.ApiError, with `causes` and `retry_after` if the API server sends them."""
        return _parsed(self._exchange(method, path, query, body, content_type, accept), f"{method} {path}")

    def read(self, path: str, query: Mapping[str, str | int], accept: str = PLAIN) -> bytes:
        """Returns the raw body of a GET's response. Raises as `request` does."""
        return self._exchange("GET", path, query, None, PLAIN, accept)

    def read_as(self, decoder: msgspec.json.Decoder[T], path: str, query: Mapping[str, str | int], accept: str = PLAIN) -> T:
        """Returns the body of a GET's response, with only the fields that `decoder` has. Raises as `request` does."""
        # managedFields alone are half of what the API server sends, and a decoder without them skips them.
        raw = self.read(path, query, accept)
        try:
            return decoder.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            parsed = nesting.parse(raw, f"GET {path}")
        try:
            return msgspec.convert(parsed, decoder.type)
        except msgspec.ValidationError as error:
            raise errors.Unavailable(f"GET {path}: the answer cannot be read: {error}") from error

    def _exchange(self, method: str, path: str, query: Mapping[str, str | int] | None, body: Any, content_type: str, accept: str) -> bytes:
        response = self._send(method, path, query, body, content_type, accept, READ_TIMEOUT)
        if response.status >= 400:
            raise _failure(response, f"{method} {path}")
        return response.data

    def stream(
        self, path: str, query: Mapping[str, str | int], accept: str, silence: float, opened: Callable[[], None]
    ) -> Generator[Manifest]:
        """Yields the events of a watch, until the API server ends it or is silent for more than `silence` seconds. Raises ApiError.

        `opened` is called once the API server has begun to respond.
        """
        response = self._send("GET", path, query, None, PLAIN, accept, silence, stream=True)
        try:
            if response.status >= 400:
                raise _failure(response, f"GET {path}")
            opened()
            rest = b""
            for chunk in response.stream(65536):
                if time.monotonic() >= _DEADLINE.get():
                    raise _too_slow()
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (_parsed(line, f"GET {path}") for line in lines if line.strip())
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise errors.Unavailable(f"GET {path}: {type(error).__name__}") from error
        finally:
            # The response of a watch has no end, so the connection cannot be reused.
            response.close()

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: Any,
        content_type: str,
        accept: str,
        read_timeout: float,
        stream: bool = False,
    ) -> Answer:
        headers = {"Accept": accept, "User-Agent": "dynamiq-api"}
        if (authorization := self._authorization()) is not None:
            headers["Authorization"] = authorization
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = _written(body)
        connections, prefix = _connections(self._pool, self._host)
        url = f"{prefix}{path}" + (f"?{urlencode(query)}" if query else "")
        options: dict[str, Any] = {"retries": False, "redirect": False, "preload_content": not stream}
        tries = 2 if method == "GET" else 1
        while True:
            tries -= 1
            if (seconds_left := _DEADLINE.get() + (UNDONE_WITHIN if method == "DELETE" else 0) - time.monotonic()) <= 0:
                raise _too_slow()
            timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT, seconds_left), read=min(read_timeout, seconds_left))
            options["pool_timeout"] = min(CONNECT_TIMEOUT, seconds_left)
            try:
                return connections.urlopen(method, url, body=data, headers=headers, timeout=timeout, **options)
            except urllib3.exceptions.ProtocolError as error:
                # A kept-alive connection may have been closed meanwhile: a read is safe to send again.
                if not tries:
                    raise _silent(method, error) from error
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise _silent(method, error) from error


def _too_slow() -> errors.Unavailable:
    return errors.Unavailable(f"the Kubernetes API server was too slow: this took over {ANSWERED_WITHIN:g} s")


def _silent(method: str, error: Exception) -> errors.Unavailable:
    unsure = "" if method == "GET" or isinstance(error, _NOT_SENT) else f"; {_UNSURE}"
    return errors.Unavailable(f"the Kubernetes API server does not answer ({type(error).__name__}){unsure}")


@functools.lru_cache(8)
def _connections(pool: urllib3.PoolManager, host: str) -> tuple[urllib3.HTTPConnectionPool, str]:
    """Returns the pool of the one host, and the prefix of its paths. Cached: a pool manager finds both anew for each request."""
    return pool.connection_from_url(host), urllib3.util.parse_url(host).path or ""


def _pool(configuration: Any, *, with_certificate: bool) -> urllib3.PoolManager:
    """Returns a connection pool. It holds this program's client certificate only with `with_certificate`."""
    trust: dict[str, Any] = {"cert_reqs": "CERT_REQUIRED" if configuration.verify_ssl else "CERT_NONE"}
    if configuration.ssl_ca_cert:
        trust["ca_certs"] = configuration.ssl_ca_cert
    if configuration.tls_server_name:
        trust["server_hostname"] = configuration.tls_server_name
    if with_certificate and configuration.cert_file:
        trust |= {"cert_file": configuration.cert_file, "key_file": configuration.key_file}
    return urllib3.PoolManager(num_pools=2, maxsize=POOL, block=True, **trust)


def _written(body: Any) -> bytes:
    """Returns compact JSON in UTF-8."""
    # Not ASCII: escaping every letter would make a flow in a non-Latin script larger than a request may be.
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps(body, separators=(",", ":")).encode()


def _parsed(raw: bytes, request: str) -> Manifest:
    try:
        parsed = orjson.loads(raw)
    except ValueError:
        parsed = nesting.parse(raw, request)
    return parsed if isinstance(parsed, dict) else {}


def _failure(response: Answer, request: str) -> errors.ApiError:
    failure = errors.from_answer(response.status, response.data, request)
    if (after := response.headers.get("Retry-After", "")).isdecimal():
        failure.retry_after = int(after)
    return failure
