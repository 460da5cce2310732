"""The response about who is signed in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import ResponseModel, Time
from dynamiq_operator.rest.parts.responses import Author


class OidcSignIn(ResponseModel):
    name: Annotated[str, Field(description="The provider, as the button calls it.")]


class SignInResponse(ResponseModel):
    token: Annotated[bool, Field(description="Whether a token can be given.")]
    oidc: Annotated[OidcSignIn | None, Field(description="The provider of OIDC; null where none is set up.")]


class ConsoleSession(ResponseModel):
    """Who is signed in to the console, and how one can sign in."""

    user: Annotated[Author | None, Field(description="None where nobody is signed in, or the token is not valid any more.")]
    expires_at: Annotated[Time | None, Field(description="When the token ends, where it says so.")]
    sign_in: SignInResponse
    version: Annotated[str, Field(description="Of this API.")]
