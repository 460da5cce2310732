"""The environment's Python: another build of it is used only if it is known to work."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

LINKING = Path(__file__).parents[3] / "local" / "fast_python.py"
OTHERS = {
    "of another version": "#!/bin/sh\nexit 1\n",
    "that does not start": "#!/bin/sh\necho 0.001 >&2\nexit 127\n",
    "that takes longer": "#!/bin/sh\necho 1000.0\n",
}


def test_pythons_that_do_not_serve_stay_out(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    for name, program in OTHERS.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "python3").write_text(program)
        (folder / "python3").chmod(0o755)
    python = environment / "bin" / "python3"
    before = python.resolve()

    path = os.pathsep.join(str(tmp_path / name) for name in OTHERS)
    output = subprocess.run(
        [python, LINKING, environment], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
    ).stdout

    assert output == ""
    assert python.resolve() == before == Path(sys.executable).resolve()


def test_a_faster_python_is_taken_with_what_is_installed(tmp_path: Path) -> None:
    environment, programs = tmp_path / "environment", tmp_path / "programs"
    venv.create(environment, symlinks=True)
    installed = next(environment.glob("lib/python*/site-packages")) / "installed.py"
    installed.write_text("print('installed')\n")
    programs.mkdir()
    faster = programs / "python3"
    # It measures as fastest, and behaves like this Python otherwise.
    faster.write_text(f'#!/bin/sh\n[ "$2" = -c ] && echo 0.000001 && exit\nexec {Path(sys.executable).resolve()} "$@"\n')
    faster.chmod(0o755)

    output = subprocess.run(
        [environment / "bin" / "python3", LINKING, environment],
        env=os.environ | {"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert output.startswith(f"{environment}: runs on {faster}")
    done = subprocess.run([environment / "bin" / "python3", "-c", "import installed"], capture_output=True, text=True, check=True)
    assert done.stdout == "installed\n"
