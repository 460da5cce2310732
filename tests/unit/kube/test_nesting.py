"""Only content that is nested too deeply for a parser is left out."""

from __future__ import annotations

import json

import pytest

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.nesting import DEPTH_MOST, bounded, parse


def nested(levels: int, around: bytes = b'{"f:a":%s}') -> bytes:
    before, after = around.split(b"%s")
    return before * levels + b"1" + after * levels


@pytest.mark.parametrize("around", [b'{"f:a":%s}', b"[%s]", b'{"a\\"}]":[%s,"]"]}'], ids=["objects", "lists", "brackets in texts"])
@pytest.mark.parametrize("levels", [1000, 5000])
def test_fields_beside_a_deep_value_are_read(around: bytes, levels: int) -> None:
    raw = b'{"before":[1,{}],"deep":' + nested(levels, around) + b',"after":"{"}'
    found = json.loads(bounded(raw))
    assert (found["before"], found["after"]) == ([1, {}], "{")
    assert found.keys() == {"before", "deep", "after"}
    assert len(bounded(raw)) < len(around) * (DEPTH_MOST + 1)
    assert parse(raw, "GET /")["after"] == "{"


def test_large_flat_values_stay_as_they_are() -> None:
    raw = json.dumps([{"name": f"[{number}", "values": [[]]} for number in range(1000)]).encode()
    assert bounded(raw) == raw


@pytest.mark.parametrize("raw", [b"<html>", b"{" * 1000, b"]" * 1000, b'"' + b"[" * 1000])
def test_invalid_json_is_unavailable(raw: bytes) -> None:
    with pytest.raises(errors.Unavailable, match=r"^GET /: the answer is not JSON$"):
        parse(raw, "GET /")
