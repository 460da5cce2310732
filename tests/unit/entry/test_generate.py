"""The CustomResourceDefinitions are generated from the models. A check names a file that differs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dynamiq_operator import generate
from dynamiq_operator.model.kinds import KINDS

CRDS = Path(__file__).parents[3] / "crds"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["generate", *arguments])
    return generate.main()


def test_the_repository_has_the_definitions_of_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, str(CRDS), "--check") == 0


def test_every_kind_has_a_file_and_a_second_run_changes_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, str(tmp_path)) == 0
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {*(f"{kind.plural}.yaml" for kind in KINDS), "kustomization.yaml"}
    capsys.readouterr()
    assert run(monkeypatch, str(tmp_path)) == 0
    assert "up to date" in capsys.readouterr().out


def test_check_names_the_file_that_differs_and_leaves_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, str(tmp_path))
    stale = tmp_path / "apps.yaml"
    stale.write_text("edited by hand")
    assert run(monkeypatch, str(tmp_path), "--check") == 1
    assert str(stale) in capsys.readouterr().err
    assert stale.read_text() == "edited by hand"
