"""Chooses the engine: DYNAMIQ_ENGINE alone says which, never what happens to be installed, and only the chosen one is imported."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping

from dynamiq_runtime.engine import Engine

ENGINES = ("tiny", "sdk")
NEEDS = {"tiny": "RestrictedPython", "sdk": "dynamiq"}


class EngineError(Exception):
    """The engine that was asked for is not there; the message says which image has it."""


def require_engine(name: str) -> None:
    """Passes where the engine's packages are installed. Raises EngineError."""
    if importlib.util.find_spec(NEEDS[name]) is None:
        images = {"tiny": "runtime", "sdk": "runtime-sdk"}
        raise EngineError(f'DYNAMIQ_ENGINE is "{name}", and this image has no {NEEDS[name]}: use the image {images[name]}')


def load_engine(name: str, text: str, environment: Mapping[str, str]) -> Engine:
    """Loads a flow's text so that the first run needs to load nothing more, which takes the SDK seconds. Raises FlowError."""
    if name == "sdk":
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # read on import: it would ask the network for prices
        from dynamiq_runtime.sdk import SDK  # 2 GB of packages, which the image of the other engine does not have

        return SDK(text)
    from dynamiq_runtime.tiny import Tiny

    return Tiny(text, environment)
