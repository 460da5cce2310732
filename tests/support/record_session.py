"""Records the plugin's session of docs/rolling-back.md on the cluster that `make demo` has just left.

Usage: `python -m tests.support.record_session --name NAME`. It runs the document's ```console blocks from the first up to those of the
section, in order, and writes below each command of the section its real output. Parts that differ each time are written as `…`; a test runs
the same commands and compares.

The section's ```text block shows one more rollback on a terminal. The plugin runs on a pseudo-terminal, and its question is answered as a
user would. Each state of the line that it rewrites is shown below the previous one.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from local import clusters
from local.clusters import Cluster
from local.images import REPOSITORY
from tests.support import documents
from tests.support.plugin import Plugin

DOCUMENT = REPOSITORY / "docs" / "rolling-back.md"
SECTION = "## From a terminal\n"
VARIES = (
    (re.compile(r" after (\d+ min )?\d+ s$", re.MULTILINE), " after … s"),
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:…"),
    (re.compile(r"^Progressing, pods: .*\n(Progressing, .*\n)*", re.MULTILINE), "Progressing, pods: … ready\n"),
    (re.compile(r"^(Pending.*|Live|Progressing)\n", re.MULTILINE), ""),
)
ON_TERMINAL = ("rollback", "support", "-n", "demo", "--to", "v2", "-m", "the other team, after all")
QUESTION = r"\[y/N\] $"
REWRITTEN = "\r\x1b[K"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SECONDS = re.compile(r", (\d+ min )?\d+ s$")


def main(arguments: list[str] | None = None) -> int:
    """Runs the commands and rewrites the section; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.record_session", description="Records the plugin's session of docs/rolling-back.md."
    )
    parser.add_argument("--name", default="dynamiq", help="the cluster that the demo left (default: %(default)s)")
    options = parser.parse_args(arguments)
    if (cluster := clusters.find(options.name)) is None:
        print(f"error: no cluster {options.name} runs: `make demo NAME={options.name}` starts one", file=sys.stderr)
        return 1
    text = DOCUMENT.read_text()
    before, heading, section = text.partition(SECTION)
    section, rest = _parted(section)
    played = REPOSITORY / ".session.md"
    played.write_text(before + heading + section)
    try:
        outputs = documents.run(played, cluster.env, REPOSITORY)
    finally:
        played.unlink()
    recorded = "".join(f"$ {step.command}\n{_steady(words)}" for step, words in outputs[-len(_commands(section)) :])
    shown = _on_terminal(cluster)
    section = re.sub(r"```console\n.*?```", lambda _: f"```console\n{recorded}```", section, count=1, flags=re.DOTALL)
    section = re.sub(r"```text\n.*?```", lambda _: f"```text\n{shown}```", section, count=1, flags=re.DOTALL)
    DOCUMENT.write_text(before + heading + section + rest)
    print(recorded + shown, end="")
    return 0


def _on_terminal(cluster: Cluster) -> str:
    """Returns the terminal's output during the rollback, with its question answered."""
    with tempfile.TemporaryDirectory() as folder, Plugin(cluster, "", Path(folder)).on_terminal(*ON_TERMINAL) as terminal:
        terminal.until(QUESTION)
        terminal.press("y\n")
        if terminal.end() != 0:
            raise AssertionError(f"the rollback did not end well: {terminal.shown!r}")
    lines: list[str] = []
    for line in COLOUR.sub("", terminal.shown).replace("\r\n", "\n").split("\n"):
        states = dict.fromkeys(SECONDS.sub(", … s", state) for state in line.split(REWRITTEN))
        lines += [state for state in states if state or not line]
    words = " ".join(f"'{argument}'" if " " in argument else argument for argument in ON_TERMINAL)
    return f"$ kubectl dynamiq {words}\n{_steady(chr(10).join(lines), VARIES[:1])}"


def _parted(section: str) -> tuple[str, str]:
    """Returns the section, and the text after it."""
    end = section.find("\n## ")
    return (section, "") if end < 0 else (section[: end + 1], section[end + 1 :])


def _commands(section: str) -> list[str]:
    return [line for block in documents.BLOCK.findall(section) for line in block.splitlines() if line.startswith("$ ")]


def _steady(output: str, replacements: Sequence[tuple[re.Pattern[str], str]] = VARIES) -> str:
    """Returns a command's output, without the parts that differ each time."""
    text = "".join(f"{line.rstrip()}\n" for line in output.strip("\n").splitlines())
    for varies, instead in replacements:
        text = varies.sub(instead, text)
    return text


if __name__ == "__main__":
    sys.exit(main())
