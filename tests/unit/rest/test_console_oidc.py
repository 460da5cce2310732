"""Signing in with OIDC: by a code that is bound to the browser which began it, and never by anybody else's data."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dynamiq_operator.rest.console import provider as provider_module
from dynamiq_operator.rest.console import sign_in
from dynamiq_operator.rest.console.attempt import Attempt
from dynamiq_operator.rest.console.fetching import ProviderError
from dynamiq_operator.rest.console.options import OidcOptions
from dynamiq_operator.rest.console.provider import Metadata
from dynamiq_operator.rest.console.targets import safe_target
from dynamiq_operator.rest.http import sessions
from tests.support.console import HOST, OWN, SESSION, URL, a_console, cookie, kept
from tests.support.rest_stage import ANNA, TOKEN, Answered, RestStage, of_user
from tests.support.scripted import Reply, failure
from tests.unit.support.oidc_provider import CLIENT, REFRESH, SECRET, Key, Provider

CALLBACK = "/console/oidc/callback"
TARGET = "/console/apps/005c60c5-18dd-4f38-a146-a82be134a95f?tab=history"
GOES = {"Host": HOST, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
"""Headers of a browser window that a link of another site opens here."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as made:
        yield made


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "client-secret"
    file.write_text(f"{SECRET}\n")
    return file


def staged(provider: Provider, **options: Any) -> RestStage:
    found = RestStage(console=a_console(oidc=OidcOptions(provider.issuer, CLIENT, "Dex", **options)))
    found.script.on("POST", sessions.REVIEWS, of_user(ANNA))
    return found


@pytest.fixture
def stage(provider: Provider, secret: Path) -> Iterator[RestStage]:
    with staged(provider, secret=secret) as made:
        yield made


def go(stage: RestStage, path: str, **headers: str) -> Answered:
    return stage.call("GET", path, token=None, headers={**GOES, **headers})


def start(stage: RestStage, to: str = TARGET) -> tuple[str, dict[str, str]]:
    """Begins a sign-in, and returns the provider's URL and the browser's cookies."""
    answered = go(stage, f"/console/oidc/start?to={to.replace('?', '%3F').replace('&', '%26')}")
    assert answered.status == 302, answered
    return answered.headers["location"], kept(answered.cookies)


def back(stage: RestStage, query: str, cookies: dict[str, str]) -> Answered:
    return go(stage, f"{CALLBACK}?{query}", **cookie(cookies))


def signed_in(stage: RestStage, provider: Provider, **more: str) -> Answered:
    """Returns the callback's answer after a whole sign-in. `more`: parameters that the provider sends back."""
    url, cookies = start(stage)
    return back(stage, provider.authorize(url, **more), cookies)


def code_of(answered: Answered) -> str:
    """Returns the code of a failed sign-in: nobody is signed in, and the attempt is over."""
    assert answered.status == 303
    parts = urlsplit(answered.headers["location"])
    assert (parts.netloc, parts.path) == ("", "/console/sign-in")
    assert [each for each in answered.cookies if "Max-Age=0" not in each] == []
    assert any(each.startswith("__Host-oidc=;") for each in answered.cookies)
    return parse_qs(parts.query)["error"][0]


# The successful sign-in.


def test_a_sign_in_returns_to_the_requested_page(stage: RestStage, provider: Provider) -> None:
    url, cookies = start(stage)
    query = parse_qs(urlsplit(url).query)
    assert query["redirect_uri"] == [f"{URL}{CALLBACK}"]
    assert query["scope"] == ["openid email profile"]
    assert list(cookies) == ["__Host-oidc"]
    answered = back(stage, provider.authorize(url), cookies)
    assert (answered.status, answered.headers["location"]) == (303, TARGET)
    after = kept([*(f"{name}={value}" for name, value in cookies.items()), *answered.cookies])
    assert list(after) == ["__Host-dynamiq-0"], "the attempt is over"
    session = stage.call("GET", SESSION, token=None, headers={**OWN, **cookie(after)}).data
    assert session["user"]["username"] == ANNA
    assert session["sign_in"]["oidc"] == {"name": "Dex"}
    assert REFRESH not in json.dumps(after)


def test_the_cookie_of_an_attempt_is_lax_and_of_the_session_strict(stage: RestStage, provider: Provider) -> None:
    answered = go(stage, "/console/oidc/start")
    (attempt,) = answered.cookies
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=600"} == set(attempt.split("; ")[1:])
    answered = back(stage, provider.authorize(answered.headers["location"]), kept([attempt]))
    assert "SameSite=Strict" in next(each for each in answered.cookies if each.startswith("__Host-dynamiq-0=1."))
    assert answered.headers["location"] == "/console/"


