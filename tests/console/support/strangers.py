"""Serves pages other than the console's: an App's, on a sibling subdomain, and those of another site. The test's scripts are their attacks.

They are really served, on this machine like the console: Chromium allows no page that a test fulfils in the browser to call the loopback.
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
    """A handler that answers with a blank page and without a policy."""

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
        """Ignores errors: browsers drop connections."""


@contextlib.contextmanager
def served(places: Places, *hosts: str) -> Iterator[None]:
    """Serves pages at these names until the block ends."""
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
    """Opens a tab of the same browser at a page of `host`."""
    page = beside.context.new_page()
    page.goto(f"https://{host}/")
    return page
