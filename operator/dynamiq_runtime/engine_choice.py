"""Chooses the engine by DYNAMIQ_ENGINE alone, whatever is installed. Only the chosen one is imported."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping

from dynamiq_runtime.engine import Engine

ENGINES = ("tiny", "sdk")
NEEDS = {"tiny": "RestrictedPython", "sdk": "dynamiq"}


class EngineError(Exception):
    """The chosen engine is not installed; the message names the image that has it."""


def require_engine(name: str) -> None:
    """Raises EngineError unless the engine's packages are installed."""
    if importlib.util.find_spec(NEEDS[name]) is None:
        images = {"tiny": "runtime", "sdk": "runtime-sdk"}
        raise EngineError(f'DYNAMIQ_ENGINE is "{name}", and this image has no {NEEDS[name]}: use the image {images[name]}')


def load_engine(name: str, text: str, environment: Mapping[str, str]) -> Engine:
    """Loads a flow's text, and all that the first run needs, which takes the SDK seconds. Raises FlowError."""
    if name == "sdk":
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # read on import: otherwise it would request prices over the network
        from dynamiq_runtime.sdk import SDK  # 2 GB of packages, which the image of the other engine does not have

        return SDK(text)
    from dynamiq_runtime.tiny import Tiny

    return Tiny(text, environment)
