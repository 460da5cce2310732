"""`kubectl_complete-dynamiq`: what kubectl's shell completion offers after `kubectl dynamiq`. It is silent where it knows nothing.

It prints a value and what it is on each line, and at the end the sum of cobra's directives. Values of the cluster are asked
of one `kubectl get`, which needs no model and no proxy.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable

from dynamiq_operator.cli import arguments, kubectl_flags
from dynamiq_operator.cli.connection import NotConnected, kubectl
from dynamiq_operator.cli.output import safe
from dynamiq_operator.model.history_columns import path_of
from dynamiq_operator.model.plain import GROUP

NO_FILES, FILES = ":4", ":0"
"""Directives: whether the shell adds the names of files."""
NO_VALUE = "<no value>"
TIMEOUT = 3  # seconds
Offered = Iterable[tuple[str, str]]


def _template(value: str, *about: str) -> str:
    """A line for each item. What users wrote comes quoted: a line break in it could pass for another item."""
    return "{{range .items}}{{" + value + "}}" + "".join('{{"\\t"}}' + _quoted(path) for path in about) + '{{"\\n"}}{{end}}'


def _quoted(path: str) -> str:
    """A field, quoted, or nothing where one of the objects on the way to it is not there."""
    *objects, last = path.removeprefix(".").split(".")
    opened = "".join(f"{{{{with .{name}}}}}" for name in (*objects, last))
    return opened + '{{printf "%q" .}}' + "{{end}}" * (len(objects) + 1)


APPS = _template(".metadata.name", ".status.live.workflowVersion")
VERSIONS = _template(".spec.version", ".spec.description")
ROWS = _template(*map(path_of, ("sequence", "version", "status", "date", "message")))
RUNTIMES = _template(".metadata.name", ".spec.version")
WORKFLOWS = _template(".metadata.name", ".spec.description")
ENVIRONMENTS = _template(f'index .metadata.labels "{GROUP}/environment"')
WORKFLOW_OF = "{{.spec.workflow}}"


def main() -> int:
    """The entry: arguments are those after `kubectl dynamiq`, the last one as far as it is typed."""
    *typed, begun = sys.argv[1:] or [""]
    try:
        said = [*_lines(offered(typed, begun), begun), FILES if typed[-1:] == [kubectl_flags.FILE] else NO_FILES]
    except (NotConnected, OSError, subprocess.SubprocessError):
        said = [NO_FILES]
    sys.stdout.write("\n".join(said) + "\n")
    return 0


def offered(typed: list[str], begun: str) -> Offered:
    """What may stand at this place, whatever of it is typed already."""
    last = typed[-1] if typed else ""
    if last in kubectl_flags.WITH_VALUE | kubectl_flags.NAMESPACE:
        return _kubectls(last, begun)
    given = kubectl_flags.split(typed)
    parser = arguments.parser()
    commands = arguments.commands_of(parser)
    if not given.rest:
        return _flags() if begun.startswith("-") else arguments.helps_of(parser).items()
    command = given.rest[0]
    if command not in commands:
        return ()
    if last in kubectl_flags.OWN_WITH_VALUE:
        return _value(given, command, last)
    if begun.startswith("-"):
        return [*arguments.options(commands[command]).items(), *_flags()]
    return _argument(given, command)


def _argument(given: kubectl_flags.CommandLine, command: str) -> Offered:
    """An App, a workflow, or for `diff` a row."""
    before = _positional(given)
    if command == "release":
        return _get(given, "workflows", WORKFLOWS) if not before else ()
    if not before:
        return _get(given, "apps", APPS)
    return _rows(given, before[0]) if command == "diff" and len(before) < 3 else ()


def _value(given: kubectl_flags.CommandLine, command: str, option: str) -> Offered:
    """What the option before the cursor takes."""
    app = (_positional(given) or [""])[0]
    choices: dict[str, Callable[[], Offered]] = {
        "--version": lambda: _versions(given, app),
        "--to": lambda: _get(given, "namespaces", ENVIRONMENTS) if command == "promote" else _versions(given, app),
        "--to-row": lambda: _rows(given, app),
        "--row": lambda: _rows(given, app),
        "--runtime": lambda: _get(given, "runtimes", RUNTIMES),
        "-o": lambda: _formats(command),
        "--output": lambda: _formats(command),
    }
    return choices.get(option, lambda: ())()


def _formats(command: str) -> Offered:
    parser = arguments.commands_of(arguments.parser())[command]
    return [(str(choice), "") for action in parser._actions if "-o" in action.option_strings for choice in action.choices or ()]


def _versions(given: kubectl_flags.CommandLine, app: str) -> Offered:
    workflow = next(iter(_get(given, "apps", WORKFLOW_OF, app)), ("", ""))[0] if app else ""
    return list(_get(given, "workflowversions", VERSIONS, selector=f"spec.workflow={workflow}"))[::-1] if workflow else ()


def _rows(given: kubectl_flags.CommandLine, app: str) -> Offered:
    found = [row for row in _get(given, "deployments", ROWS, selector=f"spec.app={app}") if row[0].isdecimal()]
    return sorted(found, key=lambda row: -int(row[0]))


def _get(given: kubectl_flags.CommandLine, plural: str, template: str, *names: str, selector: str = "") -> Offered:
    """Values and descriptions that kubectl finds. Raises NotConnected, OSError and SubprocessError."""
    resource = plural if plural == "namespaces" else f"{plural}.{GROUP}"
    command = [kubectl(), "get", resource, *names, f"--output=go-template={template}", f"--request-timeout={TIMEOUT}s", *given.kubectl]
    command += [f"--field-selector={selector}"] if selector else []
    command += [f"--namespace={given.namespace}"] if given.namespace else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT + 1, check=True, stdin=subprocess.DEVNULL)
    found = [line.split("\t") for line in done.stdout.split("\n") if line]
    return list(
        {
            value: (value, " ".join(_unquoted(text) for text in about if text)) for value, *about in found if value not in ("", NO_VALUE)
        }.values()
    )


def _unquoted(text: str) -> str:
    """A text as Go quoted it, without the quotes; what it escaped stays so."""
    return text[1:-1].replace('\\"', '"')


def _kubectls(flag: str, begun: str) -> Offered:
    """What kubectl itself offers for one of its own flags."""
    done = subprocess.run(
        [kubectl(), "__complete", "get", "pods", flag, begun], capture_output=True, text=True, timeout=TIMEOUT, check=True, env=os.environ
    )
    found = [line.partition("\t") for line in done.stdout.splitlines() if not line.startswith(":")]
    return [(value, about) for value, _, about in found]


def _flags() -> Offered:
    return [
        (flag, "as kubectl has it")
        for flag in sorted(kubectl_flags.WITH_VALUE | kubectl_flags.NAMESPACE | kubectl_flags.ALONE)
        if flag.startswith("--")
    ]


def _positional(given: kubectl_flags.CommandLine) -> list[str]:
    """The arguments after the command that are neither options nor their values."""
    found: list[str] = []
    left = iter(given.rest[1:])
    for argument in left:
        if argument in kubectl_flags.OWN_WITH_VALUE:
            next(left, None)
        elif not argument.startswith("-"):
            found.append(argument)
    return found


def _lines(choices: Offered, begun: str) -> Iterable[str]:
    return (f"{safe(value)}\t{safe(about)}".rstrip() for value, about in choices if value.startswith(begun))
