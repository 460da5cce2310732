"""Tells what a flow reads of a run's input, and what it answers: its contract. It is a pure function of the flow's text.

Both engines give every node the run's whole input, do not enforce the Input node's schema, and select None by a path that is missing.
A node of which it cannot be told what it reads is named, and never left out.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from dynamiq_operator.model.base import Digest, Part
from dynamiq_operator.model.contract_nodes import Found, Nodes
from dynamiq_operator.model.contract_paths import TooMuch, Use
from dynamiq_operator.model.flow_check import nodes_of
from dynamiq_operator.model.flows import FlowError, as_json

NAME_MOST, NAMES_MOST, NODES_MOST, UNTOLD_MOST = 64, 128, 400, 64
MARKS = ("\n", "\r", ",", ": ", "- ", "{", "[")
MARKS_MOST, BYTES_MOST = 4_000, 200_000
"""Marks between the values of a YAML text, and characters of it, that are parsed: larger ones take longer than a preview has time."""
EXPANDED_MOST = 20_000
"""Characters and values that the aliases of a YAML text add."""
JSON_MARKS_MOST = 40_000
_UNSTORABLE = re.compile("[\ud800-\udfff\0]")
TYPES = frozenset({"string", "number", "boolean", "object", "array", "null"})
_WORDS = {"integer": "number", "str": "string", "int": "number", "float": "number", "bool": "boolean", "dict": "object", "list": "array"}

Name = Annotated[str, Field(max_length=NAME_MOST)]
Names = Annotated[tuple[Name, ...], Field(max_length=NAMES_MOST)]
Type = Annotated[str | None, Field(max_length=16, description="Its JSON type. Left out: unknown.")]


class DeclaredField(Part):
    """A field of the Input node's schema, which no engine enforces."""

    name: Annotated[str, Field(max_length=NAME_MOST, description="Its name.")]
    type: Type = None
    required: Annotated[bool, Field(description="True if the schema requires it.")] = False


class AnsweredField(Part):
    """A field of the Output node's answer."""

    name: Annotated[str, Field(max_length=NAME_MOST, description="Its name.")]
    type: Type = None


class UntoldNode(Part):
    """A node of which it cannot be told what it reads."""

    node: Annotated[str, Field(max_length=NAME_MOST, description="Its name; empty for the whole flow.")]
    digest: Annotated[Digest, Field(description="SHA-256 of its JSON: the same node reads the same.")]


class Contract(Part):
    """The top-level fields of a run's input that a flow reads, and those that it answers."""

    reads: Annotated[Names, Field(description="Fields that it reads without a default.")] = ()
    needs: Annotated[Names, Field(description="Those of them without which a run fails.")] = ()
    defaults: Annotated[Names, Field(description="Fields that it reads with a default.")] = ()
    declares: Annotated[tuple[DeclaredField, ...], Field(max_length=NAMES_MOST, description="Fields of the Input node's schema.")] = ()
    answers: Annotated[
        tuple[AnsweredField, ...] | None, Field(max_length=NAMES_MOST, description="Fields of the answer. Left out: cannot be told.")
    ] = None
    untold: Annotated[
        tuple[UntoldNode, ...], Field(max_length=UNTOLD_MOST, description="Nodes of which it cannot be told what they read.")
    ] = ()


class ChangeKind(StrEnum):
    """The kind of a difference between two contracts."""

    FAILS = "Fails"
    READS = "Reads"
    DECLARED = "Declared"
    ANSWERS = "Answers"
    CANNOT_TELL = "CannotTell"
    NOTE = "Note"


@dataclass(frozen=True)
class ContractChange:
    """One difference. `name`: of a field; of CANNOT_TELL the node's, empty for the whole flow; of ANSWERS empty if that cannot be told.

    `type`: of DECLARED the type that it must have now; of ANSWERS the new one, None if the field is gone. `is_required`: it is required now.
    """

    kind: ChangeKind
    name: str
    type: str | None = None
    is_required: bool = False

    @property
    def is_of_type(self) -> bool:
        """True if a declared field must have another type now."""
        return self.kind is ChangeKind.DECLARED and not self.is_required


def contract_of(text: str) -> Contract:
    """Returns the contract of a flow. It raises nothing: a text that is no flow, or too large, is told as untold."""
    try:
        nodes, prompts = _parsed(text)
        return _contract(Nodes(nodes, prompts))
    except (TooMuch, ValueError, TypeError, AttributeError, KeyError, RecursionError, MemoryError):
        return Contract(untold=(UntoldNode(node="", digest=_digest(text)),))


def changes(live: Contract, new: Contract) -> tuple[ContractChange, ...]:
    """Returns the differences that may matter to callers, then what is read no more. Each kind is in order of names."""
    fails = set(new.needs) - set(live.needs)
    reads = set(new.reads) - set(live.reads) - fails
    known = {each.digest for each in live.untold}
    untold = dict.fromkeys(each.node for each in new.untold if each.digest not in known)
    gone = {*live.reads, *live.defaults} - {*new.reads, *new.defaults}
    return (
        *(ContractChange(ChangeKind.FAILS, name) for name in sorted(fails)),
        *(ContractChange(ChangeKind.READS, name) for name in sorted(reads)),
        *_declared(live, new),
        *_answered(live, new),
        *(ContractChange(ChangeKind.CANNOT_TELL, name) for name in untold),
        # While something cannot be told, it cannot be told either that a field is read no more.
        *(ContractChange(ChangeKind.NOTE, name) for name in sorted(gone) if not new.untold),
    )


