"""Executes the operations on claims of hostnames, by `Claims`."""

from __future__ import annotations

from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.plan import operations


async def claim_hostname(execution: Execution, operation: operations.ClaimHostname) -> None:
    await execution.claims.create(operation)


async def annotate_claim(execution: Execution, operation: operations.KeepClaim) -> None:
    await execution.claims.annotate(operation)


async def release_claim(execution: Execution, operation: operations.ReleaseClaim) -> None:
    await execution.claims.release(operation)
