"""Checks that Python files have the same code as at a commit, except docstrings, texts and names: `python -m tests.same_code COMMIT
[FOLDER…]`.

For commits that rename and reword: files are compared by the shape of their syntax tree, in any order and under any path.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

FOLDERS = ("operator", "local", "tests")
_NAMED = ("id", "attr", "arg", "name", "module", "asname", "names", "rest", "kwd_attrs")


class _Shape(ast.NodeTransformer):
    """Removes docstrings, texts and names from a syntax tree. The order of imports depends on names, so imports are removed, too."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each) and not isinstance(each, ast.Import | ast.ImportFrom)]  # type: ignore[attr-defined]
        super().generic_visit(node)
        for field in _NAMED:
            if isinstance(getattr(node, field, None), str):
                setattr(node, field, "")
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("" if isinstance(node.value, str) else node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("")


def _is_text(statement: ast.AST) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)


def shape(source: str) -> str:
    """Returns a digest of code without its docstrings, texts, names and imports."""
    return hashlib.sha256(ast.dump(_Shape().visit(ast.parse(source))).encode()).hexdigest()


def at_commit(commit: str, folders: tuple[str, ...]) -> dict[str, str]:
    """Returns the source of each Python file of a commit, by its path."""
    listed = subprocess.run(("git", "ls-tree", "-r", "--name-only", commit, *folders), capture_output=True, text=True, check=True).stdout
    return {name: _git("show", f"{commit}:{name}") for name in listed.splitlines() if name.endswith(".py")}


def here(folders: tuple[str, ...]) -> dict[str, str]:
    """Returns the source of each Python file of the working tree that git knows, by its path."""
    listed = _git("ls-files", "--cached", "--others", "--exclude-standard", *folders).splitlines()
    return {name: Path(name).read_text() for name in listed if name.endswith(".py") and Path(name).exists()}


def _git(*arguments: str) -> str:
    return subprocess.run(("git", *arguments), capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Compares; returns 1 if code differs, and prints its files."""
    parser = argparse.ArgumentParser(prog="python -m tests.same_code", description="Compares code without docstrings, texts and names.")
    parser.add_argument("commit")
    parser.add_argument("folders", nargs="*", default=FOLDERS)
    options = parser.parse_args()
    before, after = (
        {name: shape(text) for name, text in sources.items()}
        for sources in (at_commit(options.commit, tuple(options.folders)), here(tuple(options.folders)))
    )
    if Counter(before.values()) == Counter(after.values()):
        print(f"{len(after)} files: the same code as at {options.commit}")
        return 0
    removed, new = Counter(before.values()) - Counter(after.values()), Counter(after.values()) - Counter(before.values())
    print("\n".join(sorted(f"- {name}" for name, digest in before.items() if digest in removed)))
    print("\n".join(sorted(f"+ {name}" for name, digest in after.items() if digest in new)))
    return 1


if __name__ == "__main__":
    sys.exit(main())
