"""Plans what to do for an App: a pure function (`planner.make_plan`) from a snapshot of the cluster to operations, statuses and events.

This module imports nothing: the plugin imports single parts of the plan, such as guards and the history, and must start without the
planner.
"""
