"""`kubectl_complete-dynamiq`: prints candidates for kubectl's shell completion after `kubectl dynamiq`; none if anything fails.

It prints a candidate and its description on each line, and last the sum of cobra's directives. Names in the cluster come from one `kubectl
get`, which needs neither models nor a proxy.
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
from dynamiq_operator.model.manifests import GROUP
from dynamiq_operator.model.names import access_keys

NO_FILES, FILES = ":4", ":0"
"""Directives of cobra: without and with completion of file names."""
NO_VALUE = "<no value>"
NAMELESS = frozenset(("list", "version", "score"))
"""Commands whose arguments are not names of objects."""
WITH_ROWS = {"diff": 3, "compare": 3, **dict.fromkeys(("approve", "resume", "reject", "withdraw"), 2)}
"""Commands whose arguments after the App are rows, with the largest number of arguments."""
FILE_OPTIONS = [kubectl_flags.FILE], [kubectl_flags.NEW_FILE]
TIMEOUT = 3  # seconds
Candidates = Iterable[tuple[str, str]]


def _template(value: str, *about: str) -> str:
    """Returns a Go template that prints a line for each item."""
    # Descriptions are quoted: a line break in one could pass for another item.
    return "{{range .items}}{{" + value + "}}" + "".join('{{"\\t"}}' + _quoted(path) for path in about) + '{{"\\n"}}{{end}}'


def _quoted(path: str) -> str:
    """Returns the template of a field, quoted; empty if an object on its path is missing."""
    *objects, last = path.removeprefix(".").split(".")
    opened = "".join(f"{{{{with .{name}}}}}" for name in (*objects, last))
    return opened + '{{printf "%q" .}}' + "{{end}}" * (len(objects) + 1)


APPS = _template(".metadata.name", ".status.live.workflowVersion")
VERSIONS = _template(".spec.version", ".spec.description")
ROWS = _template(*map(path_of, ("sequence", "version", "status", "date", "message")))
RUNTIMES = _template(".metadata.name", ".spec.version")
WORKFLOWS = _template(".metadata.name", ".spec.description")
ENVIRONMENTS = _template(f'index .metadata.labels "{GROUP}/environment"')
KEYS = '{{range $name, $_ := .data}}{{$name}}{{"\\n"}}{{end}}'
WORKFLOW_OF = "{{.spec.workflow}}"


def main() -> int:
    """Prints the candidates; returns 0. Its arguments are those after `kubectl dynamiq`; the last one is what is typed so far."""
    *typed, prefix = sys.argv[1:] or [""]
    try:
        lines = [*_lines(candidates(typed, prefix), prefix), FILES if typed[-1:] in FILE_OPTIONS else NO_FILES]
    except (NotConnected, OSError, subprocess.SubprocessError):
        lines = [NO_FILES]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def candidates(typed: list[str], prefix: str) -> Candidates:
    """Returns candidates for the next argument, including those that do not begin with `prefix`."""
    last = typed[-1] if typed else ""
    if last in kubectl_flags.WITH_VALUE | kubectl_flags.NAMESPACE:
        return _from_kubectl(last, prefix)
    command_line = kubectl_flags.split(typed)
    if not command_line.rest:
        return _flags() if prefix.startswith("-") else arguments.COMMANDS.items()
    command = command_line.rest[0]
    if command not in arguments.COMMANDS:
        return ()
    if last in kubectl_flags.OWN_WITH_VALUE:
        return _value(command_line, command, last, prefix)
    if prefix.startswith("-"):
        return [*arguments.options(arguments.parser_of(command)).items(), *_flags()]
    return _argument(command_line, command)


def _argument(command_line: kubectl_flags.CommandLine, command: str) -> Candidates:
    """Returns candidates for a positional argument: an App, a workflow, or a row. Ids of runs are not offered."""
    before = _positional(command_line)
    if command == "keys":
        return _of_keys(command_line, before)
    if command == "policy":
        return _get(command_line, "apps", APPS) if len(before) == 1 else () if before else [("check", "what would block a deploy now")]
    if command in NAMELESS:
        return ()
    if command == "release":
        return _get(command_line, "workflows", WORKFLOWS) if not before else ()
    if not before:
        return _get(command_line, "apps", APPS)
    if command == "reject-version" and len(before) == 1:
        return _versions(command_line, before[0])
    return _rows(command_line, before[0]) if len(before) < WITH_ROWS.get(command, 0) else ()


def _value(command_line: kubectl_flags.CommandLine, command: str, option: str, prefix: str) -> Candidates:
    app = (_positional(command_line) or [""])[0]
    choices: dict[str, Callable[[], Candidates]] = {
        "--version": lambda: _versions(command_line, app),
        "--to": lambda: _get(command_line, "namespaces", ENVIRONMENTS) if command == "promote" else _versions(command_line, app),
        "--to-row": lambda: _rows(command_line, app),
        "--to-context": lambda: _from_kubectl("--context", prefix),
        "--as-version": lambda: _versions(command_line, app),
        "--row": lambda: _rows(command_line, app),
        "--key": lambda: _get(command_line, "secrets", KEYS, access_keys(app)),
        "--runtime": lambda: _get(command_line, "runtimes", RUNTIMES),
        "-o": lambda: _formats(command),
        "--output": lambda: _formats(command),
    }
    return choices.get(option, lambda: _choices(command, option))()


def _choices(command: str, option: str) -> Candidates:
    """Returns the values of an option that has a fixed set of them."""
    actions = arguments.parser_of(command)._actions
    return [(str(choice), "") for action in actions if option in action.option_strings for choice in action.choices or ()]


def _formats(command: str) -> Candidates:
    return [(str(choice), "") for action in arguments.parser_of(command)._actions for choice in getattr(action, "choices_shown", ())]


def _of_keys(command_line: kubectl_flags.CommandLine, before: list[str]) -> Candidates:
    """Returns candidates for the arguments of `keys`: the action, the App, and for `revoke` the names of its keys.

    It does not read the keys themselves.
    """
    if not before:
        return [("list", "show the names"), ("create", "make a new one"), ("revoke", "take one away")]
    if len(before) == 1:
        return _get(command_line, "apps", APPS)
    return _get(command_line, "secrets", KEYS, access_keys(before[1])) if before[0] == "revoke" and len(before) == 2 else ()


def _versions(command_line: kubectl_flags.CommandLine, app: str) -> Candidates:
    workflow = next(iter(_get(command_line, "apps", WORKFLOW_OF, app)), ("", ""))[0] if app else ""
    return list(_get(command_line, "workflowversions", VERSIONS, selector=f"spec.workflow={workflow}"))[::-1] if workflow else ()


def _rows(command_line: kubectl_flags.CommandLine, app: str) -> Candidates:
    rows = [row for row in _get(command_line, "deployments", ROWS, selector=f"spec.app={app}") if row[0].isdecimal()]
    return sorted(rows, key=lambda row: -int(row[0]))


def _get(command_line: kubectl_flags.CommandLine, plural: str, template: str, *names: str, selector: str = "") -> Candidates:
    """Returns names and descriptions from `kubectl get`. Raises NotConnected, OSError and SubprocessError."""
    resource = plural if plural in ("namespaces", "secrets") else f"{plural}.{GROUP}"
    command = [kubectl(), "get", resource, *names, f"--output=go-template={template}", f"--request-timeout={TIMEOUT}s"]
    command += command_line.kubectl
    command += [f"--field-selector={selector}"] if selector else []
    command += [f"--namespace={command_line.namespace}"] if command_line.namespace else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT + 1, check=True, stdin=subprocess.DEVNULL)
    rows = [line.split("\t") for line in done.stdout.split("\n") if line]
    return list(
        {
            value: (value, " ".join(_unquoted(text) for text in about if text)) for value, *about in rows if value not in ("", NO_VALUE)
        }.values()
    )


def _unquoted(text: str) -> str:
    """Removes Go's quotes; its escapes stay."""
    return text[1:-1].replace('\\"', '"')


