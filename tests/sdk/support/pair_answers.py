"""Runs both flows of all pairs on what their callers send; run by the interpreter that has the SDK.

It prints JSON: by pair and engine, the outcomes of `live` and of `new`, in the order of the calls. The SDK runs tiny's pairs, too.
"""

from __future__ import annotations

import json
import os
from typing import Any

from dynamiq_runtime.engine import Engine, Report, RunFailedError
from dynamiq_runtime.engine_choice import load_engine
from dynamiq_runtime.logs import take_over
from tests.sdk.support import pairs
from tests.sdk.support.pair_flows import SDK, TINY, Call, Pair
from tests.support import openai


def main() -> None:
    """Runs all pairs, with a model of our own."""
    take_over()
    with openai.serving() as model:
        os.environ |= {"MODEL_URL": model.url, "MODEL_KEY": openai.KEY}
        every = pairs.named(pairs.BREAKING) | pairs.named(pairs.SAFE)
        print(json.dumps({name: _outcomes(pair) for name, pair in every.items()}))


def _outcomes(pair: Pair) -> dict[str, Any]:
    engines = (TINY, SDK) if pair.engine == TINY else (SDK,)
    return {engine: {"live": _run(engine, pair.live, pair), "new": _run(engine, pair.new, pair)} for engine in engines}


def _run(engine: str, flow: str, pair: Pair) -> list[dict[str, Any]]:
    """Runs a flow once for each input: callers with the same input have the same outcome."""
    loaded = load_engine(engine, flow, os.environ)
    outcomes: dict[str, dict[str, Any]] = {}
    for call in pair.calls:
        if (given := json.dumps(call.given)) not in outcomes:
            outcomes[given] = _outcome(loaded, call)
    return [outcomes[json.dumps(call.given)] for call in pair.calls]


def _outcome(loaded: Engine, call: Call) -> dict[str, Any]:
    try:
        return {"answer": loaded.execute(call.given, Report())}
    except RunFailedError as error:
        return {"failed": str(error)}


if __name__ == "__main__":
    main()