def test_the_api_server_judges_the_token(stage: RestStage, provider: Provider) -> None:
    signed_in(stage, provider)
    (review,) = (sent for sent in stage.script.sent if sent.path == sessions.REVIEWS)
    claims = json.loads(base64.urlsafe_b64decode(review.headers["Authorization"].split(".")[1] + "=="))
    assert claims["iss"] == provider.issuer
    for reply, code in ((failure(401, "Unauthorized"), "token"), (failure(403, "Forbidden"), "token"), (Reply(503, b""), "cluster")):
        stage.script.on("POST", sessions.REVIEWS, reply)
        provider.claims["jti"] = code + str(reply.status)  # another token: this one's user is known
        assert code_of(signed_in(stage, provider)) == code


@pytest.mark.parametrize(("methods", "has_secret"), [(["client_secret_basic"], True), (["client_secret_post"], True), (["none"], False)])
def test_the_client_authenticates_by_the_method_of_the_provider(
    provider: Provider, secret: Path, methods: list[str], has_secret: bool
) -> None:
    provider.methods, provider.is_public = methods, not has_secret
    with staged(provider, secret=secret if has_secret else None) as stage:
        assert signed_in(stage, provider).headers["location"] == TARGET


def test_a_secret_is_read_for_each_sign_in(stage: RestStage, provider: Provider, secret: Path) -> None:
    secret.write_text("wrong")
    assert code_of(signed_in(stage, provider)) == "provider"
    secret.write_text(SECRET)
    assert signed_in(stage, provider).headers["location"] == TARGET
    secret.unlink()
    assert code_of(signed_in(stage, provider)) == "provider"


def test_the_metadata_of_the_provider_are_read_once(stage: RestStage, provider: Provider) -> None:
    for _ in range(3):
        signed_in(stage, provider)
    assert provider.asked == {"/.well-known/openid-configuration": 1, "/jwks": 1, "/token": 3}


