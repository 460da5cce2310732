"""Compares the rights of roles with the suites' use of them, by the audit logs of their clusters: `python -m tests.rights`.

Each session of tests leaves its use in build/tests/rights. `make test` runs this at its end, and fails if a program of ours has an unused
right. Unused rights of people's roles are listed, but no failure: people use them with other tools, too.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local.rights import Grant, Role, grants, roles
from tests.support import audited
from tests.support.audited import Used

BY_POLICIES = "admission policies ask the authorizer for it, which no audit log has"
UNSEEN: Mapping[tuple[str, str], str] = {
    ("Role dynamiq-test", "deploy"): BY_POLICIES,
}
"""Rights of programs, by role and verb, whose use leaves no trace, with the reason."""


@dataclass(frozen=True)
class Compared:
    """`unused`: rights of programs without a use. `by_nobody`: those of people's roles. `more`: uses that no right of the manifests
    explains.
    """

    granted: Mapping[Grant, str]
    uses: Mapping[Grant, int]
    unused: tuple[Grant, ...]
    by_nobody: tuple[Grant, ...]
    more: tuple[Grant, ...]


def compared(some_roles: Iterable[Role], used: Used) -> Compared:
    """Returns each right with its uses: one on certain objects counts the requests that name one, any other one all of them."""
    known = list(some_roles)
    granted, programs = grants(known), {role.key for role in known if role.is_program}
    uses: Counter[Grant] = Counter()
    more = []
    for use, count in used.rights.items():
        whole = Grant(use.role, use.verb, use.group, use.resource)
        matching = [each for each in {use, whole} if each in granted]
        uses.update(dict.fromkeys(matching, count))
        if not matching:
            more.append(use)
    not_used = [each for each in granted if not uses[each] and (each.role, each.verb) not in UNSEEN]
    unused = tuple(each for each in not_used if each.role in programs)
    return Compared(granted, uses, unused, tuple(each for each in not_used if each.role not in programs), tuple(sorted(more)))


def report(result: Compared, used: Used, *, everything: bool) -> list[str]:
    """Returns a line for each unused right, and with `everything` one for each right."""
    lines = []
    if everything:
        lines += [f"{result.uses.get(each, 0):8d}  {each}  # {why}" for each, why in sorted(result.granted.items())]
    lines += _section("rights of programs that nothing has used", result.unused, result.granted)
    if everything:
        lines += _section("rights of people's roles that no test has used", result.by_nobody, result.granted)
    lines += _section("used, and in no role of the manifests: a test gave it", result.more, {})
    lines += _section("asked for by a program and refused: a test took it away, or a role lacks it", sorted(used.refused), {})
    if not used.whole:
        lines.append("a log was so long that its beginning may be gone: what looks unused may have been used there")
    requests = sum(result.uses.values())
    lines.append(
        f"{len(result.granted)} rights, {requests} uses, {len(result.unused)} of programs and {len(result.by_nobody)} of people unused"
    )
    return lines


def _section(title: str, rights: Iterable[Grant], why: Mapping[Grant, str]) -> list[str]:
    lines = [f"    {each}{f'  # {why[each]}' if each in why else ''}" for each in rights]
    return [f"{title}:", *lines] if lines else []


def main(arguments: list[str] | None = None) -> int:
    """Prints the report; returns 1 if a program has an unused right, or no use was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.rights", description=__doc__)
    parser.add_argument("--all", action="store_true", help="name every right with how often it was used")
    parser.add_argument(
        "--log", type=Path, action="append", default=[], help="an audit log to read, in place of what sessions of tests left"
    )
    parser.add_argument("--folder", type=Path, default=audited.FOLDER, help="where they left it (default: build/tests/rights)")
    options = parser.parse_args(arguments)
    uses = {str(log): audited.of_log(log) for log in options.log} or audited.read(options.folder)
    if not uses:
        print(f"nothing to judge by in {options.folder}: run `make test`, or name a log", file=sys.stderr)
        return 1
    used = Used()
    for each in uses.values():
        used.add(each)
    result = compared(roles(), used)
    print("\n".join([f"by {', '.join(uses)}", *report(result, used, everything=options.all)]))
    return 1 if result.unused else 0


if __name__ == "__main__":
    sys.exit(main())
