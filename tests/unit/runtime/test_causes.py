"""The cause of a failed node: the error of its own code, wherever the engines put it, and its line."""

from __future__ import annotations

import pytest

from dynamiq_runtime.engine import CODE_FILES, cause_of


def raised(code: str) -> BaseException:
    """Returns the error of this code, which is the second line of a node's code."""
    try:
        exec(compile(f"\n{code}", CODE_FILES[0], "exec"), {})  # noqa: S102 - our own code
    except Exception as error:
        return error
    raise AssertionError("it raised nothing")


def behind(error: BaseException) -> BaseException:
    """Returns an engine's own error, which was raised from another one."""
    try:
        raise RuntimeError("the node failed") from error  # noqa: TRY301 - so that it has a traceback
    except RuntimeError as made:
        return made


def test_the_error_of_the_code_is_the_cause_also_behind_one_of_the_engines() -> None:
    assert cause_of(behind(behind(raised("1 / 0")))) == ("ZeroDivisionError", 2)
    assert cause_of(behind(OSError("away"))) == ("RuntimeError", None)


@pytest.mark.timeout(60)
def test_an_error_that_was_raised_from_itself_has_an_end() -> None:
    error = behind(OSError("away"))
    assert error.__cause__ is not None
    error.__cause__.__cause__ = error
    assert cause_of(error) == ("RuntimeError", None)
