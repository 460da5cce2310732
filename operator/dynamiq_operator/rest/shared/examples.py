"""One App, its workflow and its row, for the examples of the OpenAPI document."""

from __future__ import annotations

from typing import Any

APP, PROJECT, CLUSTER = (
    "005c60c5-18dd-4f38-a146-a82be134a95f",
    "7c2eedb0-2296-4575-86f2-b8e1993949b6",
    "8edbb8b9-8c07-4568-9512-10a7d587e53e",
)
WORKFLOW, VERSION, RUNTIME = (
    "04ac8f75-612f-4ff0-b239-7cda6a0aa611",
    "54c9b714-e3d5-41d7-a132-cd127c54fbab",
    "3d71afb7-2ad8-47f2-a802-ae42cf825731",
)
ROW = "fd5c5c25-d384-4a9c-ae9d-901eedb2c7be"
ANNA = {"id": "f2f4c7fb-6c53-5d3c-b3ac-3b3c6cf8d1a7", "email": "anna@example.com", "username": "anna@example.com"}
OTTO = {"id": "0b5f3f3e-54a2-5a7b-8ac7-6e0d1b5a54f0", "email": "otto@example.com", "username": "otto@example.com"}
CONFIG = {
    "deployment_type": "server_based",
    "config": {
        "autoscaling": {"min_replicas": 1, "max_replicas": 2, "target_cpu_utilization_percentage": 80},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
    },
}
RUNS_ON = {"id": RUNTIME, "version": "1.4.0", "label": "Python 3.11, stable"}
RELEASE = {"id": VERSION, "version": "v2", "description": "Passes the question to the right team"}
DEPLOYMENT: dict[str, Any] = {
    "id": ROW,
    "app_id": APP,
    "status": "Live",
    "ending": None,
    "created_at": "2026-11-24T22:22:45Z",
    "created_by": ANNA,
    "runtime_id": RUNTIME,
    "runtime": RUNS_ON,
    "workflow_id": WORKFLOW,
    "workflow_version_id": VERSION,
    "workflow_version": RELEASE,
    "deployment_config": CONFIG,
    "message": "Questions go to the right team",
    "name": "support-x8cc4",
    "sequence": 2,
    "restores": None,
    "promoted_from": None,
    "provenance": None,
    "source": "Record",
    "digest": "sha256:e07b1d22dcc3888f1197f7c7ac2ed05ac1ae9a5ae951459ad6109d8fd6b118ad",
    "reason": None,
    "duration_seconds": 4.0,
    "is_live": True,
    "restores_sequence": None,
    "waits": None,
    "released": {
        "at": "2026-11-24T22:22:45Z",
        "guards": ["AwaitingApproval"],
        "by": [OTTO],
        "approvals": ["support-x8cc4-0c1f93aa"],
    },
    "verified": None,
    "holds": None,
    "bypass_reason": None,
    "flow_hash": "sha256:27d4f0c1b62a0cb22b6eb3f6a6c6f4f3f2e4bb5bd3a4d2d3a0b0c2f7f6d7d5c1",
    "deployable": None,
}
WAITS: dict[str, Any] = {
    "reason": "AwaitingApproval",
    "message": "Needs 1 approval (policy production): someone other than the author, with the role dynamiq-approver, runs `kubectl dynamiq approve support -n demo`",
    "until": None,
    "approvals": 0,
    "approvals_needed": 1,
    "resumable": False,
}
GUARD: dict[str, Any] = {
    "reason": "Frozen",
    "message": "frozen until 2026-11-30T06:00:00Z (freeze weekend of policy production)",
    "applies_to": ["Deploy", "Promotion", "Git"],
    "policy": "production",
    "until": "2026-11-30T06:00:00Z",
}
