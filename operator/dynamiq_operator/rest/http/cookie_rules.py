"""Decides if a request may use the console's cookies: only a page of the console itself may. It refuses before any cookie is read."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope

from dynamiq_operator.rest.http.console_address import ConsoleAddress
from dynamiq_operator.rest.http.errors import HttpProblem

CONSOLE = "/console"
SESSION = "/console/session"
OWN_HEADER = "X-Dynamiq-Console"
READS = frozenset({"GET", "HEAD"})


def is_console(path: str) -> bool:
    return path == CONSOLE or path.startswith(f"{CONSOLE}/")


@dataclass(frozen=True)
class CookieRules:
    """The rules for cookies. `address`: the console's; None if it is used on this machine alone, at any port."""

    is_on: bool
    address: ConsoleAddress | None

    def check(self, scope: Scope, headers: Headers) -> None:
        """Raises HttpProblem 403 if the request is not one of the console's own."""
        # Apps are sibling subdomains, which for SameSite=Strict are the same site: a page of theirs can send requests with the cookies.
        # So a request has to name the console's host, its browser has to declare the same origin, and a write has to have a header
        # that no form and no other origin can send.
        address = self._addressed(scope, headers)
        fetched, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
        if any(each != address.origin for each in origins):
            raise _refused(f"this request comes from another origin than {address.origin}")
        if fetched != ["same-origin"] and (fetched or not origins):
            raise _refused("the browser does not confirm that this request comes from the console's own origin")
        if scope["method"] not in READS and headers.getlist(OWN_HEADER) != ["1"]:
            raise _refused(f"it has no header `{OWN_HEADER}: 1`")

    def _addressed(self, scope: Scope, headers: Headers) -> ConsoleAddress:
        hosts = headers.getlist("host")
        host = hosts[0] if len(hosts) == 1 else ""
        if self.address is None:
            if (local := ConsoleAddress.local(scope["scheme"], host)) is None:
                raise _refused("start the API with --console-url https://…: without it the console works only at localhost")
            return local
        if not self.address.has_host(host):
            raise _refused(f"open the console at {self.address.origin}/console/: this request used another name")
        return self.address


def _refused(reason: str) -> HttpProblem:
    return HttpProblem(403, f"the console's sign-in does not count here: {reason}. Programs send `Authorization: Bearer <token>`")
