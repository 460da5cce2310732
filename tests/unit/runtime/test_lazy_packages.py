"""Tests which packages are lazy, and that a lazy one behaves as a plain one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dynamiq_runtime.lazy_packages import exports_of
from tests.support.runtime import OPERATOR

RE_EXPORTS = '''
"""Tools."""
from __future__ import annotations
from . import plain
from .python import Python, run as run_python
from dynamiq.nodes.types import NodeGroup
__all__ = ["Python", "run_python", "NodeGroup"]
'''
DO_MORE = {
    "a star": "from .python import *",
    "code": "from .python import Python\nPython.register()",
    "another package": "from os import path",
    "a package above": "from ..types import NodeGroup",
    "a name that is also its module's": "from .python import python",
    "a condition": "try:\n    from .python import Python\nexcept ImportError:\n    Python = None",
}
PACKAGE = {
    "openai/__init__.py": "",
    "openai/tools/__init__.py": "from .heavy import Heavy as Tool\nfrom .light import light_tool\nfrom .broken import Broken",
    "openai/tools/heavy.py": "class Heavy: ...",
    "openai/tools/light.py": "def light_tool(): return 'light'",
    "openai/tools/broken.py": "import not_installed",
}
USES = """
import json, sys
from dynamiq_runtime import lazy_packages
lazy_packages.install()
said = []
import openai.tools
said.append("openai.tools.heavy" in sys.modules)
from openai.tools import light_tool
said.append([light_tool(), "openai.tools.heavy" in sys.modules])
said.append(openai.tools.Tool.__name__)
said.append(openai.tools.light.__name__)
for name in ("nothing", "Broken"):
    try:
        getattr(openai.tools, name)
    except Exception as error:
        said.append([type(error).__name__, str(error)])
try:
    from openai.tools import *
except ImportError as error:
    said.append(str(error))
print(json.dumps(said))
"""


def test_what_a_package_re_exports_is_found_where_it_is() -> None:
    assert exports_of(RE_EXPORTS, "dynamiq.nodes.tools") == {
        "plain": ("dynamiq.nodes.tools.plain", None),
        "Python": ("dynamiq.nodes.tools.python", "Python"),
        "run_python": ("dynamiq.nodes.tools.python", "run"),
        "NodeGroup": ("dynamiq.nodes.types", "NodeGroup"),
        "python": ("dynamiq.nodes.tools.python", None),
    }


@pytest.mark.parametrize("source", DO_MORE.values(), ids=DO_MORE)
def test_a_package_that_does_more_is_not_lazy(source: str) -> None:
    assert exports_of(source, "dynamiq.nodes.tools") is None


def test_a_lazy_package_loads_each_module_at_its_first_use_and_fails_as_a_plain_one(tmp_path: Path) -> None:
    for name, source in PACKAGE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    done = subprocess.run(
        [sys.executable, "-c", USES], env={"PYTHONPATH": f"{OPERATOR}:{tmp_path}"}, stdout=subprocess.PIPE, text=True, check=True
    )
    assert json.loads(done.stdout) == [
        False,
        ["light", False],
        "Heavy",
        "openai.tools.light",
        ["AttributeError", "module 'openai.tools' has no attribute 'nothing'"],
        ["ModuleNotFoundError", "No module named 'not_installed'"],
        "No module named 'not_installed'",
    ]
