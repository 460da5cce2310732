"""Builds the Helm chart from `manifests/`, with marked places for values. `python -m local.chart.build` writes it."""
