"""Plans the writes to an App's rows: numbers and pins, outcomes, rows for `App.spec.deploy`, and deletions by retention."""