def _declared(live: Contract, new: Contract) -> Iterator[ContractChange]:
    before = {each.name: each for each in live.declares}
    for each in sorted(new.declares, key=lambda declared: declared.name):
        was = before.get(each.name)
        if each.required and not (was is not None and was.required):
            yield ContractChange(ChangeKind.DECLARED, each.name, is_required=True)
        if was is not None and each.type is not None and was.type is not None and each.type != was.type:
            yield ContractChange(ChangeKind.DECLARED, each.name, each.type)


def _answered(live: Contract, new: Contract) -> Iterator[ContractChange]:
    if live.answers is None:
        return
    if new.answers is None:
        yield ContractChange(ChangeKind.ANSWERS, "")
        return
    after = {each.name: each for each in new.answers}
    for each in sorted(live.answers, key=lambda answered: answered.name):
        now = after.get(each.name)
        if now is None:
            yield ContractChange(ChangeKind.ANSWERS, each.name)
        elif each.type is not None and now.type is not None and each.type != now.type:
            yield ContractChange(ChangeKind.ANSWERS, each.name, now.type)


def _parsed(text: str) -> tuple[dict[str, Any], Any]:
    """Returns the nodes of the flow, and its prompts by name. Raises FlowError."""
    nodes = nodes_of(data := _data(text))
    if len(nodes) > NODES_MOST:
        raise FlowError("the flow has too many nodes to be told")
    return nodes, data.get("prompts")


def _data(text: str) -> Any:
    if text.lstrip(" \t\r\n").startswith("{") and sum(map(text.count, ",[{")) <= JSON_MARKS_MOST:
        try:
            return json.loads(text)
        except ValueError:
            pass  # YAML may begin with a bracket, too
    if len(text) > BYTES_MOST or sum(map(text.count, MARKS)) > MARKS_MOST:
        raise FlowError("the flow is too large to be told")
    return json.loads(as_json(text, expanded_most=len(text) + EXPANDED_MOST))


def _contract(nodes: Nodes) -> Contract:
    found = Found()
    untold: list[UntoldNode] = []
    for node_id, spec in nodes.specs.items():
        if (what := nodes.read(node_id, found)) is not None:
            untold.append(_untold(node_id, spec, what))
    if untold:
        untold.extend(_untold(node_id, nodes.specs[node_id], nodes.specs[node_id]) for node_id in nodes.given_on(found))
    declared, answered = nodes.declared(), nodes.answered()
    names = [*found.uses, *(name for name, *_ in declared), *(name for name, _ in answered or ())]
    most = max(len(found.uses), len(declared), len(answered or ()))
    if most > NAMES_MOST or not all(map(_is_storable, names)):
        untold.append(UntoldNode(node="", digest=_digest(sorted(found.uses))))
    if len(untold) > UNTOLD_MOST:
        untold = [*untold[: UNTOLD_MOST - 1], UntoldNode(node="", digest=_digest([each.digest for each in untold]))]
    return Contract(
        reads=_names(name for name, use in found.uses.items() if use is not Use.DEFAULT),
        needs=_names(name for name, use in found.uses.items() if use is Use.NEEDS),
        defaults=_names(name for name, use in found.uses.items() if use is Use.DEFAULT),
        declares=tuple(
            DeclaredField(name=name, type=_type(kind), required=is_required) for name, kind, is_required in declared if _is_storable(name)
        )[:NAMES_MOST],
        answers=None
        if answered is None
        else tuple(AnsweredField(name=name, type=kind) for name, kind in answered if _is_storable(name))[:NAMES_MOST],
        untold=tuple(untold),
    )


def _is_storable(name: str) -> bool:
    """Returns True for a name that a row can pin: it is short, and has no half of a surrogate pair."""
    return len(name) <= NAME_MOST and not _UNSTORABLE.search(name)


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if _is_storable(name))[:NAMES_MOST])


def _type(kind: object) -> str | None:
    word = kind.strip().lower() if isinstance(kind, str) else ""
    word = _WORDS.get(word.partition("[")[0], word)
    return word if word in TYPES else None


def _untold(node_id: str, spec: Any, what: Any) -> UntoldNode:
    """Returns a node of which something cannot be told. `what`: that, as JSON data."""
    name = str(spec.get("name") or node_id) if isinstance(spec, dict) else node_id
    name = name.encode("utf-8", "replace").decode()  # a half of a surrogate pair can be stored nowhere
    return UntoldNode(node=name if len(name) <= NAME_MOST else f"{name[: NAME_MOST - 1]}…", digest=_digest(what))


def _digest(value: Any) -> str:
    data = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return f"sha256:{hashlib.sha256(data.encode('utf-8', 'replace')).hexdigest()}"