def _from_kubectl(flag: str, prefix: str) -> Candidates:
    """Returns candidates for the value of one of kubectl's own flags, from kubectl."""
    done = subprocess.run(
        [kubectl(), "__complete", "get", "pods", flag, prefix], capture_output=True, text=True, timeout=TIMEOUT, check=True, env=os.environ
    )
    lines = [line.partition("\t") for line in done.stdout.splitlines() if not line.startswith(":")]
    return [(value, about) for value, _, about in lines]


def _flags() -> Candidates:
    return [
        (flag, "as kubectl has it")
        for flag in sorted(kubectl_flags.WITH_VALUE | kubectl_flags.NAMESPACE | kubectl_flags.ALONE)
        if flag.startswith("--")
    ]


def _positional(command_line: kubectl_flags.CommandLine) -> list[str]:
    """Returns the arguments after the command that are neither options nor their values."""
    positional: list[str] = []
    remaining = iter(command_line.rest[1:])
    for argument in remaining:
        if argument in kubectl_flags.OWN_WITH_VALUE:
            next(remaining, None)
        elif not argument.startswith("-"):
            positional.append(argument)
    return positional


def _lines(choices: Candidates, prefix: str) -> Iterable[str]:
    return (f"{safe(value)}\t{safe(about)}".rstrip() for value, about in choices if value.startswith(prefix))
