"""The plugin's command line, its texts, and its imports before its first line."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from dynamiq_operator.cli import arguments, kubectl_flags, output
from dynamiq_operator.cli.kubectl_flags import split
from dynamiq_operator.cli.transport import parse_duration
from local import images
from tests.support.cluster import REPOSITORY
from tests.support.scripted_plugin import ScriptedPlugin

COMMANDS = arguments.commands_of(arguments.parser())


def test_the_flags_that_take_a_value_are_those_of_the_parsers() -> None:
    """Otherwise `-m --context` would be parsed as kubectl's flag."""
    found = {
        option
        for parser in COMMANDS.values()
        for option in arguments.options(parser, lambda action: action.nargs is None and bool(action.option_strings))
    }
    assert found == kubectl_flags.OWN_WITH_VALUE


def test_all_commands_share_one_grammar() -> None:
    """APP is the first argument, every command that prints has -o, and every list has --limit."""
    for name, parser in COMMANDS.items():
        taken = [action.dest for action in parser._actions if not action.option_strings and action.dest != "action"]
        assert "app" not in taken or taken[0] == "app", name
        assert "-o" in arguments.options(parser) or name == "logs", f"{name}: the lines of logs are the pods' own"
    lists = ("list", "history", "runs", "questions", "sessions", "at")
    assert [name for name in COMMANDS if "--limit" in arguments.options(COMMANDS[name])] == sorted(lists, key=list(COMMANDS).index)


def test_no_option_is_one_of_kubectls() -> None:
    own = {option for parser in COMMANDS.values() for option in arguments.options(parser)}
    assert not own & (kubectl_flags.WITH_VALUE | kubectl_flags.ALONE | kubectl_flags.NAMESPACE)


@pytest.mark.parametrize(
    ("typed", "kubectl", "namespace", "rest"),
    [
        ("history support", [], None, ["history", "support"]),
        ("history support -n demo --context=mine", ["--context=mine"], "demo", ["history", "support"]),
        (
            "--as eve --as-group a --as-group b history -ndemo x",
            ["--as", "eve", "--as-group", "a", "--as-group", "b"],
            "demo",
            ["history", "x"],
        ),
        ("history x --namespace=a -v=6 -s https://h", ["-v=6", "-s", "https://h"], "a", ["history", "x"]),
        ("deploy x -m --context --version v1", [], None, ["deploy", "x", "-m", "--context", "--version", "v1"]),
        ("deploy x --message=-n -o json", [], None, ["deploy", "x", "--message=-n", "-o", "json"]),
        ("history -- -n", [], None, ["history", "--", "-n"]),
        ("deploy x --no-wait --insecure-skip-tls-verify", ["--insecure-skip-tls-verify"], None, ["deploy", "x", "--no-wait"]),
    ],
)
def test_kubectls_flags_are_set_apart(typed: str, kubectl: list[str], namespace: str | None, rest: list[str]) -> None:
    given = split(typed.split())
    assert (list(given.kubectl), given.namespace, list(given.rest), given.lacks_value) == (kubectl, namespace, rest, None)


@pytest.mark.parametrize(
    ("typed", "lacking"), [("history x -n", "-n"), ("history x --context", "--context"), ("history x --namespace=", "--namespace")]
)
def test_a_flag_without_its_value_is_named(typed: str, lacking: str) -> None:
    given = split(typed.split())
    assert (given.lacks_value, given.needs_cluster) == (lacking, False)


@pytest.mark.parametrize("typed", ["", "--help", "history -h", "help", "help history", "--version", "--context mine --version"])
def test_a_question_for_help_or_the_plugins_version_needs_no_cluster(typed: str) -> None:
    assert not split(typed.split()).needs_cluster


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_examples_and_exit_codes(name: str) -> None:
    text = COMMANDS[name].format_help()
    assert f"  kubectl dynamiq {name} " in text.partition("examples:")[2]
    assert "exit codes: 0 " in text
    sentences = re.split(r"(?<=[.]) ", COMMANDS[name].description or "")
    assert all(re.match(r"([A-Z][a-z]*|[A-Z]+)\b|[-`]", each) for each in sentences), (
        "a sentence begins with a capital letter, an option or a command"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_command_parse(name: str) -> None:
    examples = COMMANDS[name].format_help().partition("examples:")[2].partition("exit codes")[0].split("\n")
    for line in filter(str.strip, examples):
        words = shlex.split(line.strip().removeprefix("kubectl dynamiq ").partition(" |")[0])
        assert arguments.parser().parse_args(split(words).rest).command == name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("red \x1b[31m", r"red \x1b[31m"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("title \x1b]0;owned\x07", r"title \x1b]0;owned\x07"),
        ("c1 \x9b31m", r"c1 \x9b31m"),
        ("turned ‮ round", r"turned \u202e round"),
        ("déjà vu: “yes” 日本 🦊", "déjà vu: “yes” 日本 🦊"),
    ],
)
def test_text_of_users_cannot_control_a_terminal(text: str, shown: str) -> None:
    assert output.safe(text) == shown


