"""Sends HTTP to the API server through the proxy: the plugin's `kube.api.Api`, with a message for each error."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from dynamiq_operator.actions.refusals import admission_message, refused
from dynamiq_operator.cli.connection import Connection, NotConnected
from dynamiq_operator.cli.patience import Patience
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import PLAIN
from dynamiq_operator.model.manifests import API_VERSION, Manifest

if TYPE_CHECKING:
    from dynamiq_operator.kube.api import Api

TIMEOUT = 30.0  # seconds for one request, where --request-timeout says nothing
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "ms": 0.001, "": 1.0}
NO_CLUSTER_SERVERS = ("localhost:8080", "127.0.0.1:8080", "[::1]:8080")
Query = Sequence[tuple[str, str]]
"""A query in which a name may occur twice."""
_LOG_LINE = re.compile(r"^[EIWF]\d{4} \d\d:\d\d:\d\d\.", re.MULTILINE)


class NotInstalled(errors.ApiError):
    """The cluster does not serve our resources."""


class Expired(errors.ApiError):
    """The API server rejects the login (401), or kubectl could not make one."""


class Transport:
    """HTTP to the API server; connects at the first request. Raises errors.ApiError and connection.NotConnected."""

    def __init__(self, connection: Connection, patience: Patience) -> None:
        self._connection = connection
        self.patience = patience
        self._timeout = parse_duration(connection.command_line.value_of("--request-timeout") or "") or TIMEOUT
        self._http: _UnixConnection | None = None
        self._connecting = threading.Lock()
        self._why_not: NotConnected | None = None
        self._ahead: dict[_Request, _Response] = {}

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
        """Sends one request, unless it was sent ahead; returns the JSON of the response."""
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        with self.patience:
            ahead = self._ahead.pop(_request(method, path, query, sent, accept), None)
            status, raw = ahead.wait() if ahead else self._send_and_read(self._connected(), method, path, query, sent, content_type, accept)
        return _parsed(status, raw, path)

    @contextlib.contextmanager
    def reading_ahead(self, *reads: Callable[[Api], object]) -> Iterator[None]:
        """Runs these reads while the block runs, each in a thread and on a connection of its own.

        A request of the block that equals one of theirs gets its response, errors included.
        """
        ahead = self._ahead = {}
        for read in reads:
            threading.Thread(target=_run, args=(read, _ReadAhead(self, ahead)), daemon=True).start()
        try:
            yield
        finally:
            # A later request is for the state at its own time. Threads that are late find only the old responses.
            self._ahead = {}

    def connection_of_its_own(self) -> _UnixConnection:
        self._connected()
        return _UnixConnection(self._connection.socket, self._timeout)

    def exchange(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: bytes | None = None,
        headers: Mapping[str, str],
        within: float | None = None,
    ) -> tuple[int, bytes]:
        """Sends one request to a service behind the API server's proxy; returns status and body, whatever they are.

        `within`: seconds, for a thread: the request has a connection of its own, and nobody is told that the command waits for it.
        """
        if within is not None:
            self._connected()
            return self._send_and_read(_UnixConnection(self._connection.socket, within), method, path, query, body, PLAIN, PLAIN, headers)
        with self.patience:
            return self._send_and_read(self._connected(), method, path, query, body, PLAIN, PLAIN, headers)

    def lines(self, path: str, *, query: Query, headers: Mapping[str, str]) -> tuple[int, Iterator[bytes]]:
        """Sends one GET on a connection of its own; returns the status, and the lines of the body as they arrive."""
        http_ = self.connection_of_its_own()
        with self.patience:
            response = self._send(http_, "GET", path, query, None, PLAIN, PLAIN, headers)
        return response.status, _lines(response, path)

    def watch(self, path: str, query: Mapping[str, str | int]) -> Iterator[Manifest]:
        """Yields the events of a watch until the server ends it, on a connection of its own."""
        self._connected()
        http_ = _UnixConnection(self._connection.socket, None)
        response = self._send(http_, "GET", path, {**query, "watch": 1}, None, PLAIN, PLAIN)
        if response.status >= 400:
            raw = response.read()
            raise _api_error(response.status, _parse_object(raw), raw.decode(errors="replace"), path)
        try:
            while line := response.readline():
                if (event := _parse_object(line)) is not None:
                    yield event
        except (http.client.HTTPException, OSError) as error:
            raise errors.Unavailable(f"the watch was cut: {error}") from error

    def _connected(self) -> _UnixConnection:
        with self._connecting:
            if self._why_not is not None:  # kubectl's message can be read only once
                raise self._why_not
            if self._http is None:
                try:
                    messages = self._connection.wait()
                except NotConnected as error:
                    self._why_not = error
                    raise
                threading.Thread(target=_forward_messages, args=(messages,), daemon=True).start()
                self._http = _UnixConnection(self._connection.socket, self._timeout)
            return self._http

    def _send_and_read(
        self,
        to: _UnixConnection,
        method: str,
        path: str,
        query: Mapping[str, str | int] | Query | None,
        body: bytes | None,
        content_type: str,
        accept: str,
        more: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        response = self._send(to, method, path, query, body, content_type, accept, more)
        return response.status, self._read(response, f"{method} {path}")

    def _send(
        self,
        to: _UnixConnection,
        method: str,
        path: str,
        query: Mapping[str, str | int] | Query | None,
        body: bytes | None,
        content_type: str,
        accept: str,
        more: Mapping[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        headers = {"Accept": accept, **({"Content-Type": content_type} if body is not None else {}), **(more or {})}
        try:
            to.request(method, path + (f"?{urlencode(query)}" if query else ""), body, headers)
            return to.getresponse()
        except TimeoutError:
            to.close()
            raise errors.Unavailable(f"no answer within {self._timeout:g} s") from None
        except (http.client.HTTPException, OSError) as error:
            to.close()
            raise errors.Unavailable(f"kubectl proxy ended: {error or type(error).__name__}") from error

    def _read(self, response: http.client.HTTPResponse, request: str) -> bytes:
        try:
            return response.read()
        except (http.client.HTTPException, OSError) as error:
            raise errors.Unavailable(f"{request}: the answer was cut: {error or type(error).__name__}") from error


_Request = tuple[str, str, str, bytes | None, str]


def _request(method: str, path: str, query: Mapping[str, str | int] | None, body: bytes | None, accept: str) -> _Request:
    """Returns what makes two requests equal."""
    return method, path, urlencode(sorted((query or {}).items())), body, accept


class _Response:
    """The response to a request that was sent ahead, once it is there."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.came: tuple[int, bytes] = 0, b""
        self.error: Exception | None = None

    def wait(self) -> tuple[int, bytes]:
        """Returns status and body. Raises the error of the request."""
        self.event.wait()
        if self.error is not None:
            raise self.error
        return self.came


