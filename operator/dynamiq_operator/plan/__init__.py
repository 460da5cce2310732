"""What is to be done for an App: a pure function from a snapshot of the cluster to operations, statuses and events."""

from dynamiq_operator.plan.planner import make_plan

__all__ = ["make_plan"]
