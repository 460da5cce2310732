"""Requests to the API server: by kubeconfig, with the caller's token alone, in UTF-8."""

from __future__ import annotations

import contextvars
import itertools
import json
from pathlib import Path

import pytest
from kubernetes.config import ConfigException

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import PLAIN
from dynamiq_operator.rest.kube import client as kube_client
from dynamiq_operator.rest.kube.client import ApiServer
from tests.support.scripted import Reply, Script, ScriptedServer, kubeconfig


def test_the_cluster_is_that_of_the_kubeconfig_and_the_identity_the_callers(tmp_path: Path) -> None:
    script = Script().on("GET", "/version", {"major": "1"})
    with ScriptedServer(script) as server:
        file = tmp_path / "config"
        file.write_text(json.dumps(kubeconfig(server)))
        connected = ApiServer.connect(file)
        assert connected.of("theirs").request("GET", "/version") == {"major": "1"}
        assert connected.own.request("GET", "/version", query={"a": "b c"}) == {"major": "1"}
    assert [sent.headers["Authorization"] for sent in script.sent] == ["Bearer theirs", "Bearer token-of-a-test"]
    assert script.sent[1].query == {"a": "b c"}


def test_a_kubeconfig_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigException):
        ApiServer.connect(tmp_path / "none")
    with pytest.raises(ConfigException):
        ApiServer.connect(None, "no such context")


def test_a_body_is_sent_in_utf_8_and_a_lone_surrogate_as_its_escape(tmp_path: Path) -> None:
    script = Script().on("POST", "/echo", {})
    with ScriptedServer(script) as server:
        file = tmp_path / "config"
        file.write_text(json.dumps(kubeconfig(server)))
        client = ApiServer.connect(file).of("theirs")
        for text in ("é", "\ud800"):
            client.request("POST", "/echo", body={"text": text})
    assert [sent.body for sent in script.sent] == [{"text": "é"}, {"text": "\ud800"}]
    assert [sent.headers["Content-Length"] for sent in script.sent] == ["13", "17"]


def test_a_watch_that_sends_on_ends_with_the_time_of_its_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_client, "ANSWERED_WITHIN", 0.2)
    script = Script().on("GET", "/watch", Reply(stream=itertools.repeat({"type": "ADDED"})))
    with ScriptedServer(script) as server:
        file = tmp_path / "config"
        file.write_text(json.dumps(kubeconfig(server)))
        client = ApiServer.connect(file).own

        def read() -> None:
            kube_client.begin_deadline()
            for _ in client.stream("/watch", {}, PLAIN, 15.0, lambda: None):
                pass

        with pytest.raises(errors.Unavailable, match=r"too slow|does not answer"):
            contextvars.copy_context().run(read)