class _ReadAhead:
    """The `kube.api.Api` of one thread that reads ahead. `responses`: where it leaves them."""

    def __init__(self, transport: Transport, responses: dict[_Request, _Response]) -> None:
        self._transport = transport
        self._responses = responses
        self._http: _UnixConnection | None = None

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
        transport, sent = self._transport, json.dumps(body).encode() if body is not None else None
        response = self._responses.setdefault(_request(method, path, query, sent, accept), _Response())
        try:
            self._http = self._http or transport.connection_of_its_own()
            response.came = transport._send_and_read(self._http, method, path, query, sent, content_type, accept)
        except Exception as error:
            response.error = error
            raise
        finally:
            response.event.set()
        return _parsed(*response.came, path)


def _run(read: Callable[[Api], object], api: _ReadAhead) -> None:
    # The block sends the same request, and raises the same error.
    with contextlib.suppress(Exception):
        read(api)


class TransportElsewhere(Transport):
    """A transport to another cluster than the one given to the command. Its errors name that cluster."""

    def __init__(self, connection: Connection, patience: Patience, place: str) -> None:
        super().__init__(connection, patience)
        self._place = place

    def request(self, *arguments: Any, **options: Any) -> Manifest:
        try:
            return super().request(*arguments, **options)
        except (errors.ApiError, NotConnected) as error:
            error.add_note(self._place)
            raise


