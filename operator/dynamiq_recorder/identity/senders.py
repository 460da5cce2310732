"""Who sends runs, as far as the runs are concerned."""

from __future__ import annotations

import msgspec


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """The App that runs are sent for. What is said here stands, whatever the runs themselves claim.

    `records_content`: whether the App wants inputs, outputs and errors to be kept. `pod_uid`: of a pod that tells of its own runs; None of
    whatever is relayed, and of every other account: such runs are of no process and of no row.
    """

    app_uid: str
    namespace: str
    app: str
    records_content: bool = False
    pod_uid: str | None = None
    pins: str | None = None
    workflow_version: str | None = None
    workflow_hash: str | None = None
