"""Lists the unit tests that `make check` leaves to `make test`: each of these files would take seconds of its minute."""

from __future__ import annotations

_BY_FOLDER = {
    "cli": ["completion", "deploy", "failures", "history", "keys", "plugin", "pods", "promote_elsewhere", "runs", "verify"],
    "controller": [
        "activity", "archiving", "claims", "client", "comparisons", "guards", "informers", "leader_election", "notify", "notify_delivery", "process", "reconcile", "run", "verifying",
    ],
    "entry": ["arguments", "generate"],
    "journal": ["committer", "http", "killed", "outbox", "polls", "process", "random_stories", "store", "upkeep"],
    "gate": ["attacks", "callers", "directory", "forwarding", "membership", "probing", "retire", "waking"],
    "local": ["builds", "chart", "console_build", "docs_references", "fast_python", "release_parts", "versions"],
    "model": ["chain", "flows_as_json", "freezes_by_minute"],
    "plan": ["guarded_histories", "interruptions", "ledger", "reverts", "reverts_by_comparison", "sleep", "strategies", "switch", "verification"],
    "recorder": [
        "answers", "archive", "attacks", "bombs", "committing", "compare", "requests", "store_archive", "store_contents", "store_deleting", "store_faults", "store_migrations",
        "store_races", "store_refusals", "store_rollups", "store_rows", "store_runs", "store_scrubbing", "store_shapes", "shapes", "upkeep",
    ],
    "repository": ["child_kinds", "cost", "ending", "health_checks", "history_columns", "layers", "run"],
    "rest": [
        "access_keys", "apps", "archive", "configuration", "console_oidc", "console_session", "deployments", "history", "hostile", "http",
        "id_index", "limits", "runs", "triggers", "watch", "workflows",
    ],
    "runtime": [
        "activity", "background_storm", "delivery", "limits", "record_queue", "recorded_content", "recording", "relay", "server", "shapes", "standby", "streams", "traces", "trigger", "uploads",
    ],
    "serving": ["bodies", "connections"],
}  # fmt: skip
FILES = tuple(f"tests/unit/{folder}/test_{name}.py" for folder, names in _BY_FOLDER.items() for name in names)
"""They start servers, processes or databases, wait for time, or try thousands of cases; paths from the folder of the repository."""
