"""Provides the users of reads, each with a slot in a lane: a slow reader, or one who reads much, delays no others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from dynamiq_recorder.http.context import ContextOf, lane_of
from dynamiq_recorder.identity.tokens import User


async def _reader(request: Request, context: ContextOf) -> AsyncIterator[User]:
    user = await context.user(request)
    async with context.reads.slot(lane_of(user)):
        yield user


async def _exporter(request: Request, context: ContextOf) -> AsyncIterator[User]:
    user = await context.user(request)
    async with context.exports.slot(lane_of(user)):
        yield user


ReaderOf = Annotated[User, Depends(_reader, scope="function")]
"""A user with a slot until the answer is built; it is sent without one."""
ExporterOf = Annotated[User, Depends(_exporter)]
"""A user with a slot until the answer was sent, or its reader has disconnected."""
