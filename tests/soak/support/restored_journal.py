"""Backs up the journal of an installation, and restores it, as docs/journal.md says."""

from __future__ import annotations

import shutil
from pathlib import Path

from local import journal
from tests.soak.support.background_storm import JournalFile
from tests.support.stage import Stage, is_ready
from tests.support.waiting import eventually

POD, WORKLOAD = "dynamiq-journal-0", "statefulset/dynamiq-journal"
FOLDER = "/var/lib/dynamiq-journal"
"""The place of the volume in a pod of the journal."""


def back_up(on: Stage, of: JournalFile, folder: Path) -> Path:
    """Copies the store while the journal serves. Returns a copy in `folder`."""
    name = "backup.db"
    command = ("python3", "-m", "dynamiq_recorder", "journal-backup", f"{FOLDER}/{name}")
    on.kubectl("exec", POD, "--", *command, namespace=journal.NAMESPACE)
    return Path(shutil.copyfile(of.path.with_name(name), folder / name))


def restore(on: Stage, of: JournalFile, copy: Path) -> None:
    """Replaces the store by a copy. Returns once a journal serves it."""
    on.kubectl("scale", WORKLOAD, "--replicas=0", namespace=journal.NAMESPACE)
    eventually("the journal has ended", lambda: not on.api.read(_pod()).ok)
    shutil.copyfile(copy, of.path)  # into the same file, which stays its owner's
    for ending in ("-wal", "-shm"):
        of.path.with_name(of.path.name + ending).unlink(missing_ok=True)
    on.kubectl("scale", WORKLOAD, "--replicas=1", namespace=journal.NAMESPACE)
    eventually("a journal serves the copy", lambda: (now := on.api.read(_pod())).ok and is_ready(now.body))


def _pod() -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD, "namespace": journal.NAMESPACE}}
