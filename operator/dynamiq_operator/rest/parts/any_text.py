"""Lets a part of a path be any text, also with slashes and line breaks. Whoever calls an App chooses the names of sessions."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor


class _Text(Convertor[str]):
    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("text", _Text())
ANY_TEXT = "text"
"""The convertor's name in a route's path."""
