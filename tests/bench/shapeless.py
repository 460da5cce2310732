"""Runs the runtime's server as it is, but without the shape of any input: `serve`."""

from __future__ import annotations

import sys

import dynamiq_runtime.execution
from dynamiq_runtime.__main__ import main

if __name__ == "__main__":
    vars(dynamiq_runtime.execution)["shape_of"] = lambda _: None
    sys.exit(main())
