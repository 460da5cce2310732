"""The command line of the operator and of the management API: every option by a flag or by its environment variable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dynamiq_operator.__main__ import parser
from dynamiq_operator.model.app import ParentRef

REPOSITORY = Path(__file__).parents[3]


def given(*arguments: str) -> dict[str, object]:
    return vars(parser().parse_args(arguments))


def test_operator_serves_the_whole_cluster_by_default() -> None:
    options = given("run")
    assert options["namespaces"] is None
    assert (options["lease_namespace"], options["lease_name"]) == ("dynamiq-system", "dynamiq-operator")
    assert (options["list_again_every"], options["image_policy"], options["health"]) == (600.0, "any", None)


def test_operator_is_told_what_to_serve() -> None:
    options = given("run", "--namespace", "a", "--namespace", "b", "--domain", "apps.test", "--gateway", "infra/public")
    assert options["namespaces"] == ["a", "b"]
    assert options["domain"] == "apps.test"
    assert options["gateway"] == ParentRef(name="public", namespace="infra")


def test_variables_are_options_and_flags_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNAMIQ_DOMAIN", "of.the.environment")
    monkeypatch.setenv("DYNAMIQ_LIST_AGAIN_EVERY", "30")
    monkeypatch.setenv("POD_NAMESPACE", "here")
    assert {name: given("run")[name] for name in ("domain", "list_again_every", "lease_namespace")} == {
        "domain": "of.the.environment",
        "list_again_every": 30.0,
        "lease_namespace": "here",
    }
    assert given("run", "--domain", "of.the.flag")["domain"] == "of.the.flag"


def test_management_api_listens_on_this_machine_alone_by_default() -> None:
    options = given("api")
    assert (options["host"], options["port"]) == ("127.0.0.1", 8080)
    assert given("api", "--port", "9000")["port"] == 9000


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "--gateway", "public"), "is not NAMESPACE/NAME of a Gateway"),
        (("run", "--gateway", "a/b/c"), "is not NAMESPACE/NAME of a Gateway"),
        (("run", "--ingress-annotations", "nginx"), "nginx is not CLASS=NAME,NAME"),
        (("run", "--ingress-annotations", "=a.test/b"), "is not CLASS=NAME,NAME"),
        (("run", "--list-again-every", "0"), "is not a number of seconds from 1 to 86400"),
        (("run", "--list-again-every", "often"), "is not a number of seconds"),
        (("run", "--recovers-within", "9"), "9 is less than 10 s"),
        (("run", "--image-policy", "none"), "invalid choice"),
        (("api", "--port", "65536"), "is not a port from 1 to 65535"),
        ((), "required: command"),
    ],
)
def test_wrong_options_are_named(arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "api"])
def test_process_without_a_cluster_says_so(command: str, tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "dynamiq_operator", command, "--kubeconfig", str(tmp_path / "absent")]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "operator")}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "the cluster's configuration cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_annotations_are_listed_by_class() -> None:
    assert given("run")["ingress_annotations"] is None
    listed = "nginx = a.test/b, a.test/c ; *=; edge=x.test/*"
    assert given("run", "--ingress-annotations", listed)["ingress_annotations"] == {
        "nginx": ("a.test/b", "a.test/c"),
        "*": (),
        "edge": ("x.test/*",),
    }
