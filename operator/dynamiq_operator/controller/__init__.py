"""Runs the operator's process: informers fill a cache, a workqueue holds the Apps to reconcile, and the leader observes, plans and
executes.
"""
