"""Evaluates conditions of a Python node's code for a run that does not send a key, or sends null for it. It runs no code."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dynamiq_operator.model.contract_paths import Work

UNKNOWN = object()
"""The value of an expression of which it cannot be told."""
_EVERY = frozenset({"Exception", "BaseException"})
_CAUGHT = _EVERY | {"KeyError", "LookupError"}
KEYS_MOST = 16
"""Most keys of one condition."""
Defaults = Mapping[str, ast.expr | None]
"""Parameters that are keys, each with its default."""


class ManyKeys(Exception):  # noqa: N818 - an outcome
    """A condition reads more keys than are followed."""


@dataclass(frozen=True)
class Scope:
    """The names of a function. `whole`: the one of its input; empty if its parameters are the keys."""

    whole: str
    parameters: Defaults
    aliases: Mapping[str, ast.expr]
    """Names that are assigned once, with what they stand for."""
    changing: frozenset[str]
    """Names that are assigned more than once."""
    work: Work

    @classmethod
    def of(cls, run: ast.FunctionDef, whole: str, parameters: Defaults, work: Work) -> Scope:
        stored = Counter(each.id for each in ast.walk(run) if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load))
        aliases = {name: value for each in ast.walk(run) for name, value in _assigned(each) if stored[name] == 1}
        changing = frozenset(name for name, times in stored.items() if times > 1)
        return cls(whole, {name: each for name, each in parameters.items() if not stored[name]}, aliases, changing, work)

    def is_whole(self, node: ast.expr) -> bool:
        """Returns True for a name of the input."""
        for _ in range(len(self.aliases) + 1):
            if not isinstance(node, ast.Name) or node.id == self.whole:
                return isinstance(node, ast.Name) and bool(self.whole)
            if (stands_for := self.aliases.get(node.id)) is None:
                return False
            node = stands_for
        return False

    def refused(self, node: ast.If | ast.Assert) -> dict[str, tuple[bool | None, bool | None]]:
        """Returns the keys of a check that raises: if it refuses a run without the key, and one with null.

        None: it may, by what cannot be told. Empty for any other condition.
        """
        if (wanted := _refuses_by(node)) is None:
            return {}
        return {key: (self._is(wanted, key, node.test, False), self._is(wanted, key, node.test, True)) for key in self._keys(node.test)}

    def refusing(self, node: ast.If | ast.Assert) -> list[ast.AST]:
        """Returns what a check that raises decides by; empty for one that is known to accept a run without any of its keys."""
        if _refuses_by(node) is None:
            return []
        nodes = list(self._nodes(node.test))
        found = self.refused(node)
        is_known = found and not any(isinstance(each, ast.Name) and each.id in self.changing for each in nodes)
        return [] if is_known and all(each is False for both in found.values() for each in both) else nodes

    def set_without(self, node: ast.If | ast.While) -> dict[str, bool]:
        """Returns the keys that a branch sets wherever they are not sent, each with whether it also replaces null."""
        found = {}
        for statements, wanted in ((node.body, True), (node.orelse, False)):
            for each in statements:
                for target in each.targets if isinstance(each, ast.Assign) else ():
                    if (key := self._key(target)) is not None and self._is(wanted, key, node.test, False):
                        found[key] = self._is(wanted, key, node.test, True) is True
        return found

    def _is(self, wanted: bool, key: str, test: ast.expr, is_null: bool) -> bool | None:
        """Returns if a condition has the wanted value. None: that cannot be told, and nothing stands in for the key in it."""
        without = _Without(self, key, is_null)
        if (value := without.value(test)) is not UNKNOWN:
            return bool(value) is wanted
        return None if any(without.value(each) is None for each in ast.walk(test) if isinstance(each, ast.Name | ast.Call)) else False

    def _key(self, node: ast.AST) -> str | None:
        match node:
            case ast.Subscript(value=inner, slice=ast.Constant(value=str() as key)):
                return key if self.is_whole(inner) else None
            case ast.Call(func=ast.Attribute(value=inner, attr="get" | "pop"), args=[ast.Constant(value=str() as key), *_]):
                return key if self.is_whole(inner) else None
            case ast.Compare(left=ast.Constant(value=str() as key), ops=[ast.In() | ast.NotIn()], comparators=[inner]):
                return key if self.is_whole(inner) else None
            case ast.Name(id=name) if name in self.parameters:
                return name
        return None

    def _keys(self, test: ast.expr) -> list[str]:
        """Returns the keys that a condition reads, also by other names. Raises ManyKeys."""
        keys = dict.fromkeys(key for each in self._nodes(test) if (key := self._key(each)) is not None)
        if len(keys) > KEYS_MOST:
            raise ManyKeys
        return list(keys)

    def _nodes(self, test: ast.expr) -> Iterator[ast.AST]:
        """Yields the nodes of a condition, and of what its names stand for."""
        names: set[str] = set()
        left: list[ast.AST] = [test]
        while left:
            self.work.spend(1)
            node = left.pop()
            yield node
            if isinstance(node, ast.Name) and node.id not in names and node.id in self.aliases:
                names.add(node.id)
                left.append(self.aliases[node.id])
            left.extend(ast.iter_child_nodes(node))


@dataclass
class _Without:
    """The values of expressions in a run that does not send a key; with `is_null` in one that sends null."""

    scope: Scope
    key: str
    is_null: bool
    names: dict[str, Any] = field(default_factory=dict)

    def value(self, node: ast.expr) -> Any:
        """Returns the value of an expression, or UNKNOWN."""
        self.scope.work.spend(1)
        if (key := self.scope._key(node)) is not None:
            return self._sent(node) if key == self.key else UNKNOWN
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                if name not in self.names:
                    self.names[name] = UNKNOWN  # of a circle
                    self.names[name] = self.value(self.scope.aliases[name]) if name in self.scope.aliases else UNKNOWN
                return self.names[name]
            case ast.NamedExpr(value=inner):
                return self.value(inner)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                value = self.value(operand)
                return UNKNOWN if value is UNKNOWN else not value
            case ast.BoolOp(op=op, values=values):
                return self._either(isinstance(op, ast.Or), values)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                value = self.value(test)
                return UNKNOWN if value is UNKNOWN else self.value(body if value else orelse)
            case ast.Tuple(elts=each) | ast.List(elts=each) | ast.Set(elts=each):
                found = [self.value(one) for one in each]
                return UNKNOWN if UNKNOWN in found else found
            case ast.Dict(keys=[]):
                return {}
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return _compared(self.value(left), op, self.value(right))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._called(name, args)
        return UNKNOWN

    def _sent(self, node: ast.expr) -> Any:
        match node:
            case ast.Compare(ops=[op]):
                return self.is_null is isinstance(op, ast.In)
            case ast.Call(args=[_, second, *_]) if not self.is_null:
                return self.value(second)
            case ast.Name(id=name) if not self.is_null:
                default = self.scope.parameters[name]
                return UNKNOWN if default is None else self.value(default)
            case ast.Subscript() if not self.is_null:
                return UNKNOWN  # it fails by itself
        return None

    def _either(self, is_or: bool, values: list[ast.expr]) -> Any:
        found: Any = not is_or
        for each in values:
            value = self.value(each)
            if value is not UNKNOWN and bool(value) is is_or:
                return value if found is not UNKNOWN else is_or
            found = UNKNOWN if UNKNOWN in (found, value) else value
        return found

    def _called(self, name: str, args: list[ast.expr]) -> Any:
        match name, args:
            case "all" | "any", [ast.List(elts=each) | ast.Tuple(elts=each)]:
                value = self._either(name == "any", each)
                return UNKNOWN if value is UNKNOWN else bool(value)
            case "bool" | "len", [only]:
                value = self.value(only)
                if name == "len":
                    return len(value) if isinstance(value, str | list | dict) else UNKNOWN
                return UNKNOWN if value is UNKNOWN else bool(value)
            case "isinstance", [only, kinds] if self.value(only) is None:
                may_be = any(
                    (isinstance(each, ast.Constant) and each.value is None)
                    or (isinstance(each, ast.Name) and each.id in ("NoneType", "object"))
                    for each in ast.walk(kinds)
                )
                return UNKNOWN if may_be else False
        return UNKNOWN


def is_check(node: ast.AST) -> bool:
    """Returns True for a condition that refuses an input: a run fails by it."""
    return isinstance(node, ast.Assert) or (
        isinstance(node, ast.If)
        and any(isinstance(each, ast.Raise | ast.Assert) for statement in [*node.body, *node.orelse] for each in ast.walk(statement))
    )


def suppresses(item: ast.withitem) -> bool:
    """Returns True for `contextlib.suppress` of a missing key."""
    call = item.context_expr
    if not isinstance(call, ast.Call):
        return False
    name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""
    return name == "suppress" and any(isinstance(each, ast.Name) and each.id in _CAUGHT for each in call.args)


def caught_by(handlers: list[ast.ExceptHandler]) -> tuple[bool, bool]:
    """Returns if a run goes on after a missing key, and after any error."""
    raises = [any(isinstance(each, ast.Raise) for statement in handler.body for each in ast.walk(statement)) for handler in handlers]
    of_key = [is_raised for handler, is_raised in zip(handlers, raises, strict=True) if _catches(handler, _CAUGHT)]
    return bool(of_key) and not of_key[0], not any(raises) and any(_catches(each, _EVERY) for each in handlers)


def _refuses_by(node: ast.If | ast.Assert) -> bool | None:
    """Returns the value of the condition by which a run fails; None if no value of it does."""
    if isinstance(node, ast.Assert):
        return False
    raises = [any(isinstance(each, ast.Raise) for each in branch) for branch in (node.body, node.orelse)]
    return raises[0] if any(raises) else None


def _compared(left: Any, op: ast.cmpop, right: Any) -> Any:
    if UNKNOWN in (left, right):
        return UNKNOWN
    match op:
        case ast.Eq() | ast.NotEq():
            return (left == right) is isinstance(op, ast.Eq)
        case ast.Is() | ast.IsNot() if left is None or right is None:
            return (left is right) is isinstance(op, ast.Is)
        case ast.In() | ast.NotIn() if isinstance(right, list) or (isinstance(right, str) and isinstance(left, str)):
            return (left in right) is isinstance(op, ast.In)
    return UNKNOWN


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yields the names that a statement or an expression assigns, each with what it stands for."""
    match node:
        case ast.Assign(targets=targets, value=value):
            yield from ((each.id, value) for each in targets if isinstance(each, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
            yield name, value
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield name, value


def _catches(handler: ast.ExceptHandler, errors: frozenset[str]) -> bool:
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(each, ast.Name) and each.id in errors for each in caught)
