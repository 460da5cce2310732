"""Compiles and runs the code of a Python node, with the SDK's restrictions.

The code defines `run`, is executed anew for every run, and sees the SDK's builtins and list of modules. RestrictedPython prevents mistakes,
not attacks: a flow is trusted code of its author, and the pod is the boundary.
"""

from __future__ import annotations

import ast
import builtins
import io
import operator
import warnings
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

from RestrictedPython.compile import compile_restricted_exec
from RestrictedPython.Eval import default_guarded_getattr, default_guarded_getitem, default_guarded_getiter
from RestrictedPython.Guards import guarded_unpack_sequence, safe_builtins
from RestrictedPython.transformer import RestrictingNodeTransformer
from RestrictedPython.Utilities import utility_builtins

MODULES = frozenset(
    (
        *("base64", "cmath", "collections", "copy", "csv", "datetime", "docx", "dynamiq", "functools", "io", "json", "math"),
        *("matplotlib", "numpy", "openpyxl", "operator", "pandas", "pdfplumber", "pptx", "pydantic", "pypdf", "random", "re"),
        *("requests", "seaborn", "statistics", "time", "typing", "urllib", "uuid", "yaml"),
    )
)  # the SDK's list; a module that the image lacks raises ImportError when a run reaches the import
READABLE_DUNDERS = frozenset({"__class__", "__name__", "__qualname__"})
BUILTINS = (
    *("abs", "all", "any", "bin", "bool", "bytes", "callable", "chr", "complex", "dict", "dir", "divmod", "enumerate", "filter"),
    *("float", "format", "frozenset", "hex", "int", "isinstance", "issubclass", "len", "list", "map", "max", "min", "next"),
    *("object", "oct", "ord", "pow", "range", "reversed", "round", "set", "setattr", "slice", "sorted", "str", "sum", "super"),
    *("tuple", "type", "vars", "zip"),
)
IN_PLACE: Mapping[str, Callable[[Any, Any], Any]] = {
    "+=": operator.add, "-=": operator.sub, "*=": operator.mul, "/=": operator.truediv, "//=": operator.floordiv,
    "%=": operator.mod, "**=": operator.pow, "<<=": operator.lshift, ">>=": operator.rshift, "&=": operator.and_,
    "^=": operator.xor, "|=": operator.or_,
}  # fmt: skip


class CodeError(ValueError):
    """The code cannot run at all; the message gives the reason in one line."""


class _Policy(RestrictingNodeTransformer):
    """RestrictedPython's rules, plus the three names with underscores that the SDK lets code read."""

    def visit_Attribute(self, node: ast.Attribute) -> Any:  # noqa: N802 - the name is ast's
        if isinstance(node.ctx, ast.Load) and node.attr in READABLE_DUNDERS:
            value = self.visit(node.value)
            read = ast.Call(ast.Name("_getattr_", ast.Load()), [value, ast.Constant(node.attr)], [])
            return ast.fix_missing_locations(ast.copy_location(read, node))
        return super().visit_Attribute(node)


def compile_code(source: str) -> CodeType:
    """Compiles a node's `source`. Raises CodeError if Python or RestrictedPython refuses it, or it lacks `run`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            result = compile_restricted_exec(source, "<node>", policy=_Policy)
        except (ValueError, RecursionError, MemoryError) as error:
            raise CodeError(f"its code does not compile: {error}") from None
    if result.code is None:
        raise CodeError("its code does not compile: " + " ".join("; ".join(map(str, result.errors)).split()))
    code: CodeType = result.code
    if "run" not in code.co_names:
        raise CodeError("its code defines no function `run`")
    return code


def call_run(code: CodeType, arguments: Mapping[str, Any], *, as_parameters: bool) -> Any:
    """Executes `code` in its own namespace and calls its `run` with `arguments`, as one dict or as keyword parameters."""
    namespace = _namespace()
    exec(code, namespace)  # noqa: S102 - running the author's code is this module's purpose
    if "run" not in namespace:
        raise ValueError("The 'run' function is not defined in the provided code.")
    return namespace["run"](**arguments) if as_parameters else namespace["run"](dict(arguments))


def _namespace() -> dict[str, Any]:
    printed = io.StringIO()
    guards: dict[str, Any] = {
        "_getattr_": default_guarded_getattr,
        "_getitem_": default_guarded_getitem,
        "_getiter_": default_guarded_getiter,
        "_unpack_sequence_": guarded_unpack_sequence,
        "_iter_unpack_sequence_": guarded_unpack_sequence,
        "_inplacevar_": _in_place,
        "_write_": _written,
    }
    allowed = {name: getattr(builtins, name) for name in BUILTINS}
    own = {"getattr": _getattr, "hasattr": _hasattr, "__import__": _import, "__metaclass__": type, "__name__": "__main__"}
    return {
        "__builtins__": {**safe_builtins, **utility_builtins, **allowed, **own},
        "safe_print": lambda *values, **options: print(*values, **{**options, "file": printed}),
        **guards,
    }


def _import(name: str, scope: Any = None, local: Any = None, names: Any = (), level: int = 0) -> Any:
    if level != 0:
        raise ImportError("Relative imports are not supported in the Python executor")
    root = name.split(".", 1)[0]
    if root not in MODULES:
        raise ImportError(f"Import of '{root}' is not allowed")
    return __import__(name, scope, local, names or (), level)


def _getattr(value: Any, name: str, default: Any = None) -> Any:
    reader: Callable[[Any, str], Any] = getattr if name in READABLE_DUNDERS else default_guarded_getattr
    try:
        return reader(value, name)
    except (AttributeError, TypeError):
        if default is None:
            raise
        return default


def _hasattr(value: Any, name: str) -> bool:
    try:
        default_guarded_getattr(value, name)
    except (AttributeError, TypeError):
        return False
    return True


def _written(target: Any, value: Any = None) -> Any:
    return target if value is None else value


def _in_place(symbol: str, left: Any, right: Any) -> Any:
    if symbol not in IN_PLACE:
        raise ValueError(f"Unsupported in-place operation: {symbol}")
    return IN_PLACE[symbol](left, right)
