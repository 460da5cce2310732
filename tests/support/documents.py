"""Runs a document's ```console blocks as one shell session, and compares its output with the document.

A line that begins with `$ ` is a command; lines below it, up to the next command or an empty line, are its output. The real output must
contain each of them. Endings of names (support-x7k2p), times, the width of gaps and the text for `…` may differ. A command that only reads
is repeated until its output matches: a new row is Live a moment before the previous one is Superseded. Free ports replace the local ports
of its port-forwards, since another session may use those of the document.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITHIN = 900.0  # seconds
SESSIONS = (
    "README.md",
    "docs/rollouts.md",
    "docs/serverless.md",
    "docs/runs.md",
    "docs/before-live.md",
    "docs/rolling-back.md",
    "docs/deploying.md",
    "docs/gitops.md",
    "docs/first-app.md",
    "docs/calling.md",
    "docs/background-runs.md",
    "docs/conversations.md",
    "docs/flows.md",
    "docs/rest.md",
    "docs/triggers.md",
    "docs/journal.md",
    "docs/install.md",
)
"""Documents with sessions, in the order in which they run on the demo's result.

README.md shows that result, the next ones read its runs, the sixth counts rows from there on, and the last removes everything. After a
rollback, changes from Git are on hold, so a deploy comes between the two.
"""

FORWARD = re.compile(r"kubectl port-forward\b.* (\d+):\d+")
LOOKS = re.compile(r"kubectl (get|events|dynamiq history) ")
"""Commands that change nothing, and whose output matches after a while."""
ALL_SAID = (
    "import re, sys; said = sys.stdin.read().splitlines(); "
    "sys.exit(not all(any(re.fullmatch(each, line.rstrip()) for line in said) for each in sys.argv[1:]))"
)
PRELUDE = f"""set -euo pipefail
head() {{ awk -v most="${{1#-}}" 'NR <= most'; }}
look() {{
  local command=$1 code said
  shift
  for _ in {{1..60}}; do
    code=0
    said=$(eval "$command" 2>&1) || code=$?
    if [ "$code" = 0 ] && printf '%s\\n' "$said" | {shlex.quote(sys.executable)} -I -c {shlex.quote(ALL_SAID)} "$@"; then break; fi
    sleep 1
  done
  printf '%s\\n' "$said"
  return "$code"
}}
"""
"""`head` reads to the end: otherwise a command whose output is cut would fail. `look` repeats a command until it prints these lines."""

MARK = "@@ command "
LOOSE = (
    (re.compile(r"\\?-[a-z0-9]{5,10}(?![a-z0-9])"), "-[a-z0-9]{5,10}"),  # a generated name's ending, after re.escape
    (re.compile(r"\d{4}\\?-\d\d\\?-\d\dT[\d:]+Z"), r"\\d{4}-\\d\\d-\\d\\dT[\\d:]+Z"),
    (re.compile(r"(\\? )+"), r"\\s+"),
    (re.compile("(\\\\s\\+)?…(\\\\s\\+)?"), ".*"),
)


@dataclass(frozen=True)
class Step:
    """A command of the document and the lines that it shows below it."""

    command: str
    shown: tuple[str, ...]


def steps(document: Path) -> list[Step]:
    """Returns the commands of all ```console blocks, in order."""
    commands: list[tuple[str, list[str]]] = []
    for block in BLOCK.findall(document.read_text()):
        for line in block.splitlines():
            if line.startswith("$ "):
                commands.append((line.removeprefix("$ "), []))
            elif line.strip():
                commands[-1][1].append(line)
    return [Step(command, tuple(shown)) for command, shown in commands]


def with_free_ports(commands: Sequence[str]) -> list[str]:
    """Returns the commands, with a free port for each port of their port-forwards."""
    fixed = {port for command in commands for port in FORWARD.findall(command)}
    free = {port: str(free_port()) for port in fixed}
    return [re.sub(r"\b\d+\b", lambda number: free.get(number[0], number[0]), command) for command in commands]


def run(document: Path, environment: Mapping[str, str], folder: Path, seconds: float = WITHIN) -> list[tuple[Step, str]]:
    """Returns each step with its output. Raises AssertionError with all output if a command fails."""
    all_steps = steps(document)
    commands = with_free_ports([step.command for step in all_steps])
    carried_out = [_looked(command, step.shown) for command, step in zip(commands, all_steps, strict=True)]
    script = PRELUDE + "".join(f"echo; echo '{MARK}{number}'\n{command}\n" for number, command in enumerate(carried_out))
    done = subprocess.run(
        ["bash", "-c", script],
        env=os.environ | dict(environment),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    parts = re.split(rf"{MARK}(\d+)\n", done.stdout)[1:]
    outputs = dict(zip(map(int, parts[::2]), parts[1::2], strict=True))
    assert done.returncode == 0, f"`{all_steps[max(outputs)].command}` failed; the session:\n{done.stdout}"
    return [(step, outputs[number]) for number, step in enumerate(all_steps)]


def _looked(command: str, shown: Sequence[str]) -> str:
    """Returns the command; one that only reads is repeated until it prints the lines shown."""
    if not shown or not LOOKS.match(command):
        return command
    return shlex.join(["look", command, *(_pattern(line).pattern for line in shown)])


def missing(step: Step, output: str) -> list[str]:
    """Returns the lines that the document shows for a step and that are missing from its output."""
    return [line for line in step.shown if not any(_pattern(line).fullmatch(other.rstrip()) for other in output.splitlines())]


def _pattern(line: str) -> re.Pattern[str]:
    text = re.escape(line.rstrip())
    for variable, instead in LOOSE:
        text = variable.sub(instead, text)
    return re.compile(text)
