"""Executes plans: a module for each kind of object, and in `executor` the function of each operation. It decides nothing."""
