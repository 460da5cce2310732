"""The cost of a connection before its caller is known: over real sockets, with small limits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from cryptography import x509

from dynamiq_operator.rest.http.streams import EventStream, event
from dynamiq_operator.serving.connections import ConnectionLimits, LimitedProtocol
from dynamiq_operator.serving.tls import Certificate
from tests.support.waiting import IN_TIME, eventually
from tests.unit.support.certificates import self_signed

PATIENCE = IN_TIME
GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
ANSWERED = b"HTTP/1.1 200 OK"
FOREVER = 1000.0


class App:
    """An app that answers each request with its path.

    `/headers`: with the names of the headers, once it has the body. `/wait`: once the test allows it. `/much`: with more than a connection
    buffers.
    """

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.waiting = threading.Semaphore(0)

    async def events(self) -> AsyncGenerator[bytes]:
        yield event("ready", {})
        await asyncio.to_thread(self.may_answer.wait, PATIENCE)
        yield event("ending", {})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/stream":
            await EventStream(self.events())(scope, receive, send)
            return
        if scope["path"] == "/wait":
            self.waiting.release()
            await asyncio.to_thread(self.may_answer.wait, PATIENCE)
        headers = ""
        if scope["path"] == "/headers":
            while (await receive())["more_body"]:
                pass
            headers = " " + " ".join(name.decode() for name, _ in scope["headers"])
        body = b"x" * 64 * 1024 * 1024 if scope["path"] == "/much" else (scope["path"] + headers).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})


@contextlib.contextmanager
def serving(app: App, context: ssl.SSLContext | None = None, **limits: Any) -> Iterator[int]:
    """Serves with these limits, and yields the port. Other limits are too high to matter."""
    protocol = type("Protocol", (LimitedProtocol,), {"limits": ConnectionLimits(**{"head_within": FOREVER, **limits})})
    more = {"ssl_context_factory": lambda *_: context} if context is not None else {}
    config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=1, **more)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            app.may_answer.set()
            server.should_exit = True
            thread.join(PATIENCE)


def _connect(port: int, *, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(source, 0))


def _ask(connection: socket.socket, request: bytes = GET) -> bytes:
    """Sends a request, and returns the answer; empty if the connection was closed."""
    with contextlib.suppress(ConnectionError):
        connection.sendall(request)
    return _answer(connection)


def _answer(connection: socket.socket) -> bytes:
    """Reads one answer with its body."""
    found, size = b"", re.compile(rb"content-length: (\d+)\r\n")
    with contextlib.suppress(ConnectionError):
        while not (match := size.search(found)) or len(found.partition(b"\r\n\r\n")[2]) < int(match[1]):
            if not (piece := connection.recv(65536)):
                break
            found += piece
    return found


def _rest(connection: socket.socket) -> bytes:
    """Reads until the connection is closed."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            found += piece
    return found


