"""Kubernetes' quantities are compared as numbers."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dynamiq_operator.desired.quantities import amount


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        ("100m", "0.1"),
        ("0.5", "0.5"),
        (2, "2"),
        ("1k", "1000"),
        ("1G", "1000000000"),
        ("1Ki", "1024"),
        ("64Mi", "67108864"),
        ("1.5Gi", "1610612736"),
        ("2Ti", "2199023255552"),
    ],
)
def test_the_number(quantity: object, number: str) -> None:
    assert amount(quantity) == Decimal(number)


@pytest.mark.parametrize("quantity", ["", "Gi", "much", None, "1.2.3", "2P", "1e3", "10n"])
def test_values_that_our_schemas_refuse_are_no_quantities(quantity: object) -> None:
    assert amount(quantity) is None
