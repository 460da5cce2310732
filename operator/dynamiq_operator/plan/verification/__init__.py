"""Verification before live: what a version's pods are asked before a caller reaches them, and what follows from their answers."""
