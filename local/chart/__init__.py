"""Generates the Helm chart from `manifests/`, with marked places for values. `python -m local.chart` writes it; `--check` lists stale
files.
"""
