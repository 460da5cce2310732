"""Writes the list of node types of Dynamiq's SDK, by which releases are checked: `.venv-sdk/bin/python -m local.node_types`.

It imports every module of the SDK's nodes, which takes half a minute.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

FILE = Path(__file__).parents[1] / "operator/dynamiq_operator/model/sdk_node_types.py"
HEADER = '''"""Types of nodes that engine `sdk` runs. Written by `.venv-sdk/bin/python -m local.node_types`, and by nobody by hand."""

SDK_NODE_TYPES = frozenset(
    (
{}
    )
)
'''


def types() -> list[str]:
    """Returns the types of the SDK that is installed, sorted, as flows name them: the package and the class."""
    nodes = importlib.import_module("dynamiq.nodes")
    base = importlib.import_module("dynamiq.nodes.node").Node
    modules = [importlib.import_module(each.name) for each in pkgutil.walk_packages(nodes.__path__, "dynamiq.nodes.")]
    classes = {value for module in modules for value in vars(module).values() if inspect.isclass(value) and issubclass(value, base)}
    return sorted({f"{each.__module__.rpartition('.')[0]}.{each.__name__}" for each in classes if not inspect.isabstract(each)})


def written(names: list[str]) -> str:
    """Returns the text of the file."""
    return HEADER.format("\n".join(f'        "{name}",' for name in names))


if __name__ == "__main__":
    FILE.write_text(written(types()))
