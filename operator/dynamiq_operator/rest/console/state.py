"""The state that the console's calls share: its settings, its files, and the sign-in with OIDC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from dynamiq_operator.rest.console.assets import Assets
from dynamiq_operator.rest.console.options import ConsoleOptions
from dynamiq_operator.rest.console.provider import Provider
from dynamiq_operator.rest.console.sign_in import SignIn
from dynamiq_operator.rest.console.targets import CALLBACK


@dataclass(frozen=True)
class Console:
    """The console of a process. `sign_in`: None if no provider is set up."""

    options: ConsoleOptions
    assets: Assets
    sign_in: SignIn | None = None

    @classmethod
    def of(cls, options: ConsoleOptions, assets: Assets) -> Console:
        if options.oidc is None or options.address is None:
            return cls(options, assets)
        return cls(options, assets, SignIn(Provider(options.oidc, f"{options.address.origin}{CALLBACK}")))


async def _console(request: Request) -> Console:
    console: Console = request.app.state.console
    return console


ConsoleOf = Annotated[Console, Depends(_console)]