def _lines(response: http.client.HTTPResponse, path: str) -> Iterator[bytes]:
    try:
        while line := response.readline():
            yield line
    except (http.client.HTTPException, OSError) as error:
        raise errors.Unavailable(f"GET {path}: the answer was cut: {error or type(error).__name__}") from error


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def parse_duration(text: str) -> float | None:
    """Parses a duration as kubectl accepts it (`90`, `90s`, `1m30s`), in seconds; None if the text is none."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|$)", text)
    if not text or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def error_message(error: Exception) -> str:
    """Returns the message for the user: the problem and the next step. It begins with the cluster if there are two."""
    places = getattr(error, "__notes__", ())
    return f"{places[0]}: {_error_message(error)}" if places else _error_message(error)


def _error_message(error: Exception) -> str:
    text = str(error)
    match error:
        case NotConnected():
            return text
        case NotInstalled():
            return "this cluster does not know Apps: install the operator (README.md, `kubectl apply -k`), or name another cluster by --context"
        case Expired():
            return f"the cluster does not accept your login: log in again; `kubectl auth whoami` shows your user ({text.partition(chr(10))[0]})"
        case errors.Denied() if by_policy := admission_message(error):
            return by_policy
        case errors.Denied() if "forbidden: User" in text:
            return f"{text}: ask for the ClusterRole that allows it, view to read and edit to deploy (`kubectl auth can-i --list`)"
        case errors.Invalid():
            return str(refused(error))
        case errors.Conflict() | errors.AlreadyExists():
            return f"{text}: somebody else changed it first, try again"
        case errors.Unavailable() if any(place in text for place in NO_CLUSTER_SERVERS):
            return "nothing answers at localhost:8080, where kubectl looks when it knows no cluster: set KUBECONFIG, or give --kubeconfig"
        case errors.Unavailable():
            return f"the API server does not answer: {text}; see `kubectl cluster-info`"
    return text


def _parsed(status: int, raw: bytes, path: str) -> Manifest:
    """Returns the JSON of a response. Raises errors.ApiError."""
    parsed = _parse_object(raw)
    if status < 400 and parsed is not None:
        return parsed
    raise _api_error(status, parsed, raw.decode(errors="replace").strip(), path)


def _api_error(status: int, parsed: Manifest | None, raw: str, path: str) -> errors.ApiError:
    message = str((parsed or {}).get("message") or raw or f"HTTP {status}")
    if status == 401 or (parsed is None and "getting credentials" in raw):
        return Expired(message, status)
    if status == 404 and API_VERSION in path and not ((parsed or {}).get("details") or {}).get("name"):
        return NotInstalled(message, status)
    if parsed is not None:
        return errors.from_answer(status, raw.encode(), path)
    return errors.from_status(status, "", message)


def _parse_object(raw: bytes) -> Manifest | None:
    try:
        parsed = json.loads(raw)
    except ValueError:
        return None
    except RecursionError:  # the managedFields of an object, which its owner may fill
        from dynamiq_operator.kube import nesting

        parsed = nesting.parse(raw, "kubectl proxy")
    return parsed if isinstance(parsed, dict) else None


def _forward_messages(messages: int) -> None:
    """Copies kubectl's standard error, such as a login helper's question, to the plugin's.

    It drops log entries: an entry may have many lines, and each error is also in a response.
    """
    with contextlib.suppress(OSError):  # it ends with its connection, which may be closed before the command ends
        while part := os.read(messages, 65536):
            text = part.decode(errors="replace")
            log = _LOG_LINE.search(text)
            sys.stderr.write(text[: log.start()] if log else text)
            sys.stderr.flush()
