"""Makes the reference of programs from their parsers: the plugin's commands, and every setting of operator, API, gate, recorder and
runtime. The values of the Helm chart come from their models.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from local.chart import build, templates, written
from local.docs.text import block, code, page, plain, table

FOLDER = "reference"
VARIABLE = re.compile(r"\s*\[(DYNAMIQ_[A-Z_]+)(?:, [^\]]*)?\]$")
COLUMNS = "100"
IN_HELP_ALONE = " Each option can also be given by the environment variable in brackets."


def pages() -> dict[str, str]:
    """Returns each page by its path. It does not depend on the environment variables of the machine that builds it."""
    with _bare():
        return {f"{FOLDER}/kubectl-dynamiq.md": _plugin(), f"{FOLDER}/settings.md": _settings(), f"{FOLDER}/chart.md": _chart()}


@contextmanager
def _bare() -> Iterator[None]:
    """Runs the block without variables that are settings: a parser takes its defaults from them."""
    variables = dict(os.environ)
    for name in variables:
        if name.startswith(("DYNAMIQ_", "POD_", "KUBE")):
            del os.environ[name]
    os.environ["COLUMNS"] = COLUMNS
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(variables)


def _plugin() -> str:
    from dynamiq_operator.cli import arguments

    parser = arguments.parser()
    rows = [(f"[{code(name)}](#{name})", plain(summary)) for name, summary in arguments.COMMANDS.items()]
    commands = [_command(name, each, usage=True) for name, each in arguments.commands_of(parser).items()]
    more = "[kubectl dynamiq](../plugin.md) says how it asks, what it prints for scripts, and how it logs in."
    return page("# kubectl dynamiq", plain(parser.description or ""), more, table(("command", ""), rows), *commands)


def _chart() -> str:
    intro = "Values of the Helm chart, and their defaults. [Install](../install.md#values) has an example."
    return page("# Values of the chart", intro, written.table(written.values_with(templates.render(build.MANIFESTS).defaults)))


def _settings() -> str:
    from dynamiq_operator import arguments as operator
    from dynamiq_recorder import options as recorder
    from dynamiq_runtime import __main__ as runtime

    intro = "Each option is a flag of the program, or the variable beside it in the environment of its container. A flag counts where both are given."
    programs = [*_programs(operator.parser()), *_programs(recorder.parser()), *_programs(runtime.parser())]
    return page("# Settings", intro, *programs)


def _programs(parser: argparse.ArgumentParser) -> Iterator[str]:
    for each in _commands(parser).values():
        yield _command(each.prog, each)


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (subcommands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(subcommands.choices)


def _command(name: str, parser: argparse.ArgumentParser, *, usage: bool = False) -> str:
    """Returns a command's section: its purpose, its usage, its options, and the end of its help."""
    actions = [action for action in parser._actions if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)]
    arguments = [action for action in actions if not action.option_strings]
    options = [action for action in actions if action.option_strings]
    return page(
        f"## {code(name)} {{ #{re.sub(r'[^a-z0-9]+', '-', name.lower())} }}",
        plain((parser.description or "").replace(IN_HELP_ALONE, "")),
        _usage(parser) if usage else "",
        table(("argument", ""), [(code(str(each.metavar or each.dest)), plain(each.help or "")) for each in arguments]),
        _options(options),
        block(parser.epilog) if parser.epilog else "",
    )


def _usage(parser: argparse.ArgumentParser) -> str:
    """Returns the usage. Later lines are indented as far as the program's name, without the label of the first line."""
    label = "usage: "
    return block(parser.format_usage().removeprefix(label).replace(f"\n{' ' * len(label)}", "\n"))


def _options(actions: list[argparse.Action]) -> str:
    variables = any(VARIABLE.search(action.help or "") for action in actions)
    rows = []
    for action in actions:
        about = action.help or ""
        variable = VARIABLE.search(about)
        cells = [_flags(action), plain(VARIABLE.sub("", about) + _choices(action, about) + _default(action, about))]
        if variables:
            cells.insert(1, code(variable[1]) if variable else "")
        rows.append(cells)
    return table(("option", "variable", "") if variables else ("option", ""), rows)


def _flags(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else f" {action.metavar or ('VALUE' if action.choices is None else '|'.join(map(str, action.choices)))}"
    return ", ".join(code(f"{flag}{value}") for flag in action.option_strings)


def _choices(action: argparse.Action, about: str) -> str:
    if action.choices is None or all(str(choice) in about for choice in action.choices):
        return ""
    return f"; one of {', '.join(f'`{choice}`' for choice in action.choices)}"


def _default(action: argparse.Action, about: str) -> str:
    known = action.default not in (None, "", argparse.SUPPRESS, False, ()) and "(default" not in about
    return f" (default: `{action.default}`)" if known else ""
