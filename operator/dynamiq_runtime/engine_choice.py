"""Chooses the engine by DYNAMIQ_ENGINE alone, whatever is installed. Only the chosen one is imported."""

from __future__ import annotations

import gc
import importlib.util
import os
from collections.abc import Mapping

from dynamiq_runtime import lazy_packages
from dynamiq_runtime.engine import Engine
from dynamiq_runtime.logs import log
from dynamiq_runtime.text import FlowError

ENGINES = ("tiny", "sdk")
NEEDS = {"tiny": "RestrictedPython", "sdk": "dynamiq"}
RARELY = (50_000, 50, 1_000)
"""Thresholds of the garbage collector while the SDK is loaded. With Python's own, loading takes half as long again; with none, 5 MiB more."""


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
        return _load_sdk(text)
    from dynamiq_runtime.tiny import Tiny

    return Tiny(text, environment)


def _load_sdk(text: str) -> Engine:
    """Loads the SDK and a flow with lazy packages; without them if an import fails. An error that it raises is then the flow's own."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # read on import: otherwise it would request prices over the network
    thresholds = gc.get_threshold()
    gc.set_threshold(*RARELY)
    try:
        is_lazy = lazy_packages.install()
        try:
            return _sdk(text)
        except MemoryError:
            raise  # the whole SDK needs more
        except Exception as error:
            fault = lazy_packages.fault() if isinstance(error, FlowError) else error
            if not is_lazy or fault is None:
                raise
        # Of other errors only the type: their message may quote the flow's values.
        reason = f"{type(fault).__name__}: {fault}" if isinstance(fault, ImportError) else type(fault).__name__
        log("the SDK cannot be loaded lazily, and is loaded whole, which takes more time and memory", level="warning", error=reason)
        lazy_packages.give_up()
        return _sdk(text)
    finally:
        gc.freeze()  # no later search for garbage goes through what was imported
        gc.set_threshold(*thresholds)


def _sdk(text: str) -> Engine:
    from dynamiq_runtime.sdk import SDK  # 2 GB of packages, which the image of the other engine does not have

    return SDK(text)
