"""The response about who is signed in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import ResponseModel, Time
from dynamiq_operator.rest.parts.responses import Author


class OidcSignIn(ResponseModel):
    name: Annotated[str, Field(description="Name of the provider, for the button.")]


class SignInResponse(ResponseModel):
    token: Annotated[bool, Field(description="True: one can sign in with a token.")]
    oidc: Annotated[OidcSignIn | None, Field(description="The OIDC provider; null if none is set up.")]


class ConsoleSession(ResponseModel):
    """Who is signed in to the console, and how one can sign in."""

    user: Annotated[Author | None, Field(description="None if nobody is signed in, or the token has expired.")]
    expires_at: Annotated[Time | None, Field(description="When the token expires, if it shows that.")]
    sign_in: SignInResponse
    version: Annotated[str, Field(description="Of this API.")]
