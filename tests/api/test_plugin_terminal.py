"""`kubectl dynamiq` on a terminal: it asks, follows on a line of its own, colours, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest

from dynamiq_operator.model import kinds
from tests.support import factories
from tests.support.history_stage import APP, HistoryStage
from tests.support.plugin import ENDS_WITHIN, Plugin, without_progress
from tests.support.waiting import eventually

DOT = "●"


@pytest.fixture(scope="module")
def told(module_stage: HistoryStage) -> str:
    """An App whose history is v1, then v2, and a failed row; no test changes it."""
    module_stage.app("told", workflow=APP)
    module_stage.live("told", "v1", runtime=module_stage.default_runtime, message="first")
    module_stage.live("told", "v2")
    module_stage.until(module_stage.deploy("told", "v3", config={"idleSeconds": 9}), "Failed")
    return "told"


@pytest.fixture
def served(module_stage: HistoryStage, request: pytest.FixtureRequest) -> str:
    """An App of this test's own that serves v2 after v1."""
    name: str = request.function.__name__.removeprefix("test_").replace("_", "-")[:40].strip("-")
    module_stage.app(name, workflow=APP)
    module_stage.live(name, "v1", runtime=module_stage.default_runtime)
    module_stage.live(name, "v2")
    return name


@pytest.fixture
def stuck(module_stage: HistoryStage, request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The command of a deploy that does not end for as long as a test takes."""
    name: str = request.function.__name__.removeprefix("test_").replace("_", "-")[:40].strip("-")
    module_stage.app(name, workflow=APP)
    return (
        "deploy",
        name,
        "--version",
        "v1",
        "--runtime",
        module_stage.runtime(f"slow-{len(name)}", image=factories.IMAGE, resources=factories.NO_NODE_HAS),
    )


def test_yes_rolls_back_and_shows_the_rollout(module_stage: HistoryStage, plugin: Plugin, served: str) -> None:
    with plugin.on_terminal("rollback", served, "-m", "v2 is rude") as terminal:
        shown = terminal.until(r"Roll back\? \[y/N\] ")
        assert "version  v2 (#2) → v1" in shown
        assert "\x1b[31m-" in shown
        assert len(module_stage.rows(served)) == 2
        terminal.press("y\n")
        assert terminal.end() == 0
    row = module_stage.rows(served)[-1]
    assert (row["spec"]["pinned"]["workflowVersion"], row["spec"]["message"]) == ("v1", "v2 is rude")
    followed = without_progress(terminal.shown).partition("[y/N] y")[2]
    assert re.search(r"\r\x1b\[KProgressing, pods: \d new, \d old, \d of \d ready, \d s", followed)
    assert f"\r\x1b[K{served}: v1 (#3, {row['metadata']['name']}) is \x1b[32m{DOT}\x1b[0m Live after " in followed
    assert followed.count("\n") == 2, "the line of progress is rewritten"


def test_what_changes_while_it_is_asked_is_not_deployed(module_stage: HistoryStage, plugin: Plugin, served: str) -> None:
    with plugin.on_terminal("deploy", served, "--version", "v1") as terminal:
        terminal.until(r"Deploy\? \[y/N\] ")
        module_stage.live(served, "v2", config={"autoscaling": {"maxReplicas": 7}})
        rows = len(module_stage.rows(served))
        terminal.press("y\n")
        assert terminal.end() == 4
    assert "nothing was done, since what would be deployed has changed after the preview: config was " in terminal.shown
    assert len(module_stage.rows(served)) == rows


def test_a_first_promotion_asks_for_the_hostname(module_stage: HistoryStage, plugin: Plugin, production: str, served: str) -> None:
    module_stage.change(kinds.APP.kind, served, spec={"hostname": f"{served}.staging.example"})
    assert "needs a hostname of its own there: give one: --hostname" in plugin.refused("promote", served, "--yes")
    with plugin.on_terminal("promote", served, "--no-wait") as terminal:
        terminal.until("Hostname: ")
        terminal.press("\n")
        assert terminal.end() == 1
    assert "--hostname" in terminal.shown
    with plugin.on_terminal("promote", served, "--no-wait") as terminal:
        terminal.until("Hostname: ")
        terminal.press(f"{served}.example.com\n")
        terminal.until(r"Promote\? \[y/N\] ")
        terminal.press("y\n")
        assert terminal.end() == 0
    made = module_stage.api.get(kinds.APP.kind, served, production).body
    assert made["spec"]["hostname"] == f"{served}.example.com"


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04", "nonsense\n"])
def test_anything_but_yes_does_nothing(module_stage: HistoryStage, plugin: Plugin, told: str, answer: str) -> None:
    before = module_stage.rows(told)
    with plugin.on_terminal("rollback", told) as terminal:
        terminal.until(r"\[y/N\] ")
        terminal.press(answer)
        assert terminal.end() == 1
    assert "nothing was done" in terminal.shown
    assert module_stage.rows(told) == before


def test_with_yes_it_does_not_ask(module_stage: HistoryStage, plugin: Plugin, served: str) -> None:
    with plugin.on_terminal("rollback", served, "--yes") as terminal:
        assert terminal.end() == 0
    assert "[y/N]" not in terminal.shown
    assert len(module_stage.rows(served)) == 3


def test_colours_and_dots_are_for_terminals_that_want_them(plugin: Plugin, told: str) -> None:
    def shown(**environment: str) -> str:
        with plugin.on_terminal("history", told, **environment) as terminal:
            assert terminal.end() == 0
        return without_progress(terminal.shown).replace("\r\n", "\n")

    coloured = shown()
    for colour, status in ((31, "Failed"), (32, "Live"), (90, "Superseded")):
        assert f"\x1b[{colour}m{DOT}\x1b[0m {status}" in coloured
    piped = plugin.said("history", told)
    assert "\x1b" not in piped
    assert DOT not in piped
    assert shown(NO_COLOR="1") == piped
    assert shown(TERM="dumb") == piped
    with plugin.on_terminal("status", told) as terminal:
        assert terminal.end() == 0
    assert f"\x1b[32m{DOT}\x1b[0m Live" in terminal.shown
    assert f"\x1b[31m{DOT}\x1b[0m Failed" in terminal.shown


def test_a_line_fits_the_terminal(plugin: Plugin, told: str) -> None:
    with plugin.on_terminal("history", told, COLUMNS="80", NO_COLOR="1") as terminal:
        assert terminal.end() == 0
    lines = terminal.shown.replace("\r\n", "\n").splitlines()
    assert max(map(len, lines)) <= 80
    assert any("…" in line for line in lines)


def test_what_users_wrote_is_shown_and_does_nothing(module_stage: HistoryStage, plugin: Plugin) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\nerror: forged"
    module_stage.app("hostile", workflow=APP)
    module_stage.create(
        factories.version_manifest(
            "v9", factories.in_namespace(module_stage.namespace), factories.with_spec(description=hostile), workflow=APP
        )
    )
    module_stage.live("hostile", "v9", runtime=module_stage.default_runtime, message=hostile)
    shown = ""
    for command in (
        ("history", "hostile", "-o", "wide"),
        ("history", "hostile", "-o", "json"),
        ("history", "hostile", "-o", "yaml"),
        ("status", "hostile"),
    ):
        with plugin.on_terminal(*command, NO_COLOR="1") as terminal:
            assert terminal.end() == 0
        shown += terminal.shown
    assert r"\x1b]0;owned\x07\x1b[2J\nerror: forged" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\nerror: forged" not in shown


def test_ctrl_c_while_it_follows_says_that_the_deploy_goes_on(module_stage: HistoryStage, plugin: Plugin, stuck: tuple[str, ...]) -> None:
    with plugin.on_terminal(*stuck, "--yes") as terminal:
        terminal.until("Progressing, pods: 1 new")
        terminal.press("\x03")
        assert terminal.end() == 130
    row = module_stage.rows(stuck[1])[0]
    assert f"interrupted: the deploy of {row['metadata']['name']} goes on; see `kubectl dynamiq status {stuck[1]}" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert row["status"]["phase"] == "Progressing"
    plugin.nothing_left()


def test_ctrl_c_at_the_question_does_nothing(module_stage: HistoryStage, plugin: Plugin, told: str) -> None:
    before = module_stage.rows(told)
    with plugin.on_terminal("rollback", told) as terminal:
        terminal.until(r"\[y/N\] ")
        assert plugin.leftovers(), "the proxy runs while it asks: or this test would see none in any case"
        terminal.press("\x03")
        assert terminal.end() == 130
    assert "Traceback" not in terminal.shown
    assert module_stage.rows(told) == before
    plugin.nothing_left()


@pytest.fixture
def sighup_by_default() -> Iterator[None]:
    """What is started within ends at SIGHUP, also where these tests were started by nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP], ids=lambda number: number.name)
def test_no_proxy_outlives_it(plugin: Plugin, told: str, number: signal.Signals, sighup_by_default: None) -> None:
    with plugin.started("history", told, "--watch") as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline()
        eventually("the proxy runs", plugin.leftovers)
        watching.send_signal(number)
        watching.wait(ENDS_WITHIN)
        plugin.nothing_left()


def test_no_proxy_outlives_the_reader_of_its_output(plugin: Plugin, told: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        plugin.command("history", told),
        env=plugin.environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=ENDS_WITHIN,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, without_progress(done.stderr)) == (141, "")
    plugin.nothing_left()


def test_the_socket_is_for_nobody_else(plugin: Plugin, told: str) -> None:
    with plugin.started("history", told, "--watch") as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline()
        (folder,) = plugin.folder.glob("kubectl-dynamiq-*")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "s").is_socket()
