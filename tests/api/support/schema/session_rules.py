"""Lists the rules of an App's conversations and callbacks: with what each accepts, and what it refuses."""

from __future__ import annotations

from tests.api.support.schema.rules import Rule
from tests.support.factories import Modifier, with_spec

CALLBACK_HOST = "spec.runs.durable.callbackHosts[0]"
NO_HOST = "a host is a DNS name in lower case, without a port and without *, such as hooks.example.com"
NO_ADDRESS = "this is an address: use the DNS name of the host, such as hooks.example.com"
SWITCH = {"strategy": "Switch"}
FOR_SWITCH = "sessions need rollout.strategy Switch, under which pods of several versions run: use it, or remove sessions"
FOR_PRIVATE = (
    "sessions are for a private App: whoever knows an id could choose an old version of a public one. Remove sessions, or use type private"
)


def _host(host: str) -> Modifier:
    return with_spec(runs={"durable": {"callbackHosts": [host]}})


def _sessions(*, rollout: dict[str, str] | None = None, access: str = "private", **fields: object) -> Modifier:
    return with_spec(sessions=fields, rollout=rollout or {}, access={"type": access})


SESSION_RULES = tuple(
    Rule("App", *each)
    for each in (
        ("host of callbacks", _host("hooks.example.com"), _host("*.example.com"), CALLBACK_HOST, NO_HOST),
        ("host of callbacks with a port", _host("hooks.team.svc"), _host("hooks.team.svc:8443"), CALLBACK_HOST, NO_HOST),
        ("host of callbacks in capitals", _host("hooks"), _host("Hooks"), CALLBACK_HOST, NO_HOST),
        ("address of callbacks", _host("1.example.com"), _host("10.0.0.1"), CALLBACK_HOST, NO_ADDRESS),
        ("strategy of sessions", _sessions(rollout=SWITCH), _sessions(), "spec.sessions", FOR_SWITCH),
        ("sessions and Rolling", _sessions(rollout=SWITCH), _sessions(rollout={"strategy": "Rolling"}), "spec.sessions", FOR_SWITCH),
        ("access of sessions", _sessions(rollout=SWITCH), _sessions(rollout=SWITCH, access="public"), "spec.sessions", FOR_PRIVATE),
    )
)