def test_a_new_key_is_looked_for_and_not_all_the_time(stage: RestStage, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in(stage, provider)
    provider.keys.append(Key("second"))
    for _ in range(3):
        assert code_of(signed_in(stage, provider)) == "token"
    assert provider.asked["/jwks"] == 1, "it was asked a moment ago"
    monkeypatch.setattr(provider_module, "KEYS_EVERY", 0.0)
    assert signed_in(stage, provider).headers["location"] == TARGET
    assert provider.asked["/jwks"] == 2


# Whose answer is accepted.


def test_an_answer_to_somebody_elses_attempt_is_refused(stage: RestStage, provider: Provider) -> None:
    url, cookies = start(stage)
    others, _ = start(stage)
    assert code_of(back(stage, provider.authorize(others), cookies)) == "state"
    assert code_of(back(stage, provider.authorize(url).replace("state=", "was="), cookies)) == "state"
    query = provider.authorize(url)
    assert code_of(back(stage, f"{query}&state={query.rpartition('state=')[2]}", cookies)) == "state", "two of them"
    assert provider.asked["/token"] == 0


def test_without_the_browsers_attempt_an_answer_is_none(stage: RestStage, provider: Provider) -> None:
    url, _ = start(stage)
    assert code_of(back(stage, provider.authorize(url), {})) == "expired"
    for value in ("", "x", "e30=", base64.urlsafe_b64encode(b'{"state": 1}').decode(), base64.urlsafe_b64encode(b"[" * 5000).decode()):
        assert code_of(back(stage, provider.authorize(url), {"__Host-oidc": value})) == "expired"
    assert provider.asked["/token"] == 0


@pytest.mark.parametrize(("age", "works"), [(590, True), (620, False), (-10, True), (-3600, False)])
def test_an_attempt_has_ten_minutes(stage: RestStage, provider: Provider, age: int, works: bool) -> None:
    url, cookies = start(stage)
    attempt = json.loads(base64.urlsafe_b64decode(cookies["__Host-oidc"]))
    older = base64.urlsafe_b64encode(json.dumps({**attempt, "began": int(time.time()) - age}).encode()).decode()
    answered = back(stage, provider.authorize(url), {"__Host-oidc": older})
    assert answered.headers["location"] == TARGET if works else code_of(answered) == "expired"


def test_an_attempt_is_for_one_use_and_so_is_its_code(stage: RestStage, provider: Provider, secret: Path) -> None:
    url, cookies = start(stage)
    query = provider.authorize(url)
    assert back(stage, query, cookies).headers["location"] == TARGET
    assert code_of(back(stage, query, cookies)) == "expired"
    assert code_of(back(stage, provider.authorize(url), cookies)) == "expired", "with another code"
    with staged(provider, secret=secret) as another:
        assert code_of(back(another, query, cookies)) == "provider", "another replica does not know the attempt, and the provider the code"


def test_a_code_of_somebody_else_is_not_taken(stage: RestStage, provider: Provider) -> None:
    _, cookies = start(stage)
    state = json.loads(base64.urlsafe_b64decode(cookies["__Host-oidc"]))["state"]
    theirs, _ = start(stage)
    assert code_of(back(stage, provider.authorize(theirs, state=state), cookies)) == "provider", "its verifier is another"


@pytest.mark.parametrize(
    ("announces", "given", "works"),
    [
        (True, "own", True),
        (True, None, False),
        (True, "https://evil.test", False),
        (False, None, True),
        (False, "https://evil.test", False),
    ],
)
def test_a_response_names_its_issuer_if_the_provider_announces_it(
    stage: RestStage, provider: Provider, announces: bool, given: str | None, works: bool
) -> None:
    provider.metadata["authorization_response_iss_parameter_supported"] = announces
    more = {} if given is None else {"iss": provider.issuer if given == "own" else given}
    answered = signed_in(stage, provider, **more)
    assert answered.headers["location"] == TARGET if works else code_of(answered) == "provider"
    assert provider.asked["/token"] == int(works)


def test_a_refusal_of_the_provider_is_only_a_code(stage: RestStage, provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    evil = "%0d%0aSet-Cookie:%20a=b<script>evil"
    url, cookies = start(stage)
    state = parse_qs(urlsplit(url).query)["state"][0]
    answered = back(stage, f"error={evil}&error_description={evil}&error_uri={evil}&state={state}", cookies)
    assert code_of(answered) == "refused"
    assert "evil" not in str(answered) + caplog.text


# The ID token.


def _unsigned(provider: Provider) -> Callable[[dict[str, Any]], str]:
    return lambda claims: f"{_part({'alg': 'none', 'kid': 'first'})}.{_part(claims)}."


def _by_the_public_key(provider: Provider) -> Callable[[dict[str, Any]], str]:
    def sign(claims: dict[str, Any]) -> str:
        text = f"{_part({'alg': 'HS256', 'kid': 'first'})}.{_part(claims)}"
        signature = hmac.new(provider.keys[0].pem, text.encode(), hashlib.sha256).digest()
        return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"

    return sign


def _by_another_key(provider: Provider) -> Callable[[dict[str, Any]], str]:
    return Key("first", number=1).sign


def _by_a_key_that_it_brings(provider: Provider) -> Callable[[dict[str, Any]], str]:
    own = Key("mine")
    return lambda claims: own.sign(claims, jwk=json.dumps(own.public), jku="https://evil.test/keys")


def _changed_after(provider: Provider) -> Callable[[dict[str, Any]], str]:
    def sign(claims: dict[str, Any]) -> str:
        head, _, signature = provider.keys[0].sign(claims).split(".")
        return f"{head}.{_part({**claims, 'email': 'root@example.com'})}.{signature}"

    return sign


def _part(data: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")


@pytest.mark.parametrize("made", [_unsigned, _by_the_public_key, _by_another_key, _by_a_key_that_it_brings, _changed_after])
def test_a_token_that_the_provider_did_not_sign(stage: RestStage, provider: Provider, made: Any) -> None:
    provider.sign = made(provider)
    assert code_of(signed_in(stage, provider)) == "token"
    assert stage.script.bodies("POST", sessions.REVIEWS) == [], "it never reaches the API server"


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256"])
def test_algorithms_of_a_provider_that_are_taken(stage: RestStage, provider: Provider, algorithm: str) -> None:
    provider.sign = lambda claims: provider.keys[0].sign(claims, algorithm)
    assert signed_in(stage, provider).headers["location"] == TARGET


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": 7}, "nonce"),
        ({"aud": "somebody else"}, "token"),
        ({"aud": None}, "token"),
        ({"aud": [CLIENT, "somebody else"]}, "token"),
        ({"aud": [CLIENT, "somebody else"], "azp": "somebody else"}, "token"),
        ({"azp": "somebody else"}, "token"),
        ({"iss": "https://evil.test"}, "token"),
        ({"iss": None}, "token"),
        ({"exp": 1}, "token"),
        ({"exp": None}, "token"),
        ({"exp": "soon"}, "token"),
        ({"iat": 1 << 40}, "token"),
        ({"iat": None}, "token"),
        ({"nbf": 1 << 40}, "token"),
        ({"sub": None}, "token"),
        ({"email": "a" * 20_000}, "token"),
    ],
)
def test_a_token_for_something_else(stage: RestStage, provider: Provider, claims: dict[str, Any], code: str) -> None:
    provider.claims = claims
    assert code_of(signed_in(stage, provider)) == code
    assert stage.script.bodies("POST", sessions.REVIEWS) == []


@pytest.mark.parametrize("claims", [{"aud": [CLIENT]}, {"aud": [CLIENT, "another"], "azp": CLIENT}, {"exp": int(time.time()) + 86400}])
def test_a_token_for_this_client(stage: RestStage, provider: Provider, claims: dict[str, Any]) -> None:
    provider.claims = claims
    assert signed_in(stage, provider).headers["location"] == TARGET


# A provider that deviates from the standard.


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/token", (500, b"<h1>evil</h1>")),
        ("/token", (200, b"evil")),
        ("/token", (200, [])),
        ("/token", (400, {"error": "evil\r\nevil", "error_description": "evil"})),
        ("/token", (307, "/evil")),
        ("/token", (200, b'{"id_token": "' + b"a" * (1 << 20) + b'"}')),
        ("/jwks", (200, {"keys": "evil"})),
        ("/jwks", (500, {})),
    ],
)
def test_an_answer_that_cannot_be_used(
    stage: RestStage, provider: Provider, path: str, answer: tuple[int, Any], caplog: pytest.LogCaptureFixture
) -> None:
    provider.answer = lambda asked: answer if asked == path else None
    answered = signed_in(stage, provider)
    assert code_of(answered) == "provider"
    assert "evil" not in str(answered) + caplog.text
    assert provider.asked["/evil"] == 0, "no redirect is followed"


