"""Reads the price table from a file, such as a mounted ConfigMap, again when it changes. An unreadable file leaves the previous table."""

from __future__ import annotations

import logging
from pathlib import Path

from dynamiq_operator.model.runs import CostSource
from dynamiq_recorder.model import Tokens
from dynamiq_recorder.pricing import Prices

log = logging.getLogger(__name__)


class PriceFile:
    """The price table of a file. `path`: None without a table; then only reported costs are known."""

    def __init__(self, path: Path | None) -> None:
        self._path, self._prices = path, Prices()
        self._text: str | None = None
        self.read()

    def read(self) -> None:
        """Reads the file if it has changed."""
        if self._path is None:
            return
        try:
            text = self._path.read_text()
            if text == self._text:
                return
            self._prices, self._text = Prices(text), text
            log.info("the price table %s is read", self._path)
        except (OSError, ValueError) as error:
            log.warning("the price table %s cannot be read, so the previous one stays in use: %s", self._path, error)

    def cost(self, model: str | None, tokens: Tokens, at: int, reported: float | None = None) -> tuple[int | None, CostSource | None]:
        """Returns what pricing.Prices.cost returns."""
        return self._prices.cost(model, tokens, at, reported)
