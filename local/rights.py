"""Reads the rules of roles in `manifests/` and of the chart's hooks, each with the comment that explains it.

A rule's comment is at the end of one of its lines, or on lines of its own above it.
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
FOLDERS = ("rbac", "api", "gate", "recorder", "journal", "helm/templates/hooks", "helm/templates/tests")
"""Folders with roles; the chart's other templates are made from the first ones."""

ROLES, BINDINGS = ("ClusterRole", "Role"), ("ClusterRoleBinding", "RoleBinding")
_TEMPLATED = re.compile(r"^.*\{\{.*$", re.MULTILINE)
"""A line that helm fills in: no rule has one."""
_COMMENT = re.compile(r"(?:^|\s)#\s*(.*)$")


@dataclass(frozen=True)
class Rule:
    """One rule of a role. `names`: the only objects that it reaches, empty if it reaches every one; `why`: its comment."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Role:
    """A role of a file. `about`: the comment above it. `holder`: the holder by a binding of its file; empty if the cluster decides."""

    kind: str
    name: str
    file: str
    about: str
    holder: str
    is_program: bool
    rules: tuple[Rule, ...]

    @property
    def key(self) -> str:
        """Returns its name in an audit log."""
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
    """Returns every role of the installation, in the order of the folders."""
    files = [path for each in FOLDERS for path in sorted((folder / each).glob("*.yaml"))]
    return tuple(role for path in files for role in _read(path.read_text(), str(path.relative_to(folder))))


def grants(some_roles: Iterable[Role]) -> dict[Grant, str]:
    """Returns each right of the roles, with its purpose."""
    return {
        Grant(role.key, verb, group, resource, name): rule.why
        for role in some_roles
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
    holders = {binding[0]: binding[1:] for document, _ in documents if document and (binding := _holder(document))}
    for document, node in documents:
        if document and document["kind"] in ROLES:
            name, kind = document["metadata"]["name"], document["kind"]
            holder, is_program = holders.get(f"{kind} {name}", ("", False))
            rules = tuple(_rules(document["rules"], _child(node, "rules"), lines))
            yield Role(kind, name, file, " ".join(_above(lines, node.start_mark.line)), holder, is_program, rules)


def _holder(document: dict[str, Any]) -> tuple[str, str, bool] | None:
    """Returns for a binding: the role, its holder, and True if that is a program of ours. None for other objects."""
    if document["kind"] not in BINDINGS:
        return None
    (subject,) = document["subjects"]
    return f"{document['roleRef']['kind']} {document['roleRef']['name']}", subject["name"], subject["kind"] == "ServiceAccount"


def _child(node: Any, name: str) -> Any:
    return next(value for key, value in node.value if key.value == name)


def _rules(rules: Sequence[dict[str, Any]], node: Any, lines: list[str]) -> Iterator[Rule]:
    for rule, each in zip(rules, node.value, strict=True):
        begin, end = each.start_mark.line, each.end_mark.line
        comments = [comment[1] for line in lines[begin:end] if not line.lstrip().startswith("#") and (comment := _COMMENT.search(line))]
        why = " ".join(comments or _above(lines, begin))
        groups, resources, verbs, names = (tuple(rule.get(key) or ()) for key in ("apiGroups", "resources", "verbs", "resourceNames"))
        yield Rule(groups, resources, verbs, names, why)


def _above(lines: list[str], line: int) -> list[str]:
    """Returns the comment whose last line is the one above, in its order."""
    comment: list[str] = []
    for text in reversed(lines[:line]):
        if not text.startswith("#"):
            break
        comment.insert(0, text.lstrip("# "))
    return comment