def _error(answer: bytes, status: int) -> str:
    """Returns the message of an answer, which has the schema of every error."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert b"x-request-id: " in head
    return str(json.loads(body)["error"]["message"])


def test_headers_have_a_limit_however_they_come() -> None:
    long = b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"a" * 5000 + b"\r\n\r\n"
    with serving(App(), head_bytes=4096) as port:
        for pieces in (1, 100):
            with _connect(port) as connection:
                for at in range(0, len(long), len(long) // pieces):
                    with contextlib.suppress(ConnectionError):
                        connection.sendall(long[at : at + len(long) // pieces])
                assert "4096 bytes" in _error(_rest(connection), 431)
        with _connect(port) as connection:
            for _ in range(3):  # the limit is for each request
                assert _ask(connection, b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"a" * 3900 + b"\r\n\r\n").startswith(ANSWERED)


def test_short_headers_are_counted() -> None:
    with serving(App(), headers=3) as port, _connect(port) as connection, _connect(port) as refused:
        assert _ask(connection, b"GET / HTTP/1.1\r\nHost: here\r\na:\r\nb:\r\n\r\n").startswith(ANSWERED)
        assert (
            _error(_ask(refused, b"GET / HTTP/1.1\r\nHost: here\r\na:\r\nb:\r\nc:\r\n\r\n"), 431) == "the request has more than 3 headers"
        )


def test_a_body_is_no_header() -> None:
    with serving(App(), head_bytes=4096) as port, _connect(port) as connection:
        body = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 9000\r\n\r\n" + b"a" * 9000
        assert _ask(connection, body).startswith(ANSWERED)
        assert _ask(connection).startswith(ANSWERED)


CHUNKED = b"POST %s HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_trailers_and_extensions_of_chunks_have_the_limit_of_headers() -> None:
    trailers = (b"0\r\n" + b"X: a\r\n" * 2000, b"0\r\nX: " + b"a" * 9000, b"1\r\na\r\n0\r\nX: " + b"a" * 9000)
    of_a_chunk = b"1;" + b"a" * 9000
    with serving(App(), head_bytes=4096) as port:
        for path in (b"/", b"/wait"):
            for beside in (*trailers, of_a_chunk):
                with _connect(port) as connection:
                    with contextlib.suppress(ConnectionError):
                        connection.sendall(CHUNKED % path + beside)
                    _rest(connection)  # it ends, though the request has no end


def test_a_trailer_is_no_header() -> None:
    with serving(App(), head_bytes=4096) as port, _connect(port) as connection:
        for _ in range(2):
            pieces = b"1\r\na\r\n" * 5000 + b"0\r\nX-Trailer: a\r\n\r\n"
            assert _ask(connection, CHUNKED % b"/headers" + pieces).endswith(b"/headers host transfer-encoding")


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: he"])
def test_headers_have_to_come_in_time(begun: bytes) -> None:
    with serving(App(), head_within=0.2) as port:
        if not begun:
            with _connect(port) as connection:
                assert _rest(connection) == b""
            return
        for before in (b"", GET):
            # A caller who paused for as long was disconnected before that: the test tries again.
            answer = eventually("who is late with the rest is told so", lambda before=before: _given_up(port, before, begun))  # type: ignore[misc]
            assert "0.2 s" in _error(answer, 408)


def _given_up(port: int, before: bytes, begun: bytes) -> bytes:
    """Returns the answer to a whole request, or none, and then the beginning of one; empty if the first part was not answered."""
    with _connect(port) as connection:
        if before and not _ask(connection, before).startswith(ANSWERED):
            return b""
        with contextlib.suppress(ConnectionError):
            connection.sendall(begun)
        return _rest(connection)


def test_a_slow_trickle_does_not_keep_a_connection() -> None:
    with serving(App(), head_within=0.5) as port, _connect(port) as connection:
        connection.settimeout(0.05)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n")
        answer = b""
        while not answer:  # a byte now and then
            with contextlib.suppress(TimeoutError):
                connection.sendall(b"X")
                answer = connection.recv(65536)
        assert _error(answer, 408)


def test_idle_connections_of_an_address_with_too_many_are_closed_first() -> None:
    with serving(App(), address=3) as port, contextlib.ExitStack() as stack:
        good = stack.enter_context(_connect(port))
        assert _ask(good).startswith(ANSWERED)
        slow = [stack.enter_context(_connect(port)) for _ in range(2)]
        for connection in slow:
            connection.sendall(b"GET")
        assert _ask(good).startswith(ANSWERED)
        for _ in range(5):
            new = stack.enter_context(_connect(port))
            assert _ask(new).startswith(ANSWERED)
        assert [_rest(connection) for connection in slow] == [b"", b""]


def test_a_connection_that_is_served_is_never_closed_for_another() -> None:
    app = App()
    with serving(app, address=2) as port, contextlib.ExitStack() as stack:
        busy = [stack.enter_context(_connect(port)) for _ in range(2)]
        for connection in busy:
            connection.sendall(b"GET /wait HTTP/1.1\r\nHost: here\r\n\r\n")
            assert app.waiting.acquire(timeout=PATIENCE)
        assert _rest(stack.enter_context(_connect(port))) == b""
        elsewhere = stack.enter_context(_connect(port, source="127.0.0.2"))
        assert _ask(elsewhere).startswith(ANSWERED), "another address has its own"
        app.may_answer.set()
        assert all(_answer(connection).startswith(ANSWERED) for connection in busy)
        again = stack.enter_context(_connect(port))
        assert _ask(again).startswith(ANSWERED)


def test_a_stream_is_not_counted_among_those_that_make_place() -> None:
    app = App()
    with serving(app, address=1, total=1) as port, contextlib.ExitStack() as stack:
        streams = []
        for _ in range(3):
            streams.append(connection := stack.enter_context(_connect(port)))
            connection.sendall(b"GET /stream HTTP/1.1\r\nHost: here\r\n\r\n")
            began = b""
            while b"event: ready" not in began:
                piece = connection.recv(65536)
                assert piece
                began += piece
        assert _ask(stack.enter_context(_connect(port))).startswith(ANSWERED)
        app.may_answer.set()
        for connection in streams:
            assert _rest(connection).endswith(b"event: ending\ndata: {}\n\n\r\n0\r\n\r\n"), "its connection is closed after it"


def test_the_address_with_the_most_connections_loses_one() -> None:
    with serving(App(), total=4) as port, contextlib.ExitStack() as stack:
        one = stack.enter_context(_connect(port, source="127.0.0.2"))
        many = [stack.enter_context(_connect(port)) for _ in range(3)]
        assert _ask(many[-1]).startswith(ANSWERED)
        new = stack.enter_context(_connect(port, source="127.0.0.3"))
        assert _ask(new).startswith(ANSWERED)
        assert _ask(one).startswith(ANSWERED)
        assert _rest(many[0]) == b""


def test_an_address_whose_connections_are_all_served_makes_place_for_others() -> None:
    app = App()
    with serving(app, total=3) as port, contextlib.ExitStack() as stack:
        busy = [stack.enter_context(_connect(port)) for _ in range(3)]
        for connection in busy:
            connection.sendall(b"GET /wait HTTP/1.1\r\nHost: here\r\n\r\n")
            assert app.waiting.acquire(timeout=PATIENCE)
        assert _ask(stack.enter_context(_connect(port, source="127.0.0.2"))).startswith(ANSWERED)
        assert _rest(busy[0]) == b"", "the one that is served the longest"
        app.may_answer.set()
        assert all(_answer(connection).startswith(ANSWERED) for connection in busy[1:])


def test_requests_sent_ahead_of_their_answers_are_counted() -> None:
    with serving(App(), ahead=2) as port, _connect(port) as connection:
        connection.sendall(GET * 1000)
        assert len(_rest(connection)) < len(GET * 1000), "most were never served"


def test_a_caller_who_does_not_read_the_response_is_cut_off() -> None:
    with serving(App(), taken_within=0.2) as port, _connect(port) as connection:
        connection.sendall(b"GET /much HTTP/1.1\r\nHost: here\r\n\r\n")
        eventually("the connection is closed", lambda: _is_reset(connection))
        assert len(_rest(connection)) < 64 * 1024 * 1024


def test_unread_responses_have_a_common_limit() -> None:
    much = b"GET /much HTTP/1.1\r\nHost: here\r\n\r\n"
    with serving(App(), taken_within=FOREVER, untaken=150 * 1024 * 1024) as port, contextlib.ExitStack() as stack:
        other = stack.enter_context(_connect(port, source="127.0.0.2"))
        slow = [stack.enter_context(_connect(port)) for _ in range(3)]
        for connection in (other, *slow):
            connection.sendall(much)
            assert connection.recv(1)
        assert _comes(slow[0], 64 * 1024 * 1024) < 64 * 1024 * 1024
        assert _comes(other, 64 * 1024 * 1024) >= 64 * 1024 * 1024


def _comes(connection: socket.socket, most: int) -> int:
    """Returns the number of bytes read until the connection is closed or `most` have arrived."""
    size = 0
    with contextlib.suppress(ConnectionError):
        while size < most and (piece := connection.recv(1 << 20)):
            size += len(piece)
    return size


def _is_reset(connection: socket.socket) -> bool:
    try:
        connection.sendall(b"x")
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : here\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\nX: a\rb: c\r\n\r\n",
        b"GET / HTTP/1.1\nHost: here\n\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
def test_an_ambiguous_request_is_refused(request_: bytes) -> None:
    with serving(App()) as port, _connect(port) as connection:
        assert _error(_ask(connection, request_), 400)


# TLS.


def _write(folder: Path, name: str) -> tuple[Path, Path]:
    """Writes a certificate of this name and its key."""
    cert_file, key_file = folder / "tls.crt", folder / "tls.key"
    for file, content in zip((cert_file, key_file), self_signed(name), strict=True):
        file.write_bytes(content)
    return cert_file, key_file


def _secured(port: int) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(_connect(port))


def _name(connection: ssl.SSLSocket) -> str:
    given = connection.getpeercert(binary_form=True)
    assert given is not None
    return x509.load_der_x509_certificate(given).subject.rfc4514_string()


def test_a_new_certificate_is_served_and_no_connection_is_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificate = Certificate(_write(tmp_path, "first"))
    with serving(App(), certificate.context) as port, _secured(port) as before:
        assert (_name(before), certificate.refresh()) == ("CN=first", False)
        assert _ask(before).startswith(ANSWERED)
        _write(tmp_path, "second")
        assert certificate.refresh()
        with _secured(port) as after:
            assert _name(after) == "CN=second"
            assert _ask(after).startswith(ANSWERED)
        assert _ask(before).startswith(ANSWERED), "it goes on with the one that it had"
        (tmp_path / "tls.key").write_text("no key")
        assert not certificate.refresh()
        assert not certificate.refresh()
        assert len([record for record in caplog.records if "cannot be used" in record.message]) == 1, "said once"
        with _secured(port) as again:
            assert _name(again) == "CN=second"


def test_a_certificate_and_a_key_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    cert, _ = _write(tmp_path, "one")
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(OSError, match=r"(?i)mismatch"):
        Certificate((cert, _write(other, "two")[1]))
