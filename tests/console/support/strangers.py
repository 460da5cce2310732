"""Pages that are not the console's: an App's, which is a sibling subdomain, and somebody else's. What they try is a script of the test.

They are really served, on this machine as the console is: what a test makes up in the browser comes from nowhere, and Chromium lets nothing
of nowhere call the loopback.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from playwright.sync_api import Page

from tests.support.browser.chromium import Places

BLANK = b"<!doctype html><title>a page of somebody else</title><body></body>"


class _Blank(BaseHTTPRequestHandler):
    """Any page, blank and without a policy."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(BLANK)))
        self.end_headers()
        self.wfile.write(BLANK)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Browsers leave connections."""


@contextlib.contextmanager
def served(places: Places, *hosts: str) -> Iterator[None]:
    """Serves pages at these names until the block is left."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(places.certificate, places.key)
    with contextlib.ExitStack() as running:
        for host in hosts:
            server = running.enter_context(_Server(("127.0.0.1", places.ports[host]), _Blank))
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            running.callback(server.shutdown)
        yield


def stranger(beside: Page, host: str) -> Page:
    """A tab of the same browser at a page of `host`."""
    page = beside.context.new_page()
    page.goto(f"https://{host}/")
    return page
