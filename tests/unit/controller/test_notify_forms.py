"""The sent notifications: a CloudEvent with a signature, and a message in which texts of tenants stay plain text."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.controller.notifications import forms
from dynamiq_operator.controller.notifications.delivery import Lost
from dynamiq_operator.controller.notifications.sinks import SinkRef, UnusableError, sinks_of, target_of
from dynamiq_operator.model.guard_objects import DeployPolicy
from dynamiq_operator.model.policy import SinkFormat
from dynamiq_operator.plan.background.notifications import Notification
from tests.support import factories as given

REPOSITORY = Path(__file__).parents[3]
KEY = b"0123456789abcdef"


def notified(message: str = "v2 (#2, b) is live", **fields: Any) -> Notification:
    return Notification("dynamiq-1", "Live", "demo", "chat", "b", given.NOW, message, "Live", sequence=2, version="v2", **fields)


def secret(**data: bytes | str) -> dict[str, Any]:
    return {"data": {name: base64.b64encode(each.encode() if isinstance(each, str) else each).decode() for name, each in data.items()}}


def test_a_cloud_event_has_what_the_standard_asks_for() -> None:
    sent = forms.written(notified(author="anna"), SinkFormat.CLOUD_EVENTS)
    assert sent.headers["Content-Type"].startswith("application/cloudevents+json")
    assert json.loads(sent.body) == {
        "specversion": "1.0",
        "id": "dynamiq-1",
        "source": "/apis/dynamiq.getdynamiq.ai/v1alpha1/namespaces/demo/apps/chat",
        "type": "ai.dynamiq.deployment.live",
        "subject": "b",
        "time": "2026-11-24T12:00:00Z",
        "datacontenttype": "application/json",
        "data": {
            "namespace": "demo",
            "app": "chat",
            "row": "b",
            "sequence": 2,
            "version": "v2",
            "phase": "Live",
            "reason": "Live",
            "message": "v2 (#2, b) is live",
            "warning": False,
            "author": "anna",
        },
    }


def test_its_signature_covers_the_time_and_the_body() -> None:
    sent = forms.written(notified(), SinkFormat.CLOUD_EVENTS).signed(KEY, 1700000000)
    expected = hmac.new(KEY, b"1700000000." + sent.body, hashlib.sha256).hexdigest()
    assert sent.headers["Dynamiq-Signature"] == f"t=1700000000,v1={expected}"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("<!channel> look", "&lt;!channel&gt; look"),
        ("<https://evil.example|your bank>", "&lt;https://evil.example|your bank&gt;"),
        ("a & b", "a &amp; b"),
        ("@here and (@channel)", "@\u2060here and (@\u2060channel)"),
        ("anna@example.com", "anna@example.com"),
        ("one\ntwo\x1b[31m\u202e", "one\\ntwo\\x1b[31m\\u202e"),
    ],
)
def test_text_of_tenants_is_neither_a_link_nor_a_mention(said: str, shown: str) -> None:
    body = json.loads(forms.written(notified(said), SinkFormat.SLACK).body)
    assert body == {"text": f"demo/chat: {shown}", "mrkdwn": False}


def test_a_long_text_is_cut_and_no_escape_within_it() -> None:
    text = json.loads(forms.written(notified("<" * 5000, author="a" * 5000), SinkFormat.SLACK).body)["text"]
    assert len(text) <= 3000
    assert "&l…" not in text
    assert text.count("…") == 2
    body = forms.written(notified("x" * 100_000), SinkFormat.CLOUD_EVENTS).body
    assert len(body) < 3000


def test_a_secret_has_the_url_and_the_key() -> None:
    target = target_of(secret(url="https://hooks.example.com/x?y=1#z\n", key=KEY + b"\n"), plain_http=False)
    assert (str(target.url), target.key) == ("https://hooks.example.com/x?y=1", KEY)
    assert target_of(secret(url="http://hooks.example.com/"), plain_http=True).key is None


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({}, "no url"),
        ({"url": ""}, "no url"),
        ({"url": "http://hooks.example.com/"}, "https"),
        ({"url": "ftp://hooks.example.com/"}, "https"),
        ({"url": "file:///etc/passwd"}, "https"),
        ({"url": "https://"}, "host"),
        ({"url": "https://hooks.example.com:99999/"}, "not a URL"),
        ({"url": "https://anna:t0psecret@hooks.example.com/"}, "password"),
        ({"url": "https://hooks.example.com/\r\nHost: other"}, "white space"),
        ({"url": "https://hooks.example.com/\x7f"}, "ASCII"),
        ({"url": "https://hooks.example.com/" + "a" * 2048}, "2048"),
        ({"url": "https://hooks.example.com/", "key": "short"}, "16 bytes"),
        ({"url": "https://hooks.example.com/", "ca": "none"}, "certificate"),
    ],
)
def test_an_unusable_secret_is_reported_without_its_content(data: dict[str, str], why: str) -> None:
    with pytest.raises(UnusableError, match=why) as refused:
        target_of(secret(**data), plain_http=False)
    assert "example" not in str(refused.value)
    assert "t0psecret" not in str(refused.value)


def test_a_sink_of_several_policies_is_notified_once() -> None:
    def policy(name: str, *sinks: dict[str, str]) -> DeployPolicy:
        return DeployPolicy.of({"metadata": {"name": name}, "spec": {"namespaceSelector": {}, "notifications": list(sinks)}})

    chat = {"name": "chat", "secretName": "slack", "format": "Slack"}
    found = sinks_of(
        [policy("b", chat, {"name": "bus", "secretName": "bus"}), policy("a", chat)], SinkRef("operator", "bus", SinkFormat.SLACK)
    )
    assert [(each.name, each.secret, each.form.value) for each in found] == [
        ("operator", "bus", "Slack"),
        ("a/chat", "slack", "Slack"),
        ("b/bus", "bus", "CloudEvents"),
    ]


def test_the_document_shows_what_is_sent_and_how_a_receiver_knows_the_operator() -> None:
    page = (REPOSITORY / "docs" / "notifications.md").read_text()
    (shown,) = (json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    waits = {"reason": "AwaitingApproval", "message": "it awaits 1 approval", "approvals": 0, "approvalsNeeded": 1}
    sent = json.loads(forms.written(notified(author="anna", runtime="1.0.0", waits=waits), SinkFormat.CLOUD_EVENTS).body)
    assert {*shown} == {*sent}
    assert [*shown["data"]] == [*sent["data"]]
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    known: dict[str, Any] = {}
    exec(compile(code, "notifications.md", "exec"), known)  # noqa: S102 - what a reader would copy
    genuine, body = known["is_genuine"], b'{"id":"1"}'
    header = forms.signature(KEY, 1_700_000_000, body)
    assert genuine(KEY, header, body, now=1_700_000_010)
    assert not genuine(KEY, header, body, now=1_700_000_900)
    assert not genuine(KEY, header, b'{"id":"2"}', now=1_700_000_010)
    assert not genuine(b"another key of 16 bytes", header, body, now=1_700_000_010)
    assert not genuine(KEY, header.replace("t=17", "t=18"), body, now=1_800_000_010)
    assert not genuine(KEY, "", body, now=1_700_000_010)


def test_the_document_has_every_type_and_every_reason() -> None:
    page = (REPOSITORY / "docs" / "notifications.md").read_text()
    reasons = set(
        re.findall(r'_about_both\(\s*app, row, "(\w+)"', (REPOSITORY / "operator/dynamiq_operator/plan/output/events.py").read_text())
    )
    reasons |= {"Progressing", "Live", "Failed", "Overtaken", "HoldBegun", "HoldEnded", "Approved", "Resumed", "Rejected", "Withdrawn"}
    assert {"Waiting", "Superseded", "Reverted"} <= reasons
    assert not [reason for reason in reasons if f"`{reason.lower()}`" not in page]
    assert not [reason for reason in Lost if f"`{reason.value}`" not in page]
