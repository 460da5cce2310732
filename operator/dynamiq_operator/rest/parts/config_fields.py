"""Maps the fields of a deployment config between the contract and stored rows."""

from __future__ import annotations

FIRST_CONFIG = {"type": "serverless"}
"""The config of a first row that names none, as in the product."""
Pairs = tuple[tuple[str, str], ...]

SCALING: Pairs = (
    ("min_replicas", "minReplicas"),
    ("max_replicas", "maxReplicas"),
    ("target_cpu_utilization_percentage", "targetCPUUtilizationPercentage"),
)
SERVERLESS_CONFIG: Pairs = (("idle_seconds", "idleSeconds"), ("max_replicas", "maxReplicas"), ("hold_seconds", "holdSeconds"))
"""The contract has none of them: they are ours."""
