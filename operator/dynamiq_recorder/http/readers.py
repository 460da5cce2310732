"""Who reads, and their share of what the recorder does at once: a slow reader, or one who reads much, keeps nobody else waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from dynamiq_recorder.http.context import context_of, lane_of
from dynamiq_recorder.identity.tokens import User


async def _reader(request: Request) -> AsyncIterator[User]:
    context = context_of(request)
    user = await context.user(request)
    async with context.reads.slot(lane_of(user)):
        yield user


async def _exporter(request: Request) -> AsyncIterator[User]:
    context = context_of(request)
    user = await context.user(request)
    async with context.exports.slot(lane_of(user)):
        yield user


ReaderOf = Annotated[User, Depends(_reader, scope="function")]
"""Holds a slot until the answer is made; it is sent without one."""
ExporterOf = Annotated[User, Depends(_exporter)]
"""Holds a slot until the answer was sent, or its reader has gone."""
