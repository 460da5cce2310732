"""An App for tests of `kubectl dynamiq invoke` and `keys`: its Secret, and a server that answers in its place."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator

from dynamiq_operator.kube.resources import SECRETS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from tests.support.factories import NAME, NAMESPACE
from tests.support.scripted import Script, ScriptedServer

SECRET = SECRETS.path(NAMESPACE, names.access_keys(NAME))
DEFAULT = "a-long-secret-key"
LIVE = {"row": "chat-a", "sequence": 1, "workflowVersion": "v1", "runtime": "1.0.0"}


def secret(**keys: str) -> Manifest:
    data = {name: base64.b64encode(value.encode()).decode() for name, value in keys.items()}
    return {"metadata": {"name": names.access_keys(NAME), "uid": "u", "resourceVersion": "7"}, "data": data}


@contextlib.contextmanager
def served() -> Iterator[tuple[Script, int]]:
    """Yields an App that answers, and its port."""
    script = Script().on("POST", "/", {"answer": "hello"})
    with ScriptedServer(script) as server:
        yield script, int(server.url.rpartition(":")[2])
