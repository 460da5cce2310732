"""Finds the keys that the code of a Python node reads of its input, by its syntax tree. It runs no code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from dynamiq_operator.model.contract_checks import ManyKeys, Scope, caught_by, is_check, suppresses
from dynamiq_operator.model.contract_paths import Steps, Use, Work

CODE_MOST = 16 * 1024
"""Characters of code that are read."""


class KeyUse(NamedTuple):
    """The use of a path in a node's input: if its first key is missing, and if it is null. `inner`: if one after the second is missing."""

    missing: Use
    null: Use
    inner: Use


Uses = dict[Steps, KeyUse]
DEFAULT, READS = KeyUse(Use.DEFAULT, Use.DEFAULT, Use.DEFAULT), KeyUse(Use.READS, Use.READS, Use.READS)


def use(missing: Use, null: Use) -> KeyUse:
    return KeyUse(missing, null, missing)


def keys_of(code: object, work: Work, *, as_parameters: bool) -> Uses | None:
    """Returns the keys that `run` reads. None: that cannot be told. `as_parameters`: it gets each key as a parameter."""
    if not isinstance(code, str) or len(code) > CODE_MOST:
        return None
    work.spend(len(code) // 4)
    try:
        tree = ast.parse(code)
        _weigh(tree, work)
        runs = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and each.name == "run"]
        if len(runs) != 1 or runs[0] not in tree.body or runs[0].decorator_list:
            return None
        return _parameters(runs[0], work) if as_parameters else _read(runs[0], work)
    except (SyntaxError, ValueError, RecursionError, MemoryError, ManyKeys, _Untold):
        return None


def _weigh(tree: ast.AST, work: Work) -> None:
    """Spends the steps that the walks take: each node is walked again with some of those around it."""
    level: list[ast.AST] = [tree]
    depth = 1
    while level:
        work.spend(len(level) * depth // 2)
        level = [child for each in level for child in ast.iter_child_nodes(each)]
        depth += 1


class _Untold(Exception):  # noqa: N818 - an outcome
    """The input is used as a whole, or by keys that only a run knows."""


def _parameters(run: ast.FunctionDef, work: Work) -> Uses:
    args = run.args
    if args.vararg is not None or args.posonlyargs:
        raise _Untold
    if args.kwarg is not None and any(isinstance(each, ast.Name) and each.id == args.kwarg.arg for each in ast.walk(run)):
        raise _Untold
    first = len(args.args) - len(args.defaults)
    defaults: list[ast.expr | None] = [None] * first + list(args.defaults) + list(args.kw_defaults)
    of = {each.arg: default for each, default in zip([*args.args, *args.kwonlyargs], defaults, strict=True)}
    scope = Scope.of(run, "", of, work)
    tested = _tested(run, scope)
    uses: Uses = {}
    for name, default in of.items():
        null = Use.DEFAULT if name in tested else Use.READS
        uses[(name,)] = use(Use.NEEDS if default is None else Use.DEFAULT, null)
    most = Use.NEEDS
    for statement in run.body:
        if isinstance(statement, ast.If | ast.Assert):
            for name, refuses in scope.refused(statement).items():
                before = uses[(name,)]
                absent, null = (min(_of_refusal(each), most) for each in refuses)
                uses[(name,)] = use(max(before.missing, absent), max(before.null, null))
        if _may_end(statement):
            most = Use.READS  # what follows may not be reached
    return uses


def _of_refusal(refuses: bool | None) -> Use:
    """Returns the use of a key by a check that refuses a run without it. None: it may."""
    return Use.READS if refuses is None else Use.NEEDS if refuses else Use.DEFAULT


def _may_end(statement: ast.stmt) -> bool:
    return any(isinstance(each, ast.Return | ast.Raise | ast.Break | ast.Continue) for each in ast.walk(statement))


def _read(run: ast.FunctionDef, work: Work) -> Uses:
    args = run.args
    if len(args.args) + len(args.posonlyargs) != 1 or args.vararg or args.kwonlyargs or args.kwarg:
        raise _Untold
    name = (args.posonlyargs or args.args)[0].arg
    scope = Scope.of(run, name, {}, work)
    reader = _Reader(name, _tested(run, scope), scope)
    reader.block(run.body)
    return reader.uses


def _tested(run: ast.FunctionDef, scope: Scope) -> frozenset[str]:
    """Returns the names whose value is tested: in conditions, beside `or`, and against None. A check that may refuse them is no such test."""
    found: set[str] = set()
    refusing: set[int] = set()
    for node in ast.walk(run):
        if isinstance(node, ast.If | ast.Assert):
            refusing.update(map(id, scope.refusing(node)))
    for node in ast.walk(run):
        if id(node) in refusing:
            continue
        match node:
            case ast.If(test=test) if is_check(node):
                continue
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                orders = [each for each in ast.walk(test) if isinstance(each, ast.Compare) and _orders(each)]
                ordered = {name.id for each in orders for name in ast.walk(each) if isinstance(name, ast.Name)}
                found |= {each.id for each in ast.walk(test) if isinstance(each, ast.Name)} - ordered
            case ast.BoolOp(values=values):
                found |= {name for each in values for name in _plain(each)}
            case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot()]):
                found |= _plain(left)
    return frozenset(found)