def test_a_provider_that_answers_too_late_fails_the_sign_in(
    stage: RestStage, provider: Provider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url, cookies = start(stage)
    monkeypatch.setattr(sign_in, "WITHIN", 0.0)
    assert code_of(back(stage, provider.authorize(url), cookies)) == "provider"
    assert "it took more than 0 s" in caplog.text


@pytest.mark.parametrize("keys", [[], [{}], [{"kty": "oct", "k": "c2VjcmV0"}], [{"kty": "RSA", "n": "!", "e": "AQAB", "kid": "first"}]])
def test_keys_that_cannot_be_used(stage: RestStage, provider: Provider, keys: list[Any]) -> None:
    provider.answer = lambda path: (200, {"keys": keys}) if path == "/jwks" else None
    assert code_of(signed_in(stage, provider)) == "token"


def test_a_token_that_is_none(stage: RestStage, provider: Provider) -> None:
    for token in (None, 7, "", "a.b.c", "a b", "a" * 20_000):
        provider.sign = lambda _, token=token: token  # type: ignore[misc]
        assert code_of(signed_in(stage, provider)) == "token"


def test_an_unavailable_provider_is_reported_at_the_start(provider: Provider) -> None:
    provider.answer = lambda _: (503, {})
    with staged(provider) as stage:
        for _ in range(3):
            answered = go(stage, f"/console/oidc/start?to={TARGET.replace('?', '%3F')}")
            assert code_of(answered) == "provider"
            assert parse_qs(urlsplit(answered.headers["location"]).query)["to"] == [TARGET]
        assert provider.asked["/.well-known/openid-configuration"] == 1, "not for everybody who tries"


ISSUER = "https://dex.example.com"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": "https://tokens.example.com/token",
    "jwks_uri": f"{ISSUER}/keys",
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "https://evil.test"},
        {"issuer": f"{ISSUER}/"},
        {"issuer": None},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://dex.example.com/\r\nSet-Cookie: a=b"},
        {"authorization_endpoint": "https://dex.example.com/#x"},
        {"token_endpoint": "http://dex.example.com/token"},
        {"token_endpoint": "http://localhost/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": ["https://dex.example.com/keys"]},
    ],
)
def test_invalid_metadata_of_a_provider_are_refused(wrong: dict[str, Any]) -> None:
    assert Metadata.of(DOCUMENT, ISSUER).token == "https://tokens.example.com/token"
    with pytest.raises(ProviderError):
        Metadata.of({**DOCUMENT, **wrong}, ISSUER)


# The target after a sign-in, and its origin.


@pytest.mark.parametrize(
    "target", ["/console/", "/console/apps/a-1_2.3~", TARGET, "/console/sign-in?window=1", "/console/x?q=a%20b%C3%A9&y=1/2"]
)
def test_a_target_of_the_console(target: str) -> None:
    assert safe_target(target) == target


