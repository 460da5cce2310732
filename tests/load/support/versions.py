"""Makes versions that fail a share of their runs, or crash their pod on request."""

from __future__ import annotations

from tests.support.flows import a_flow

CRASHING_BYTES = 1 << 29
"""The memory that one run uses; its pod has less."""


def failing(answer: str, share: float) -> str:
    """Returns a flow that fails this share of its runs, by chance, and answers the others."""
    code = f"import random\ndef run(inputs):\n    if random.random() < {share}:\n        raise ValueError('a bad version')\n    return {answer!r}\n"
    return a_flow(code, answer="answer")


def crashing(answer: str) -> str:
    """Returns a flow that answers, except to the input `crash`: then it uses more memory than its pod may."""
    code = f"def run(inputs):\n    if inputs.get('crash'):\n        return len(bytes({CRASHING_BYTES}) + b'x')\n    return {answer!r}\n"
    return a_flow(code, answer="answer")
