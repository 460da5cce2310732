"""The command line of the operator and of the management API: every option by a flag or by its environment variable."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dynamiq_operator.__main__ import main
from dynamiq_operator.arguments import parser
from dynamiq_operator.model.app import ParentRef
from dynamiq_operator.model.settings import MetricsPeer
from dynamiq_operator.rest.http.console_address import ConsoleAddress

REPOSITORY = Path(__file__).parents[3]


def given(*arguments: str) -> dict[str, object]:
    return vars(parser().parse_args(arguments))


def test_operator_serves_the_whole_cluster_by_default() -> None:
    options = given("run")
    assert options["namespaces"] is None
    assert (options["lease_namespace"], options["lease_name"]) == ("dynamiq-system", "dynamiq-operator")
    assert (options["list_again_every"], options["image_policy"], options["health"]) == (600.0, "any", None)


def test_the_operator_takes_its_scope_from_arguments() -> None:
    options = given("run", "--namespace", "a", "--namespace", "b", "--domain", "apps.test", "--gateway", "infra/public")
    assert options["namespaces"] == ["a", "b"]
    assert options["domain"] == "apps.test"
    assert options["gateway"] == ParentRef(name="public", namespace="infra")


def test_variables_are_options_and_flags_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNAMIQ_DOMAIN", "of.the.environment")
    monkeypatch.setenv("DYNAMIQ_LIST_AGAIN_EVERY", "30")
    monkeypatch.setenv("POD_NAMESPACE", "here")
    assert {name: given("run")[name] for name in ("domain", "list_again_every", "lease_namespace", "operator_namespace")} == {
        "domain": "of.the.environment",
        "list_again_every": 30.0,
        "lease_namespace": "here",
        "operator_namespace": "here",
    }
    assert given("run", "--domain", "of.the.flag")["domain"] == "of.the.flag"


def test_management_api_listens_on_this_machine_alone_by_default() -> None:
    options = given("api")
    assert (options["host"], options["port"]) == ("127.0.0.1", 8080)
    assert given("api", "--port", "9000")["port"] == 9000


def test_the_console_is_on_and_at_this_machine_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    options = given("api")
    assert (options["console"], options["console_url"], options["oidc_issuer"]) == (True, None, None)
    assert given("api", "--no-console")["console"] is False
    monkeypatch.setenv("DYNAMIQ_CONSOLE_URL", "https://console.example.com")
    monkeypatch.setenv("DYNAMIQ_OIDC_ISSUER", "http://localhost:5556/dex")
    options = given("api", "--oidc-scopes", "openid  groups")
    assert options["console_url"] == ConsoleAddress("https", "console.example.com")
    assert (options["oidc_issuer"], options["oidc_scopes"]) == ("http://localhost:5556/dex", "openid groups")


OIDC = ("--oidc-issuer", "https://dex.example.com", "--oidc-client-id", "console")


@pytest.mark.parametrize(
    ("arguments", "variables", "told"),
    [
        (OIDC, {}, "needs --console-url"),
        ((*OIDC[:2], "--console-url", "https://console.example.com"), {}, "belong together"),
        (("--oidc-name", "Dex"), {}, "need --oidc-issuer"),
        ((*OIDC, "--console-url", "https://console.example.com", "--oidc-client-secret-file", "/nowhere"), {}, "/nowhere cannot be read"),
        ((), {"DYNAMIQ_CONSOLE": "maybe"}, "has to be true or false"),
    ],
)
def test_options_of_the_console_that_do_not_fit_together(
    arguments: tuple[str, ...], variables: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["dynamiq_operator", "api", *arguments])
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_gate_has_limits_and_ports_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    options = given("gate")
    assert (options["listen"], options["health_port"], options["metrics_port"]) == (None, 8081, 9090)
    assert (options["held_most"], options["calls_most"], options["body_limit"], options["finish_within"]) == (1000, 5000, 1 << 30, 840.0)
    assert options["memory"] == 1 << 30
    monkeypatch.setenv("DYNAMIQ_HELD_MOST", "10")
    monkeypatch.setenv("DYNAMIQ_MEMORY", "536870912")
    assert (given("gate")["held_most"], given("gate")["memory"]) == (10, 1 << 29)


@pytest.mark.parametrize("command", ["run", "api"])
def test_the_public_scheme_and_port_come_from_the_environment(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = given(command)
    assert (options["public_scheme"], options["public_port"]) == (None, None)
    monkeypatch.setenv("DYNAMIQ_PUBLIC_SCHEME", "http")
    monkeypatch.setenv("DYNAMIQ_PUBLIC_PORT", "8080")
    options = given(command)
    assert (options["public_scheme"], options["public_port"]) == ("http", 8080)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "--recorder", "recorder:8080"), "is not http://HOST:PORT"),
        (("api", "--journal", "journal:8080"), "is not http://HOST:PORT"),
        (("gate", "--journal", "journal:8080"), "is not http://HOST:PORT"),
        (("run", "--recorder", "http://recorder..svc:8080"), "is not http://HOST:PORT"),
        (("run", "--recorder", f"http://{'a' * 64}.svc:8080"), "is not http://HOST:PORT"),
        (("run", "--recorder", "http://user@recorder:8080"), "is not http://HOST:PORT"),
        (("run", "--journal", "journal:8080"), "is not http://HOST:PORT"),
        (("run", "--metrics-from", "monitoring/prometheus"), "monitoring/prometheus is not NAMESPACE or NAMESPACE/LABEL=VALUE"),
        (("run", "--metrics-from", "a,B"), "B is not NAMESPACE"),
        (("run", "--gateway", "public"), "is not NAMESPACE/NAME of a Gateway"),
        (("run", "--gateway", "a/b/c"), "is not NAMESPACE/NAME of a Gateway"),
        (("run", "--ingress-annotations", "nginx"), "nginx is not CLASS=NAME,NAME"),
        (("run", "--ingress-annotations", "=a.test/b"), "is not CLASS=NAME,NAME"),
        (("run", "--list-again-every", "0"), "is not a number of seconds from 1 to 86400"),
        (("run", "--list-again-every", "often"), "is not a number of seconds"),
        (("run", "--recovers-within", "9"), "9 is less than 10 s"),
        (("run", "--image-policy", "none"), "invalid choice"),
        (("api", "--port", "65536"), "is not a port from 1 to 65535"),
        (("api", "--public-port", "0"), "is not a port from 1 to 65535"),
        (("run", "--public-scheme", "ftp"), "invalid choice"),
        (("gate", "--held-most", "0"), "0 is not a number from 1 on"),
        (("gate", "--finish-within", "soon"), "is not a number of seconds"),
        (("gate", "--health-port", "http"), "is not a port"),
        (("api", "--console-url", "http://console.example.com"), "plain HTTP is for"),
        (("api", "--console-url", "https://example.com/console"), "is not the console's URL"),
        (("api", "--oidc-issuer", "http://dex.example.com"), "is not an issuer's URL"),
        (("api", "--oidc-issuer", "https://dex.example.com?a=b"), "is not an issuer's URL"),
        (("api", "--oidc-scopes", "email"), "has no scope openid"),
        ((), "required: command"),
    ],
)
def test_wrong_options_are_named(arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[int, str]]]:
    """Returns a function that runs the program with arguments and variables, and returns its exit code and output.

    Logging is restored after the test.
    """
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in ("", "kopf", "aiohttp.access")}

    def run(*arguments: str, **variables: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["dynamiq_operator", *arguments])
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return main(), capsys.readouterr().err

    yield run
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


POD = {"POD_NAMESPACE": "dynamiq-gate", "POD_NAME": "a", "POD_UID": "u", "POD_IPS": "10.0.0.1,fd00::1", "NODE_NAME": "n"}


@pytest.mark.parametrize("command", ["run", "api", "gate"])
def test_a_process_without_a_cluster_reports_it(ran: Callable[..., tuple[int, str]], command: str, tmp_path: Path) -> None:
    code, output = ran(command, "--kubeconfig", str(tmp_path / "absent"), **POD)
    assert code == 1
    assert "the cluster's configuration cannot be read" in output
    assert "Traceback" not in output


def test_a_gate_without_its_identity_names_the_missing_variables(ran: Callable[..., tuple[int, str]]) -> None:
    code, output = ran("gate", **{**POD, "POD_UID": "", "NODE_NAME": ""})
    assert code == 2
    assert "set POD_UID, NODE_NAME" in output


def test_operator_and_api_do_not_load_the_gate() -> None:
    code = "import sys, dynamiq_operator.__main__; print([name for name in sys.modules if 'gate.' in name])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "operator")},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_annotations_are_listed_by_class() -> None:
    assert given("run")["ingress_annotations"] is None
    listed = "nginx = a.test/b, a.test/c ; *=; edge=x.test/*"
    assert given("run", "--ingress-annotations", listed)["ingress_annotations"] == {
        "nginx": ("a.test/b", "a.test/c"),
        "*": (),
        "edge": ("x.test/*",),
    }


def test_readers_of_metrics_are_named_by_a_list_or_by_several_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    prometheus = MetricsPeer(namespace="monitoring", label=("app.kubernetes.io/name", "prometheus"))
    assert given("run")["metrics_from"] == ()
    monkeypatch.setenv("DYNAMIQ_METRICS_FROM", "monitoring/app.kubernetes.io/name=prometheus, tools")
    assert given("run")["metrics_from"] == (prometheus, MetricsPeer(namespace="tools"))
    flags = ("--metrics-from", "a,b", "--metrics-from", "c/x=")
    assert given("run", *flags)["metrics_from"] == (
        MetricsPeer(namespace="a"),
        MetricsPeer(namespace="b"),
        MetricsPeer(namespace="c", label=("x", "")),
    )


def test_the_recorder_is_named_by_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    assert given("run")["recorder"] is None
    monkeypatch.setenv("DYNAMIQ_RECORDER", "http://dynamiq-recorder.dynamiq-recorder.svc:8080/")
    assert given("run")["recorder"] == "http://dynamiq-recorder.dynamiq-recorder.svc:8080"


@pytest.mark.parametrize("command", ["run", "api", "gate"])
def test_the_journal_is_named_by_its_url(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert given(command)["journal"] is None
    monkeypatch.setenv("DYNAMIQ_JOURNAL", "http://dynamiq-journal.dynamiq-journal.svc/")
    monkeypatch.setenv("DYNAMIQ_JOURNAL_CA", "/etc/journal/ca.crt")
    options = given(command)
    assert (options["journal"], options["journal_ca"]) == ("http://dynamiq-journal.dynamiq-journal.svc", Path("/etc/journal/ca.crt"))


@pytest.mark.parametrize("command", ["run", "api", "gate"])
def test_each_client_of_the_recorder_takes_its_certificate_authority(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNAMIQ_RECORDER_CA", "/etc/recorder/ca.crt")
    assert given(command)["recorder_ca"] == Path("/etc/recorder/ca.crt")
