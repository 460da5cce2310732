"""Who may do what: the rules of roles in `manifests/` and of the chart's hooks, each with the comment that says what it is for.

A rule's comment stands at the end of one of its lines, or on lines of its own above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path(__file__).parents[1] / "manifests"
FOLDERS = ("rbac", "api", "gate", "recorder", "chart/templates/hooks", "chart/templates/tests")
"""Where roles are written; the chart's other templates are made of the first ones."""

ROLES, BINDINGS = ("ClusterRole", "Role"), ("ClusterRoleBinding", "RoleBinding")
_TEMPLATED = re.compile(r"^.*\{\{.*$", re.MULTILINE)
"""A line that helm fills in: no rule has one."""
_COMMENT = re.compile(r"(?:^|\s)#\s*(.*)$")


@dataclass(frozen=True)
class Rule:
    """One rule of a role. `names`: the only objects that it reaches, empty where it reaches every one; `why` is its comment."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Role:
    """A role as a file has it. `about` is the comment above it, `holder` whom a binding of its file gives it, empty where that is up to the cluster."""

    kind: str
    name: str
    file: str
    about: str
    holder: str
    is_program: bool
    rules: tuple[Rule, ...]

    @property
    def key(self) -> str:
        """How an audit log names it."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, order=True)
class Grant:
    """One verb on one resource, `pods/log` for a subresource; `name`: the only object that it reaches, else empty."""

    role: str
    verb: str
    group: str
    resource: str
    name: str = ""

    def __str__(self) -> str:
        full = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.role}: {self.verb} {full}{f' {self.name}' if self.name else ''}"


@cache
def roles(folder: Path = MANIFESTS) -> tuple[Role, ...]:
    """Every role of the installation, in the order in which the folders are named."""
    files = [path for each in FOLDERS for path in sorted((folder / each).glob("*.yaml"))]
    return tuple(role for path in files for role in _read(path.read_text(), str(path.relative_to(folder))))


def grants(found: Iterable[Role]) -> dict[Grant, str]:
    """Each right of the roles alone, with what it is for."""
    return {
        Grant(role.key, verb, group, resource, name): rule.why
        for role in found
        for rule in role.rules
        for verb in rule.verbs
        for group in rule.groups
        for resource in rule.resources
        for name in rule.names or ("",)
    }


def _read(text: str, file: str) -> Iterator[Role]:
    lines = _TEMPLATED.sub("", text).splitlines()
    plain = "\n".join(lines)
    documents = list(zip(yaml.safe_load_all(plain), yaml.compose_all(plain, yaml.SafeLoader), strict=True))
    holders = {found[0]: found[1:] for document, _ in documents if document and (found := _holder(document))}
    for document, node in documents:
        if document and document["kind"] in ROLES:
            name, kind = document["metadata"]["name"], document["kind"]
            holder, is_program = holders.get(f"{kind} {name}", ("", False))
            rules = tuple(_rules(document["rules"], _child(node, "rules"), lines))
            yield Role(kind, name, file, " ".join(_above(lines, node.start_mark.line)), holder, is_program, rules)


def _holder(document: dict[str, Any]) -> tuple[str, str, bool] | None:
    """Of a binding: the role, whom it is given to, and whether that is a program of ours."""
    if document["kind"] not in BINDINGS:
        return None
    (subject,) = document["subjects"]
    return f"{document['roleRef']['kind']} {document['roleRef']['name']}", subject["name"], subject["kind"] == "ServiceAccount"


def _child(node: Any, name: str) -> Any:
    return next(value for key, value in node.value if key.value == name)


def _rules(rules: Sequence[dict[str, Any]], node: Any, lines: list[str]) -> Iterator[Rule]:
    for rule, each in zip(rules, node.value, strict=True):
        begin, end = each.start_mark.line, each.end_mark.line
        said = [found[1] for line in lines[begin:end] if not line.lstrip().startswith("#") and (found := _COMMENT.search(line))]
        why = " ".join(said or _above(lines, begin))
        groups, resources, verbs, names = (tuple(rule.get(key) or ()) for key in ("apiGroups", "resources", "verbs", "resourceNames"))
        yield Rule(groups, resources, verbs, names, why)


def _above(lines: list[str], line: int) -> list[str]:
    """The comment whose last line is the one above, in its order."""
    found: list[str] = []
    for text in reversed(lines[:line]):
        if not text.startswith("#"):
            break
        found.insert(0, text.lstrip("# "))
    return found
