"""Names of the tests' browsers: the console, an App beside it, and whoever is of another site. All of them are this machine.

Cookies and `Sec-Fetch-Site` go by sites, so tests on localhost would not see what happens between them.
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
"""Somebody else's page."""

ALL = (CONSOLE, SSO, REPLICA, APP, LOGIN, ELSEWHERE)
