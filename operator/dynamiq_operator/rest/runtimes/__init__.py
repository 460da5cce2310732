"""Runtimes: the approved versions that a deployment may name."""
