"""Makes the reference of rights from the roles in `manifests/`: the rights of each program and each role, and their purpose."""

from __future__ import annotations

from collections.abc import Iterable

from local import rights
from local.docs.text import code, page, plain, table
from local.rights import Role, Rule

PAGE = "reference/rights.md"
PROGRAMS = {
    "dynamiq-operator": "The operator",
    "dynamiq-api": "The management API",
    "dynamiq-gate": "The gate",
    "dynamiq-recorder": "The recorder",
    "dynamiq-journal": "The journal",
    "dynamiq-retire-gate": "The chart's hook that retires the gate",
    "dynamiq-test": "The chart's test",
}
"""Accounts in the order of the page, and the programs that use them."""

ABOUT = (
    "What the accounts of our programs may ask of the API server, and what the roles for people give. Pods of Apps, the Jobs of their triggers and those "
    "of evaluations have no token for the API server; the console and whoever calls the management API ask with the token of who signed in.",
    "`make test` reads the audit logs of its clusters at its end, and fails where a program has a right that nothing has used. "
    "`python -m tests.rights --all` says how often each one was.",
)


def pages() -> dict[str, str]:
    """Returns the page by its path."""
    all_roles = rights.roles()
    programs = [role for role in all_roles if role.is_program]
    sections = [_section(title, account, [role for role in programs if role.holder == account]) for account, title in PROGRAMS.items()]
    people = [_role(role, "###") for role in all_roles if not role.is_program]
    intro = "Bound by whoever installs, but for those that name their group; `manifests/rbac/users.yaml` says which of them go into `view`, `edit` and `admin`."
    return {PAGE: page("# Rights", *(plain(each) for each in ABOUT), *sections, "## People { #people }", plain(intro), *people)}


def _section(title: str, account: str, roles: Iterable[Role]) -> str:
    return page(f"## {title} {{ #{account} }}", f"ServiceAccount {code(account)}.", *(_role(role, "###") for role in roles))


def _role(role: Role, level: str) -> str:
    holder = f"Given to {code(role.holder)}." if role.holder and not role.is_program else ""
    rows = [(_things(rule), ", ".join(code(verb) for verb in rule.verbs), plain(rule.why)) for rule in role.rules]
    where = "" if role.kind == "ClusterRole" or not role.is_program else "In one namespace alone."
    return page(f"{level} {role.kind} {code(role.name)}", plain(role.about), holder, where, table(("resources", "verbs", "what for"), rows))


def _things(rule: Rule) -> str:
    """Returns the resources with their group, and the names of the objects if only those are reached."""
    things = [code(f"{resource}.{group}" if group else resource) for group in rule.groups for resource in rule.resources]
    return ", ".join(things) + (f" named {', '.join(map(code, rule.names))}" if rule.names else "")
