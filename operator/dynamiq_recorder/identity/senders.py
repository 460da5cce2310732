"""Describes senders of runs. It identifies none."""

from __future__ import annotations

import msgspec


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """The App for which runs are sent. These fields hold, whatever the runs themselves claim.

    `records_content`: True if inputs, outputs and errors are kept. `pod_uid`: of a pod that sends its own runs. It is None for relayed runs
    and for other accounts: those runs belong to no process and to no row. `is_journal`: the journal sends what pods gave it: the pods' own
    runs, with their pins and of no process. `counts_shapes`: True if the shapes of inputs are counted. `triggers`: names of the App's
    triggers.
    """

    app_uid: str
    namespace: str
    app: str
    records_content: bool = False
    pod_uid: str | None = None
    is_journal: bool = False
    counts_shapes: bool = False
    triggers: frozenset[str] = frozenset()
    pins: str | None = None
    workflow_version: str | None = None
    workflow_hash: str | None = None

    @property
    def is_own(self) -> bool:
        """Returns True if its runs are those of the App's pods."""
        return self.pod_uid is not None or self.is_journal
