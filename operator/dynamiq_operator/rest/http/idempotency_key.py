"""Parses the header Idempotency-Key. `actions.idempotency` defines what a key means."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request

from dynamiq_operator.actions.idempotency import HEADER, CallerKey

KEY_MAX = 255
REPLAYED = {"Idempotency-Replayed": "true"}


# A coroutine: FastAPI would run a plain function in a worker thread.
async def _key(
    request: Request,
    value: Annotated[
        str | None,
        Header(
            alias=HEADER,
            min_length=1,
            max_length=KEY_MAX,
            description="The same request with the same key gives the same row; another request with it is refused with 422.",
        ),
    ] = None,
) -> CallerKey | None:
    return CallerKey(request.state.session.user.username, value) if value is not None else None


KeyOf = Annotated[CallerKey | None, Depends(_key)]