def test_wide_characters_take_two_columns() -> None:
    assert [output.display_width(text) for text in ("abc", "日本", "é", "e\u0301")] == [3, 4, 1, 1]
    assert output.truncate("日本語です", 5) == "日本…"
    assert output.truncate("short", 5) == "short"


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("90s", 90), ("1m30s", 90), ("2h", 7200), ("500ms", 0.5), ("", None), ("soon", None), ("5x", None)]
)
def test_durations(text: str, value: float | None) -> None:
    assert parse_duration(text) == value


def _imported(module: str) -> set[str]:
    """Returns the modules that a fresh interpreter has loaded after an import."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY / "operator", capture_output=True, text=True, timeout=240, check=True
    )
    return set(done.stdout.split())


HEAVY = {"pydantic", "asyncio", "aiohttp", "kubernetes", "kopf", "fastapi", "uvicorn", "click", "yaml"}


def test_history_starts_without_models_and_without_an_async_stack() -> None:
    loaded = _imported("dynamiq_operator.cli.program, dynamiq_operator.cli.commands.history")
    assert not loaded & (HEAVY | {"subprocess"})


def test_status_starts_without_models() -> None:
    loaded = _imported("dynamiq_operator.cli.program, dynamiq_operator.cli.commands.status, dynamiq_operator.actions.running")
    assert not loaded & (HEAVY | {"subprocess"})


def test_the_arguments_of_every_command_are_read_without_models() -> None:
    """Neither `--help` nor the completion of a command needs what only its run does."""
    loaded = _imported("dynamiq_operator.cli.program, dynamiq_operator.cli.arguments as it; it.commands_of(it.parser())")
    modules = {name.rpartition(".")[2] for name in loaded if name.startswith("dynamiq_operator.cli.commands.")}
    assert modules == set(arguments.MODULES.values())
    assert not loaded & HEAVY


def test_a_command_line_imports_the_module_of_its_command_alone() -> None:
    loaded = _imported("dynamiq_operator.cli.arguments as it; it.parser().parse_args(['list', '--limit', '3'])")
    assert {name for name in loaded if name.startswith("dynamiq_operator.cli.commands.")} == {"dynamiq_operator.cli.commands.list"}


def test_a_deploy_starts_without_what_decides_in_the_operator_and_without_the_answers_of_the_recorder() -> None:
    of_run = [f"dynamiq_operator.actions.{name}" for name in ("deploy", "confirmed", "follow")]
    loaded = _imported(", ".join(("dynamiq_operator.cli.program", "dynamiq_operator.cli.commands.deploy", *of_run)))
    unneeded = {"planner", "snapshot", "context", "operations", "status", "rollout"}
    assert not loaded & ({f"dynamiq_operator.plan.{name}" for name in unneeded} | {"dynamiq_operator.model.runs", "asyncio"})


def test_the_plugins_version_is_the_projects(plugin: ScriptedPlugin) -> None:
    done = plugin("--version")
    assert (done.code, done.out, done.err) == (0, f"kubectl dynamiq {images.version()}\n", "")


def test_the_connection_is_begun_before_anything_else_is_imported() -> None:
    loaded = _imported("dynamiq_operator.cli")
    assert {name for name in loaded if name.startswith("dynamiq_operator")} == {
        "dynamiq_operator",
        "dynamiq_operator.cli",
        "dynamiq_operator.cli.connection",
        "dynamiq_operator.cli.kubectl_flags",
    }
    assert not loaded & {"argparse", "http.client", "json", "subprocess", "tempfile", "threading"}
