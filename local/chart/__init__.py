"""The Helm chart: what `manifests/` has, with marked places for values. `python -m local.chart` writes it, and with `--check` says what is stale."""