@pytest.mark.parametrize(
    "target",
    [
        "",
        "/",
        "//evil.test",
        "/console",
        "/consoles/",
        "https://evil.test/console/",
        "//evil.test/console/",
        "/\\evil.test",
        "/console//evil.test",
        "/console/..//evil.test",
        "/console/../v1/apps",
        "/console/./x/..",
        "/console/a/..",
        "/console/%2e%2e/%2fevil.test",
        "/console/%2f%2fevil.test",
        "/console/%5cevil.test",
        "/console/\\evil.test",
        "/console/\t/evil.test",
        "/console/\r\nSet-Cookie: a=b",
        "/console/x?a=%0d%0ab",
        "/console/x?a=%5Cb",
        "/console/x?a=%00",
        "/console/x?a=%",
        "/console/x#y",
        "/console/é",
        " /console/",
        "/console/ ",
        "javascript:alert(1)",
        "/v1/apps",
        "/console/oidc/start",
        "/console/oidc/callback?code=a",
        "/console/session",
        "/console/" + "a" * 1024,
    ],
)
def test_a_target_that_is_none_of_the_consoles(stage: RestStage, provider: Provider, target: str) -> None:
    assert safe_target(target) == "/console/"


def test_a_target_is_checked_again_when_it_comes_back(stage: RestStage, provider: Provider) -> None:
    url, cookies = start(stage)
    attempt = json.loads(base64.urlsafe_b64decode(cookies["__Host-oidc"]))
    cookies["__Host-oidc"] = base64.urlsafe_b64encode(json.dumps({**attempt, "target": "//evil.test"}).encode()).decode()
    assert back(stage, provider.authorize(url), cookies).headers["location"] == "/console/"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 302),
        ({"Host": "api.example.com"}, 403),
        ({"Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Mode": "cors"}, 403),
        ({"Sec-Fetch-Dest": "iframe"}, 403),
    ],
)
def test_one_signs_in_by_going_there(stage: RestStage, headers: dict[str, str], status: int) -> None:
    answered = go(stage, "/console/oidc/start", **headers)
    assert answered.status == status
    assert bool(answered.cookies) == (status == 302)
    assert go(stage, CALLBACK, **headers).status == (303 if status == 302 else status)


def test_the_cookie_of_an_attempt_opens_nothing_else(stage: RestStage) -> None:
    _, cookies = start(stage)
    stage.call("GET", "/v1/apps", token=None, headers={**OWN, **cookie(cookies)}).error(401)
    assert stage.call("GET", SESSION, token=None, headers={**OWN, **cookie(cookies)}).data["user"] is None


def test_without_a_provider_there_is_nowhere_to_go() -> None:
    with RestStage(console=a_console()) as stage:
        for path in ("/console/oidc/start", CALLBACK):
            assert "--oidc-issuer" in go(stage, path).error(404)["message"]


async def test_one_address_keeps_no_other_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "WITHIN", 600.0)
    released, begun = threading.Event(), asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()

    class Slow(provider_module.Provider):
        def check_issuer(self, given: str | None) -> None:
            loop.call_soon_threadsafe(begun.release)
            released.wait()
            raise ProviderError(str(given))

        def authorization_url(self, attempt: Attempt) -> str:
            return attempt.state

    signing_in = sign_in.SignIn(Slow(OidcOptions("https://issuer.test", CLIENT, "Dex"), CALLBACK))
    bogus = [Attempt.new("/console/") for _ in range(sign_in.EACH + sign_in.WAITING)]
    waiting = [asyncio.create_task(signing_in.finish([("state", each.state)], each, "192.0.2.1")) for each in bogus]
    for _ in range(sign_in.EACH):
        await begun.acquire()
    attempt = Attempt.new("/console/")
    try:
        assert await signing_in.begin(attempt, "192.0.2.2") == attempt.state
        with pytest.raises(sign_in.Failed, match="too many"):
            await signing_in.begin(attempt, "192.0.2.1")
    finally:
        released.set()
        await asyncio.gather(*waiting, return_exceptions=True)


def test_neither_a_code_nor_a_token_is_in_the_log(stage: RestStage, provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url, cookies = start(stage)
    query = provider.authorize(url)
    answered = back(stage, query, cookies)
    provider.claims["nonce"] = "wrong"
    signed_in(stage, provider)
    log = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert "its nonce" in log
    hidden = [*parse_qs(query)["code"], *parse_qs(query)["state"], SECRET, TOKEN, *kept(answered.cookies).values(), *cookies.values()]
    assert not [each for each in hidden if each in log]
