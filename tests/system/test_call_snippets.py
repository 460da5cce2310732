"""The lines of the console's "Call it" run as they stand: a shell, Python and Node send each to a runtime, with its flow's input."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import console_build
from tests.support.runtime import Served, serving
from tests.support.waiting import IN_TIME

KEY = "key-of-the-app"
PURE = console_build.SOURCE / "src" / "pure"
MAKES = f"""import {{ callSnippet }} from "{PURE}/snippets.ts"; import {{ inputOf }} from "{PURE}/flow.ts";
const {{ language, address, isPrivate, flow }} = JSON.parse(process.argv[1]);
process.stdout.write(callSnippet(language, {{ address, isPrivate, input: inputOf(flow) }}));"""
PROGRAMS = {"curl": ["bash", "-eu"], "Python": [sys.executable], "JavaScript": ["node"]}


def a_flow(**selected: str) -> str:
    """Returns a flow whose answer names what a node was given by these selectors."""
    code = "def run(inputs):\n    return 'heard ' + ' '.join([k + '=' + str(inputs[k]) for k in sorted(inputs)])\n"
    nodes = {
        "input": {"type": "dynamiq.nodes.utils.Input"},
        "code": {
            "type": "dynamiq.nodes.tools.Python",
            "depends": [{"node": "input"}],
            "input_transformer": {"selector": selected},
            "code": code,
        },
        "output": {
            "type": "dynamiq.nodes.utils.Output",
            "depends": [{"node": "code"}],
            "input_transformer": {"selector": {"answer": "$.code.output.content"}},
        },
    }
    made = {"nodes": nodes, "flows": {"main": {"nodes": list(nodes)}}, "workflows": {"main": {"flow": "main"}}}
    return json.dumps(made, ensure_ascii=False)


FLOWS = {
    "a field": (a_flow(a="$.input.output.question"), "heard a=Hello?"),
    "fields of several kinds": (a_flow(a="$.question", b='$["it\'s"]', c="$['größe $HOME `x`']"), "heard a=Hello? b=Hello? c=Hello?"),
    "nothing": (a_flow(), "heard"),
}


@dataclass
class Called:
    served: Served
    flow: str
    is_private: bool
    answer: str


@pytest.fixture(scope="module", params=[*FLOWS, "public"])
def called(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Called]:
    """Provides an App of each flow, private, and one that is public."""
    is_private = request.param != "public"
    flow, answer = FLOWS.get(request.param, FLOWS["a field"])
    folder = tmp_path_factory.mktemp("called")
    keys = folder / "keys"
    keys.mkdir()
    (keys / "default").write_text(KEY)
    variables = {"DYNAMIQ_ACCESS_KEYS_DIR": str(keys)} if is_private else {}
    with serving(folder, flow, **variables) as served:
        yield Called(served, flow, is_private, answer)


@pytest.mark.parametrize("language", PROGRAMS)
def test_the_lines_of_call_it_call_the_app(called: Called, language: str, tmp_path: Path) -> None:
    asked = {
        "language": language,
        "address": f"http://127.0.0.1:{called.served.port}",
        "isPrivate": called.is_private,
        "flow": called.flow,
    }
    lines = tmp_path / "lines.js"
    lines.write_text(run(["node", "--input-type=module", "-e", MAKES, json.dumps(asked)], tmp_path))
    said = run([*PROGRAMS[language], str(lines)], tmp_path, DYNAMIQ_ACCESS_KEY=KEY)
    assert called.answer in said, lines.read_text()


def run(command: list[str], folder: Path, **variables: str) -> str:
    """Returns the output of a program. Raises AssertionError if it fails."""
    done: Any = subprocess.run(
        command, cwd=folder, env=console_build.environment() | variables, capture_output=True, text=True, timeout=IN_TIME, check=False
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)
