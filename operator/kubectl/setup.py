"""Puts into the wheel of the plugin the modules that it imports, read from the sources at each build, so that no list can be out of date.

Imports inside functions count, those for the type checker alone do not. Every command is a part of it: they are imported by their names.
"""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SOURCE = Path(__file__).resolve().parent.parent
PLUGIN = "dynamiq_operator.cli"


@cache
def modules() -> frozenset[str]:
    """The modules of the plugin, and what they import of ours, with the packages that these are in."""
    found: set[str] = set()
    left = [_name(path) for path in _file(PLUGIN).parent.rglob("*.py")]
    while left:
        name = left.pop()
        if name and name not in found and (path := _file(name)).is_file():
            found.add(name)
            left += [name.rpartition(".")[0], *_imports(ast.parse(path.read_text(encoding="utf-8")).body)]
    return frozenset(found)


def _imports(statements: Iterable[ast.AST]) -> Iterator[str]:
    """What is imported, by the names of modules and of whatever is imported from them."""
    for statement in statements:
        match statement:
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=otherwise):
                yield from _imports(otherwise)
            case ast.Import(names=names):
                yield from (each.name for each in names)
            case ast.ImportFrom(module=module, names=names):
                yield from (str(module), *(f"{module}.{each.name}" for each in names))
            case _:
                yield from _imports(ast.iter_child_nodes(statement))


def _file(module: str) -> Path:
    path = SOURCE / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


class BuildImported(build_py):
    """Leaves out of each package what the plugin does not import."""

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)  # what an earlier build left there would come along
        super().run()

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        found = super().find_package_modules(package, package_dir)
        return [each for each in found if f"{each[0]}.{each[1]}".removesuffix(".__init__") in modules()]


setup(
    packages=sorted(name for name in modules() if _file(name).name == "__init__.py"),
    package_data={"dynamiq_operator": ["py.typed"]},
    cmdclass={"build_py": BuildImported},
    options={"build": {"build_base": str(SOURCE.parent / "build" / "kubectl")}},
)
