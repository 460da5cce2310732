"""Serves a flow, as `python -m dynamiq_runtime serve`, while a lazy package, `$UNSUITED`, finds its names in a module that does not exist."""

from __future__ import annotations

import os
import sys
from unittest import mock

from dynamiq_runtime import lazy_packages
from dynamiq_runtime.__main__ import main

EXPORTS_OF = lazy_packages.exports_of


def _wrong(source: str, package: str) -> lazy_packages.Exports | None:
    exports = EXPORTS_OF(source, package)
    if package == os.environ["UNSUITED"] and exports is not None:
        return {name: (f"{package}.nothing", name) for name in exports}
    return exports


if __name__ == "__main__":
    with mock.patch.object(lazy_packages, "exports_of", _wrong):
        sys.exit(main(["serve"]))
