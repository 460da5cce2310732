"""What is to be done for an App: a pure function (`planner.make_plan`) from a snapshot of the cluster to operations, statuses and events.

This module imports nothing: the plugin reads single rooms of the plan, such as guards and the history, and starts without the planner.
"""
