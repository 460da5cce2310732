"""The response about who is signed in, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import ResponseModel, Time, example
from dynamiq_operator.rest.shared.examples import ANNA
from dynamiq_operator.rest.shared.responses import Author


class OidcSignIn(ResponseModel):
    name: Annotated[str, Field(description="Name of the provider, for the button.")]


class SignIn(ResponseModel):
    token: Annotated[bool, Field(description="True: one can sign in with a token.")]
    oidc: Annotated[OidcSignIn | None, Field(description="The OIDC provider; null if none is set up.")]


class ConsoleSession(ResponseModel):
    """Who is signed in to the console, and how one can sign in."""

    model_config = example(user=ANNA, expires_at="2026-11-25T06:19:23Z", sign_in={"token": True, "oidc": {"name": "Dex"}}, version="0.1.0")

    user: Annotated[Author | None, Field(description="None if nobody is signed in, or the token has expired.")]
    expires_at: Annotated[Time | None, Field(description="When the token expires, if it shows that.")]
    sign_in: SignIn
    version: Annotated[str, Field(description="Of this API.")]