def _orders(node: ast.Compare) -> bool:
    """Returns True for a comparison that fails for None."""
    return any(isinstance(each, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for each in node.ops)


def _plain(node: ast.expr) -> set[str]:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        node = node.operand
    return {node.id} if isinstance(node, ast.Name) else set()


@dataclass
class _Reader:
    """The walk through a function.

    `depth`: of branches; at 0 what is read is read in each run. `caught`: if a run goes on after a missing key, and after any error.
    `tests`: of conditions.
    """

    name: str
    tested: frozenset[str]
    scope: Scope
    uses: Uses = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    """Keys that the code has set: what it reads of them from there on is its own value."""
    filled: set[str] = field(default_factory=set)
    """Keys that the code has set where they are not sent."""
    at_times: set[str] = field(default_factory=set)
    """Keys that the code sets in some runs."""
    depth: int = 0
    caught: tuple[bool, bool] = (False, False)
    tests: int = 0
    present: list[set[str]] = field(default_factory=list)
    """Keys whose presence is tested, by branch: what is read of them there is read where they are there."""

    def block(self, statements: list[ast.stmt]) -> None:
        before = self.depth
        self.present.append(set())
        for statement in statements:
            self.visit(statement)
            if isinstance(statement, ast.If) and isinstance(statement.body[-1], ast.Return | ast.Continue):
                self.present[-1] |= self._tested_keys(statement.test)
            if _may_end(statement):
                self.depth += 1  # what follows may not be reached
        self.present.pop()
        self.depth = before

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.expr) and (path := self._path(node)) is not None:
            self._use(node, *path)
            return
        match node:
            case ast.Name(id=self.name):
                raise _Untold
            case ast.Name(id="vars" | "locals" | "dir"):
                raise _Untold
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in self.scope.aliases and self.scope.is_whole(value):
                return  # another name of the input
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in self.tested and (found := self._path(value)) is not None:
                steps, uses = found
                self._use(value, steps, _with_default(uses))
            case ast.Compare(left=ast.Constant(value=str() as key), ops=[ast.In() | ast.NotIn()], comparators=[whole]) if (
                self.scope.is_whole(whole)
            ):
                self._note((key,), use(Use.DEFAULT if self.tests else Use.READS, Use.READS))
            case ast.Assign(targets=targets, value=value):
                for each in (value, *targets):
                    self.visit(each)
            case ast.AugAssign(target=ast.Subscript() as target, value=value) if (found := self._path(target)) is not None:
                self._use(ast.Subscript(target.value, target.slice, ast.Load()), *found)
                self.visit(value)
                self.visit(target)
            case ast.Assert():
                self._refused(node)
                self.generic(node)
            case ast.If() | ast.While() | ast.For() | ast.AsyncFor() | ast.Match() | ast.IfExp():
                self._branch(node)
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
                self._caught(body, caught_by(handlers) if handlers else self.caught)
                self._nested([each for handler in handlers for each in handler.body])
                self._nested([*orelse, *final])
            case ast.With(items=items, body=body) if any(map(suppresses, items)):
                self._caught(body, (True, self.caught[1]))
            case ast.BoolOp(op=op, values=values):
                self._either(op, values)
            case ast.Subscript(value=ast.BoolOp(values=[first, *_])) if (found := self._path(first)) is not None:
                self._note(found[0], READS)  # what stands in for it lacks the key
                self.generic(node)
            case ast.Compare() if _orders(node) and self.tests:
                before, self.tests = self.tests, 0
                self.generic(node)
                self.tests = before
            case (
                ast.Lambda()
                | ast.FunctionDef()
                | ast.AsyncFunctionDef()
                | ast.ListComp()
                | ast.SetComp()
                | ast.DictComp()
                | ast.GeneratorExp()
            ):
                self._inner(node)
            case _:
                self.generic(node)

    def generic(self, node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            self.visit(child)

    def _branch(self, node: ast.AST) -> None:
        """Visits what decides, which each run reads, and then what some runs read."""
        test = node.test if isinstance(node, ast.If | ast.IfExp | ast.While) else None
        if isinstance(node, ast.If):
            self._refused(node)
        self.present.append(self._tested_keys(test) if test is not None else set())
        for name, value in ast.iter_fields(node):
            if name in ("test", "iter", "subject"):
                counts = name == "test" and not is_check(node)
                self.tests += counts
                self.visit(value)
                self.tests -= counts
            elif name in ("body", "orelse") and isinstance(value, list):
                self._nested(value)
            else:
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        self.depth += 1
                        self.visit(child)
                        self.depth -= 1
        self.present.pop()
        for key, is_replaced in self.scope.set_without(node).items() if isinstance(node, ast.If | ast.While) else ():
            (self.written if is_replaced and not self.depth else self.filled).add(key)

    def _caught(self, body: list[ast.stmt], caught: tuple[bool, bool]) -> None:
        before, self.caught = self.caught, caught
        self._nested(body)
        self.caught = before

    def _refused(self, node: ast.If | ast.Assert) -> None:
        """Notes the keys without which a check that raises refuses the input."""
        if self.caught[1]:
            return
        before, self.caught = self.caught, (False, False)  # what it raises need not be a KeyError
        for key, (absent, null) in self.scope.refused(node).items():
            if absent is not False or null is not False:
                self._use(node.test, (key,), use(_of_refusal(absent), _of_refusal(null)))
        self.caught = before

    def _tested_keys(self, test: ast.expr) -> set[str]:
        """Returns the keys whose presence a condition tests."""
        keys = set()
        for each in ast.walk(test):
            match each:
                case ast.Compare(left=ast.Constant(value=str() as key), ops=[ast.In() | ast.NotIn()], comparators=[whole]) if (
                    self.scope.is_whole(whole)
                ):
                    keys.add(key)
                case ast.Call() if (found := self._path(each)) is not None:
                    keys.add(str(found[0][0]))
        return keys

    def _nested(self, statements: list[ast.stmt]) -> None:
        self.depth += 1
        self.block(statements)
        self.depth -= 1

    def _inner(self, node: ast.AST) -> None:
        own = [each.arg for each in ast.walk(node) if isinstance(each, ast.arg)]
        own += [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
        if self.name in own:
            raise _Untold
        self.depth += 1
        for child in ast.iter_child_nodes(node):
            self.visit(child)
        self.depth -= 1

    def _either(self, op: ast.boolop, values: list[ast.expr]) -> None:
        """Visits `a or b`: a key that is got before the last is read with a default."""
        for place, value in enumerate(values):
            found = self._path(value)
            is_last = place == len(values) - 1 or all(isinstance(each, ast.Constant) and each.value is None for each in values[place + 1 :])
            if found is not None and isinstance(op, ast.Or) and not is_last:
                steps, uses = found
                self._use(value, steps, _with_default(uses))
            else:
                self.visit(value)
            self.depth += place == 0
        self.depth -= 1

    def _path(self, node: ast.expr) -> tuple[Steps, KeyUse] | None:
        """Returns the path that an expression reads of the input, and its use; None for any other expression."""
        match node:
            case ast.Subscript(value=inner, slice=ast.Constant(value=key)):
                step, missing = (key if isinstance(key, str) else None), Use.NEEDS
            case ast.Call(
                func=ast.Attribute(value=inner, attr="get" | "pop" as name), args=[ast.Constant(value=str() as step), *more], keywords=[]
            ):
                has_default = bool(more) and not (isinstance(more[0], ast.Constant) and more[0].value is None)
                missing = Use.DEFAULT if has_default else Use.NEEDS if name == "pop" and not more else Use.READS
            case _:
                return None
        if self.scope.is_whole(inner):
            return ((step,), KeyUse(missing, Use.READS, Use.DEFAULT)) if step is not None else None
        if (outer := self._path(inner)) is None:
            return None
        steps, before = outer
        # The first two keys of the result of a node, its id and `output`, are there.
        deeper = max(before.inner, missing) if len(steps) >= 2 else Use.DEFAULT
        return (*steps, step), KeyUse(max(before.missing, missing), before.null, deeper)

    def _use(self, node: ast.expr, steps: Steps, uses: KeyUse) -> None:
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            if isinstance(node.ctx, ast.Store) and len(steps) == 1:
                (self.at_times if self.depth else self.written).add(str(steps[0]))
            if isinstance(node.ctx, ast.Del):
                self._note(steps, use(Use.READS if self.depth else Use.NEEDS, Use.READS))
            return
        if steps[0] in self.filled:
            uses = KeyUse(Use.DEFAULT, uses.null, uses.inner)
        if self.depth or steps[0] in self.filled | self.at_times:
            uses = KeyUse(uses.missing, min(uses.null, Use.READS), uses.inner)
        is_present = any(steps[0] in each for each in self.present) and self.depth > 0
        if is_present or (self.tests and uses.missing is not Use.NEEDS):  # without the key the code goes on as it was meant to
            uses = DEFAULT
        needs = Use.DEFAULT if self.caught[0] else Use.READS if self.depth or steps[0] in self.at_times else Use.NEEDS
        missing, inner = (needs if each is Use.NEEDS else each for each in (uses.missing, uses.inner))
        self._note(steps, KeyUse(missing, uses.null, inner))
        for child in self._arguments(node):
            self.visit(child)

    def _arguments(self, node: ast.expr) -> Iterator[ast.expr]:
        """Yields the defaults of `get`, which are expressions of their own."""
        if isinstance(node, ast.Call):
            yield from node.args[1:]

    def _note(self, steps: Steps, uses: KeyUse) -> None:
        if steps[0] in self.written:
            return
        before = self.uses.get(steps)
        if before is not None:
            uses = KeyUse(*map(max, before, uses))
        self.uses[steps] = uses


def _with_default(uses: KeyUse) -> KeyUse:
    """Returns the use of a key beside a default, which a missing key of a subscript does not get."""
    return KeyUse(*(each if each is Use.NEEDS else Use.DEFAULT for each in (uses.missing, Use.DEFAULT, uses.inner)))
