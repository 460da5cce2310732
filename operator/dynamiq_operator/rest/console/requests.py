"""The request to sign in with a token."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import RequestModel
from dynamiq_operator.serving.tokens import TOKEN_MAX


class NewSession(RequestModel):
    """A token of this cluster."""

    token: Annotated[str, Field(min_length=1, max_length=TOKEN_MAX, description="A token of `kubectl create token`, or an ID token.")]
