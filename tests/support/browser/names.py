"""Names the hosts of the tests' browsers: the console, an App beside it, and other sites. All of them are this machine.

Cookies and `Sec-Fetch-Site` depend on sites: on localhost, tests could not see effects between sites.
"""

from __future__ import annotations

CONSOLE = "console.example.org"
SSO = "sso.example.org"
"""A second console, which signs in with OIDC."""

APP = "app.example.org"
"""An App of a user: a sibling subdomain, which is the same site."""

REPLICA = "replica.example.org"
"""One more replica of the API with the console, which a test kills."""

LOGIN = "login.example.test"
"""The OIDC provider: another site."""

ELSEWHERE = "elsewhere.example.net"
"""A page of another site."""

ALL = (CONSOLE, SSO, REPLICA, APP, LOGIN, ELSEWHERE)
