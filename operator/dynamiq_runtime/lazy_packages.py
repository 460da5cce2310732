"""Makes the packages below the SDK load what is used of them. The SDK itself imports all of its integrations, whichever a flow names.

A package whose `__init__` only re-exports names gets a module `__getattr__` (PEP 562) in its place, which imports a name at its first use.
`lazy_loader` does the same for packages that name their exports to it, but knows no `as` and no name of another package.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

ENGINE, LITELLM = "dynamiq_runtime.sdk", "litellm"
ROOTS = ("dynamiq", "mcp", "openai")
"""Packages that are lazy with all below them. A package that does more than re-export is imported as it is."""
COMMAND_LINE = "httpx._main"
"""The command line of httpx, which does without it: 4 MiB of rich, pygments and click."""
Exports = dict[str, tuple[str, str | None]]
"""A package's names: the module of each, and its name there; None for a module itself."""
TOKEN_COUNTER = "token_counter"  # noqa: S105 - a function of litellm's


def install() -> bool:
    """Makes packages lazy that are imported from now on. Returns False if that was given up."""
    if not _FINDER.has_given_up and _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    return not _FINDER.has_given_up


def give_up() -> None:
    """Makes later imports plain again, for good, and forgets what was imported below the roots, so that it is imported anew."""
    _FINDER.has_given_up = True
    sys.meta_path.remove(_FINDER)
    for name in [name for name in sys.modules if name.partition(".")[0] in (*ROOTS, LITELLM) or name == ENGINE]:
        del sys.modules[name]


def fault() -> Exception | None:
    """Returns the first error of an import for a lazy package's name. The SDK hides it: it reports an unknown type of node."""
    return _FINDER.fault


def has_given_up() -> bool:
    """Returns True if the SDK had to be imported whole."""
    return _FINDER.has_given_up


class _Finder:
    has_given_up = False
    fault: Exception | None = None

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Finds packages of the roots as Python does, with another loader for those that only re-export."""
        if fullname == COMMAND_LINE:
            raise ModuleNotFoundError(f"{fullname} is not loaded by the runtime", name=fullname)
        if fullname.partition(".")[0] not in ROOTS and fullname not in _LOADERS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, SourceFileLoader) or spec.origin is None:
            return spec
        if (loader := _LOADERS.get(fullname)) is not None:
            spec.loader = loader(fullname, spec.origin)
        elif spec.submodule_search_locations is not None:
            exports = exports_of(spec.loader.get_source(fullname) or "", fullname)
            if exports:
                spec.loader = _LazyPackage(fullname, spec.origin, exports)
        return spec


class _LazyPackage(SourceFileLoader):
    """The loader of a package that imports its names at their first use."""

    def __init__(self, fullname: str, path: str, exports: Exports) -> None:
        super().__init__(fullname, path)
        self._exports = exports

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__getattr__"] = self._reader(module)
        vars(module)["__all__"] = [name for name, (_, original) in self._exports.items() if original is not None]

    def _reader(self, module: ModuleType) -> Callable[[str], Any]:
        def read(name: str) -> Any:
            if name not in self._exports:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}", name=name, obj=module)
            source, original = self._exports[name]
            try:
                imported = importlib.import_module(source)
                value = vars(module)[name] = imported if original is None else getattr(imported, original)
            except Exception as error:
                _FINDER.fault = _FINDER.fault or error
                raise
            return value

        return read


class _WithoutLitellm(SourceFileLoader):
    """The loader of a module that imports one function from litellm: the function imports litellm when it is called."""

    def exec_module(self, module: ModuleType) -> None:
        if LITELLM in sys.modules:
            super().exec_module(module)
            return
        stand_in = sys.modules[LITELLM] = ModuleType(LITELLM)
        vars(stand_in)[TOKEN_COUNTER] = _count_tokens
        try:
            super().exec_module(module)
        finally:
            del sys.modules[LITELLM]


class _WithoutTokenizer(SourceFileLoader):
    """The loader of a module that keeps a tokenizer as text, which it uses, and once more as data, which it does not: 10 MiB."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        vars(module).pop("json_data", None)


_LOADERS = {"dynamiq.prompts.prompts": _WithoutLitellm, "litellm.utils": _WithoutTokenizer}
"""Loaders of single modules. Only the first of these needs litellm for every flow: most of the time and memory of one without a model."""
_FINDER = _Finder()


def _count_tokens(*args: Any, **kwargs: Any) -> Any:
    return getattr(importlib.import_module(LITELLM), TOKEN_COUNTER)(*args, **kwargs)


def exports_of(source: str, package: str) -> Exports | None:
    """Returns the names that a package's `__init__` re-exports; None if it does anything else."""
    exports: Exports = {}
    for statement in ast.parse(source).body:
        match statement:
            case ast.Expr(value=ast.Constant()) | ast.ImportFrom(module="__future__"):
                continue
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List() | ast.Tuple()):
                continue
            case ast.ImportFrom(module=str(module), names=names, level=level) if all(each.name != "*" for each in names):
                if (source_module := _resolved(module, level, package)) is None:
                    return None
            case ast.ImportFrom(module=None, names=names, level=1):
                source_module = package
            case _:
                return None
        for each in names:
            name = each.asname or each.name
            if source_module == package:
                exports[name] = (f"{package}.{each.name}", None)
            elif source_module == f"{package}.{name}":
                return None  # importing the module would put it in the place of its namesake
            else:
                exports[name] = (source_module, each.name)
    # Importing a module of the package also makes it an attribute of the package.
    for source_module, _ in list(exports.values()):
        if source_module.startswith(f"{package}."):
            name = source_module.removeprefix(f"{package}.").partition(".")[0]
            exports.setdefault(name, (f"{package}.{name}", None))
    return exports


def _resolved(module: str, level: int, package: str) -> str | None:
    """Returns the absolute name of a module of the roots from which a package imports; None for any other."""
    if level > 1:
        return None
    name = f"{package}.{module}" if level else module
    return name if name.partition(".")[0] in ROOTS else None
