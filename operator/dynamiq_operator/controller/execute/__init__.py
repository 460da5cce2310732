"""Executing a plan: a module for each kind of object, and in `executor` the table of which function executes which operation."""
