"""Separates kubectl's own flags from the plugin's arguments. kubectl gets them unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

WITH_VALUE = frozenset(
    (
        *("--as", "--as-group", "--as-uid", "--as-user-extra", "--cache-dir", "--certificate-authority", "--client-certificate"),
        *("--client-key", "--cluster", "--context", "--kubeconfig", "--kuberc", "--password", "--proxy-url", "--request-timeout"),
        *("--server", "-s", "--tls-server-name", "--token", "--user", "--username", "--v", "-v"),
    )
)
ALONE = frozenset(("--disable-compression", "--insecure-skip-tls-verify", "--match-server-version", "--warnings-as-errors"))
NAMESPACE = frozenset(("-n", "--namespace"))
OWN_WITH_VALUE = frozenset(
    (
        *("-m", "--message", "-o", "--output", "--version", "--runtime", "--min", "--max", "--cpu", "--timeout", "--to", "--to-row"),
        *("--hostname", "--target-namespace", "--description", "--expect", "--file", "--since", "--tail", "--row", "--key"),
        *("--idle-seconds", "--hold-seconds", "--status", "--session", "--session-id", "--user-id", "--trigger", "--tag", "--model"),
        *(
            "--error",
            "--until",
            "--min-duration",
            "--min-cost",
            "--sort",
            "--limit",
            "--comment",
            "--before",
            "--app-id",
            "--bypass",
            "--for",
            "--to-context",
            "--to-file",
            "--from-cluster",
            "--as-version",
            "--question",
            "--text",
            "--choose",
            "--set",
        ),
    )
)
"""Options of the commands that take a value: the next argument is the value even if it looks like a flag.

A test compares them with the parser.
"""

OF_ONE_CLUSTER = frozenset(
    (
        *("--certificate-authority", "--client-certificate", "--client-key", "--cluster", "--context", "--insecure-skip-tls-verify"),
        *("--password", "--proxy-url", "--server", "-s", "--tls-server-name", "--token", "--user", "--username"),
    )
)
"""Flags that choose the cluster and the login. Those for one cluster are not sent to another."""

HELP = frozenset(("-h", "--help"))
VERSION = "--version"
"""Before any command it prints the plugin's own version. `deploy` has an option of the same name that takes a value."""
FILE = "--file"
"""With it `verify` reads a file instead of the cluster."""
NEW_FILE = "--to-file"


@dataclass(frozen=True)
class CommandLine:
    """The arguments of a call.

    `kubectl`: kubectl's flags without the namespace; `rest`: the plugin's own arguments. `lacks_value`: a flag of kubectl that came last,
    without its value.
    """

    kubectl: tuple[str, ...]
    namespace: str | None
    rest: tuple[str, ...]
    lacks_value: str | None = None

    @property
    def needs_cluster(self) -> bool:
        """True if the call may need the cluster: it is more than help, the plugin's version, or the verification of a file."""
        if not self.rest or self.lacks_value is not None or self.rest[0] in ("help", VERSION) or HELP & set(self.rest):
            return False
        return self.rest[0] != "verify" or not any(argument.partition("=")[0] == FILE for argument in self.rest)

    def value_of(self, flag: str) -> str | None:
        """Returns the value of one of kubectl's flags, the last one if it is repeated; None without it."""
        value = None
        for at, argument in enumerate(self.kubectl):
            if argument == flag:
                value = self.kubectl[at + 1] if at + 1 < len(self.kubectl) else None
            elif argument.startswith(f"{flag}="):
                value = argument.partition("=")[2]
        return value


def in_context(command_line: CommandLine, context: str) -> CommandLine:
    """Returns the same call for another context of the kubeconfig.

    It keeps who acts and the timeouts; cluster and login are the context's own.
    """
    kept: list[str] = []
    remaining = iter(command_line.kubectl)
    for argument in remaining:
        name, has_value, _ = argument.partition("=")
        whole = [argument] if has_value or name not in WITH_VALUE else [argument, *_next(remaining)]
        kept += whole if name not in OF_ONE_CLUSTER else []
    return CommandLine((*kept, f"--context={context}"), command_line.namespace, command_line.rest)


def split(arguments: list[str]) -> CommandLine:
    """Separates kubectl's flags from the rest. After `--` nothing is a flag."""
    kubectl: list[str] = []
    rest: list[str] = []
    namespace: str | None = None
    lacks_value: str | None = None
    values: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        name, has_value, value = argument.partition("=")
        if argument == "--":
            rest += [argument, *remaining]
        elif name in OWN_WITH_VALUE:
            rest += [argument] if has_value else [argument, *_next(remaining)]
        elif name in NAMESPACE or (argument.startswith("-n") and not argument.startswith("--")):
            namespace = value if has_value else argument[2:] if name not in NAMESPACE else next(remaining, "")
            lacks_value = name if not namespace else lacks_value
        elif name in WITH_VALUE:
            kubectl += [argument] if has_value else [argument, *(values := _next(remaining))]
            lacks_value = name if not has_value and not values else lacks_value
        elif name in ALONE or argument.startswith(("-v", "-s=")):
            kubectl.append(argument)
        else:
            rest.append(argument)
    return CommandLine(tuple(kubectl), namespace, tuple(rest), lacks_value)


def _next(arguments: Iterator[str]) -> list[str]:
    """Returns the value of the flag before it; empty at the end of the arguments: the parser then reports that."""
    return list(islice(arguments, 1))
