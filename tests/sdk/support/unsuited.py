"""Serves a flow, as `python -m dynamiq_runtime serve`, with an SDK that lazy packages do not suit: they find another module for each name."""

from __future__ import annotations

import sys
from unittest import mock

from dynamiq_runtime import lazy_packages
from dynamiq_runtime.__main__ import main


def _wrong(_source: str, package: str) -> lazy_packages.Exports | None:
    return {"Input": (f"{package}.nothing", "Input")} if package == "dynamiq.nodes.utils" else None


if __name__ == "__main__":
    with mock.patch.object(lazy_packages, "exports_of", _wrong):
        sys.exit(main(["serve"]))
