"""What the console's calls need: its settings and its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from dynamiq_operator.rest.console.assets import Assets
from dynamiq_operator.rest.console.options import ConsoleOptions


@dataclass(frozen=True)
class Console:
    """One per process."""

    options: ConsoleOptions
    assets: Assets


async def _console(request: Request) -> Console:
    console: Console = request.app.state.console
    return console


ConsoleOf = Annotated[Console, Depends(_console)]
