"""Reconciles: takes an App from the queue, observes, plans, executes, and reports what failed."""
