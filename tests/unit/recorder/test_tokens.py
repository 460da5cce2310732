"""The user and the rights of a token: requested once, cached for a while, bounded, and never guessed while the API server is away."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dynamiq_operator.kube import credentials
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.credentials import Credentials
from dynamiq_operator.model.runs import RECORDER_AUDIENCE
from dynamiq_recorder.cluster import NoCluster, connect
from dynamiq_recorder.identity.rights import Rights
from dynamiq_recorder.identity.tokens import NotNow, Tokens, Unauthorized, User
from tests.support.recorder_stage import pod_user
from tests.support.scripted import Reply, Script, ScriptedServer, Sent, kubeconfig

TOKENS, ACCESSES = "/apis/authentication.k8s.io/v1/tokenreviews", "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class Server:
    """A scripted API server and a clock."""

    def __init__(self, client: Client, script: Script) -> None:
        self.client, self.script = client, script
        self.now = 1000.0
        self.tokens = Tokens(client, lambda: self.now)
        self.rights = Rights(client, lambda: self.now)
        self.users: dict[str, dict[str, Any]] = {"pod": pod_user("team", "chat-1", "uid-1"), "person": {"username": "ada"}}
        self.is_away = False
        script.on("POST", TOKENS, self._review)
        script.on("POST", ACCESSES, lambda sent: self._answer({"allowed": sent.body["spec"]["user"] == "ada"}))

    def _review(self, sent: Sent) -> Any:
        spec = sent.body["spec"]
        known = self.users.get(spec["token"].rpartition(".")[2] if "." in spec["token"] else spec["token"])
        audiences = spec.get("audiences")
        if known is None or (bool(audiences) != bool(known.get("audience"))):
            return self._answer({"authenticated": False})
        user = {name: value for name, value in known.items() if name != "audience"}
        return self._answer({"authenticated": True, "audiences": audiences or ["kubernetes"], "user": user})

    def _answer(self, status: dict[str, Any]) -> Any:
        return Reply(cut=True) if self.is_away else {"metadata": {}, "status": status}

    def asked(self, path: str = TOKENS) -> int:
        return len(self.script.bodies("POST", path))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    script = Script()
    with ScriptedServer(script) as scripted:
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(kubeconfig(scripted)))
        async with await connect(path, None) as client:
            yield Server(client, script)


def jwt(audience: Any, token: str) -> str:
    """Returns a token that claims an audience. A scripted server reads only its last part."""
    claims = base64.urlsafe_b64encode(json.dumps({"aud": audience}).encode()).rstrip(b"=").decode()
    return f"header.{claims}.{token}"


async def test_a_token_is_looked_at_once_a_minute(server: Server) -> None:
    users = await asyncio.gather(*(server.tokens.user("pod") for _ in range(20)))
    assert {user.username for user in users} == {"system:serviceaccount:team:default"}
    assert users[0].pod == ("chat-1", "uid-1")
    assert users[0].namespace == "team"
    assert server.asked() == 1
    server.now += 61
    await server.tokens.user("pod")
    assert server.asked() == 2


@pytest.mark.parametrize(
    ("token", "reviews"),
    [
        ("pod", 1),
        ("person", 2),  # no claim says what it is for, so both are asked
        (jwt([RECORDER_AUDIENCE], "pod"), 1),
        (jwt(RECORDER_AUDIENCE, "pod"), 1),
        (jwt(["https://kubernetes.default.svc"], "person"), 1),
        (jwt(None, "person"), 2),
        ("a.!!!.person", 2),
    ],
)
async def test_a_token_is_reviewed_for_the_audience_that_it_claims(server: Server, token: str, reviews: int) -> None:
    user = await server.tokens.user(token)
    assert (server.asked(), user.is_ours) == (reviews, token.endswith("pod"))


@pytest.mark.parametrize("token", [jwt([RECORDER_AUDIENCE], "person"), jwt(["else"], "pod"), "nobody", "", "x" * 20_000])
async def test_a_token_with_a_false_audience_is_refused(server: Server, token: str) -> None:
    with pytest.raises(Unauthorized):
        await server.tokens.user(token)
    before = server.asked()
    with pytest.raises(Unauthorized):
        await server.tokens.user(token)
    assert server.asked() == before, "it is not asked again at once"


async def test_while_the_api_server_is_unavailable_pods_are_accepted_for_five_minutes(server: Server) -> None:
    await server.tokens.user("pod")
    await server.tokens.user("person")
    server.is_away = True
    server.now += 59
    assert (await server.tokens.user("person")).username == "ada"
    server.now += 240
    assert (await server.tokens.user("pod")).pod == ("chat-1", "uid-1")
    for token in ("person", "nobody"):
        with pytest.raises(NotNow):
            await server.tokens.user(token)
    server.now += 120
    with pytest.raises(NotNow):
        await server.tokens.user("pod")
    server.is_away = False
    assert (await server.tokens.user("pod")).pod == ("chat-1", "uid-1")


async def test_any_number_of_unknown_tokens_does_not_block_known_ones(server: Server) -> None:
    await server.tokens.user("pod")
    strangers = [asyncio.create_task(server.tokens.user(f"stranger-{number}")) for number in range(Tokens.pending_most + 100)]
    await asyncio.sleep(0)
    assert (await server.tokens.user("pod")).pod == ("chat-1", "uid-1")
    found = await asyncio.gather(*strangers, return_exceptions=True)
    assert {type(each) for each in found} == {Unauthorized, NotNow}
    assert sum(isinstance(each, NotNow) for each in found) == 100


async def test_a_right_is_remembered_for_ten_seconds_and_is_of_one_person_and_one_thing(server: Server) -> None:
    ada, eve = (User(name, "", (), {}, is_ours=False) for name in ("ada", "eve"))

    def may(user: User, verb: str = "get", app: str = "chat") -> Any:
        return server.rights.may(user, verb, "runs", "team", app)

    assert (await may(ada), await may(ada), await may(eve), server.asked(ACCESSES)) == (True, True, False, 2)
    assert await may(User("ada", "", ("group",), {"scope": ("x",)}, is_ours=False), "list", "other")
    spec = server.script.bodies("POST", ACCESSES)[-1]["spec"]
    assert spec["groups"] == ["group"]
    assert spec["extra"] == {"scope": ["x"]}
    expected = {
        "group": "dynamiq.getdynamiq.ai",
        "resource": "apps",
        "subresource": "runs",
        "verb": "list",
        "namespace": "team",
        "name": "other",
    }
    assert spec["resourceAttributes"] == expected
    server.now += 11
    server.is_away = True
    with pytest.raises(NotNow):
        await may(ada)


async def test_a_pod_authenticates_with_its_account_without_the_large_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setattr(credentials, "ACCOUNT", tmp_path)
    (tmp_path / "token").write_text("of-the-pod\n")
    (tmp_path / "ca.crt").write_text("")
    for host, shown in (("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")):
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
        found = credentials.PodConfiguration.read()
        assert (found.host, await found.get_api_key_with_prefix("BearerToken", "authorization")) == (shown, "Bearer of-the-pod")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    with pytest.raises(OSError, match="not a pod"):
        await Credentials.of_pod().login()


async def test_an_invalid_kubeconfig_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "none"
    path.write_text("{}")
    with pytest.raises(NoCluster, match="cannot be read"):
        await connect(path, None)


async def test_a_server_has_an_audience_of_its_own_and_may_know_pods_for_longer(server: Server) -> None:
    tokens = Tokens(server.client, lambda: server.now, audience="dynamiq-journal", pods_for=600)
    server.users["pod"]["audience"] = "dynamiq-journal"
    token = jwt(["dynamiq-journal"], "pod")
    assert (await tokens.user(token)).is_ours
    assert server.script.bodies("POST", TOKENS)[-1]["spec"]["audiences"] == ["dynamiq-journal"]
    await tokens.user("person")
    reviewed = server.asked()
    server.now += 599
    await tokens.user(token)
    assert server.asked() == reviewed
    await tokens.user("person")
    assert server.asked() == reviewed + 2, "a person's is reviewed each minute, for both audiences"
    server.now += 2
    await tokens.user(token)
    assert server.asked() == reviewed + 3
