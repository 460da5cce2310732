"""Lists pairs whose Python code changes."""

from __future__ import annotations

from typing import Any

from tests.sdk.support.pair_flows import SDK, TINY, Pair, callers, coded

BOTH = {"question": "Where is my order?", "language": "en"}


def said(language: str, before: str = "", **fields: Any) -> str:
    """Returns a flow that answers in a language, an expression; `before`: a line of code before it."""
    lines = ["def run(inputs):", *([f"    {before}"] if before else []), f"    return inputs['question'] + ' in ' + str({language})"]
    return coded("\n".join(lines), **fields)


def by_parameters(signature: str) -> str:
    """Returns a flow whose function takes its fields as parameters."""
    code = f"def run({signature}):\n    return question + ' in ' + language\n"
    return coded(code, path="$.start.output", use_multiple_params=True)


WHOLE: dict[str, Any] = {"path": "$.start.output"}
OTHER_NAMES = """
def first(text):
    # Nothing but its own dictionary is read here.
    parts = {"language": text.split(" ")}
    return parts["language"]

def run(data):
    \"\"\"Returns the question, word by word.\"\"\"
    words = first(data["question"])
    return " ".join(words) + " in en"
"""
PASSES_ON = """
def language_of(given):
    return given.get("language", "en"){then}

def run(inputs):
    return inputs["question"] + " in " + str(language_of(inputs))
"""
NEEDS = PASSES_ON.replace('given.get("language", "en"){then}', 'given["language"]')

BREAKING = (
    Pair(
        "a check refuses what was None before",
        TINY,
        said("inputs.get('language')"),
        said("inputs.get('language')", "if not inputs.get('language'): raise ValueError('no language')"),
        callers(BOTH, {"web": {"language": None}}, mobile="language"),
    ),
    Pair(
        "a new key",
        TINY,
        said("'en'", **WHOLE),
        said("inputs['language']", **WHOLE),
        callers(BOTH, nightly="language", web="language", partner="language"),
    ),
    Pair(
        "get loses its default",
        TINY,
        said("inputs.get('language', 'en')", **WHOLE),
        said("inputs.get('language')", **WHOLE),
        callers(BOTH, nightly="language", batch="language"),
    ),
    Pair(
        "a parameter loses its default",
        TINY,
        by_parameters("question, language='en'"),
        by_parameters("question, language"),
        callers(BOTH, web="language", mobile="language"),
    ),
    Pair(
        "a new key of the Input's result",
        SDK,
        said("'en'"),
        said("inputs['start']['output']['language']"),
        callers(BOTH, nightly="language", web="language", mobile="language", batch="language", partner="language"),
    ),
    Pair(
        "a function that gets the whole input needs a key",
        TINY,
        coded(PASSES_ON.format(then="")),
        coded(NEEDS),
        callers(BOTH, partner="language"),
        is_untold=True,
    ),
    Pair(
        "the key is an expression",
        TINY,
        said("'en'", **WHOLE),
        said("inputs[name]", "name = '-'.join(['lang', 'uage']).replace('-', '')", **WHOLE),
        callers(BOTH, nightly="language"),
        is_untold=True,
    ),
)

SAFE = (
    # A caller without a question fails before and after.
    Pair(
        "other names in the code",
        TINY,
        said("'en'", **WHOLE),
        coded(OTHER_NAMES, **WHOLE),
        callers(BOTH, partner="question", web="language"),
    ),
    Pair(
        "a new key with a default",
        TINY,
        said("'en'"),
        said("'en' if inputs.get('language') is None else inputs.get('language')"),
        callers(BOTH, nightly="language", web="language"),
    ),
    Pair(
        "a new parameter with a default",
        TINY,
        by_parameters("question, language='en', **others"),
        by_parameters("question, language='en', tone='plain', **others"),
        callers(BOTH, {"web": {"tone": "plain"}, "batch": {"more": 1}}, mobile="language"),
    ),
    Pair(
        "a new key that is looked for first",
        TINY,
        said("'en'", **WHOLE),
        said("inputs['language'] if 'language' in inputs else 'en'", **WHOLE),
        callers(BOTH, batch="language", partner="language"),
    ),
    Pair(
        "a constant of the flow replaces the field",
        TINY,
        said("inputs.get('language', 'en')", **WHOLE),
        said(
            "inputs['language']", **WHOLE, input_mapping={"language": "en"}, error_handling={"max_retries": 1, "retry_interval_seconds": 0}
        ),
        callers(BOTH, nightly="language", partner="language"),
    ),
    Pair(
        "a function that gets the whole input reads no more",
        TINY,
        coded(PASSES_ON.format(then="")),
        coded(PASSES_ON.format(then=" or 'en'")),
        callers(BOTH, web="language"),
        is_untold=True,
    ),
    Pair(
        "the input is copied",
        TINY,
        said("'en'", **WHOLE),
        said("copied.pop('language', 'en')", "copied = {key: value for key, value in inputs.items()}", **WHOLE),
        callers(BOTH, mobile="language"),
        is_untold=True,
    ),
)
