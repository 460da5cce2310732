"""The demo and README.md, run as a newcomer runs them: first `make demo`, then every command of the README on what it left."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import clusters, demo, operators
from local.clusters import Cluster
from tests.support import documents

REPOSITORY = Path(__file__).parents[2]


pytestmark = pytest.mark.timeout(1200)
"""The first test builds, starts and installs; the last runs a whole README."""


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[Cluster, str]]:
    """The cluster that the demo left, and what it printed."""
    name = f"t{os.getpid()}-demo"
    output = io.StringIO()
    try:
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            patch.delenv("CLUSTER", raising=False)
            status = demo.main(["--name", name])
        assert status == 0, output.getvalue()
        cluster = clusters.find(name)
        assert cluster is not None
        yield cluster, output.getvalue()
    finally:
        clusters.stop(name)


def test_the_demo_ends_with_three_rows_and_the_newest_live(told: tuple[Cluster, str]) -> None:
    history = told[1].split("$ kubectl get deployments.dynamiq -n demo --sort-by=.spec.sequence\n")[1].splitlines()
    assert history[0].split() == ["NAME", "APP", "VERSION", "DESCRIPTION", "STATUS", "CREATED", "BY", "RUNTIME", "DATE"]
    rows = [re.split(r"\s{2,}", row) for row in history[1:4]]
    assert [(row[1], row[2], row[4]) for row in rows] == [
        ("support", "v1", "Superseded"),
        ("support", "v2", "Superseded"),
        ("support", "v1", "Live"),
    ]
    assert not history[4]


def test_its_caller_heard_every_version_and_no_failure(told: tuple[Cluster, str]) -> None:
    cluster, output = told
    if not cluster.real_pods:
        assert "the calls to the App are left out" in output
        return
    calls = re.search(r"^(\d+) calls, (\d+) failed$", output, re.MULTILINE)
    assert calls
    assert int(calls[1]) > 50
    assert int(calls[2]) == 0
    single = re.findall(r'^\S+ 200 \{"answer":"(v\d):', output, re.MULTILINE)
    assert single == ["v1", "v2", "v1"]


def test_it_says_how_to_go_on_and_keeps_keys_to_itself(told: tuple[Cluster, str]) -> None:
    output = told[1]
    assert 'eval "$(.venv/bin/python -m local env' in output
    assert "remove it:" in output
    assert "dynq_" not in output


def test_the_demo_leaves_a_namespace_that_is_not_its_own(
    told: tuple[Cluster, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "NAMESPACE", "default")
    monkeypatch.setattr(operators, "install", lambda *_: None)
    monkeypatch.delenv("CLUSTER", raising=False)
    assert demo.main(["--name", told[0].name]) == 1
    assert "namespace default is there and is not the demo's" in capsys.readouterr().err


def test_every_command_of_the_readme_says_what_the_readme_shows(told: tuple[Cluster, str]) -> None:
    cluster = told[0]
    assert cluster.real_pods, (
        "the pods of this machine are simulated, and nothing answers the README's calls: be root on Linux, or start Docker"
    )
    wrong = {}
    for step, said in documents.run(REPOSITORY / "README.md", cluster.env, REPOSITORY):
        if lines := documents.missing(step, said):
            wrong[step.command] = f"shows {lines}, and it said:\n{said}"
    assert not wrong, "\n".join(f"{command} {what}" for command, what in wrong.items())
