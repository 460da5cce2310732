"""Decides which workloads an App has to have, and finds which of them its callers reach."""
