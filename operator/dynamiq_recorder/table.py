"""The price table of a file, which a ConfigMap is mounted as: read again when it changes. One that cannot be read leaves the one of before."""

from __future__ import annotations

import logging
from pathlib import Path

from dynamiq_operator.model.runs import CostSource
from dynamiq_recorder.model import Tokens
from dynamiq_recorder.pricing import Prices

log = logging.getLogger(__name__)


class PriceFile:
    """`path`: None where there is no table, so that reported costs alone are known."""

    def __init__(self, path: Path | None) -> None:
        self._path, self._prices = path, Prices()
        self._text: str | None = None
        self.read()

    def read(self) -> None:
        """Reads it where it has changed."""
        if self._path is None:
            return
        try:
            text = self._path.read_text()
            if text == self._text:
                return
            self._prices, self._text = Prices(text), text
            log.info("the price table %s is read", self._path)
        except (OSError, ValueError) as error:
            log.warning("the price table %s cannot be read, so the one of before is used: %s", self._path, error)

    def cost(self, model: str | None, tokens: Tokens, at: int, reported: float | None = None) -> tuple[int | None, CostSource | None]:
        """See pricing.Prices."""
        return self._prices.cost(model, tokens, at, reported)
