"""Access Keys: made once, the user's from then on, and in force in the pods soon after each change.

A kubelet looks at what its pods mount every 60 to 90 s, but at once when a pod's own object changes: so the pods that run get an
annotation that names the Secret's version. They are not replaced by it, since it is no part of their template. Since when that
version is known is noted on the workload, so that it is known after a restart of the operator; pods that began later have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, Record, format_time, parse_time
from dynamiq_operator.plan.operations import CreateAccessKeys, TellOfKeys
from dynamiq_operator.plan.snapshot import KeysPresence, Snapshot

CLOCKS = timedelta(seconds=60)
"""How far the operator's clock may be behind that of the API server, which dates pods: a pod is told once too often, never too little."""


def creation(snapshot: Snapshot, app: App) -> Iterator[CreateAccessKeys]:
    """The Secret, where there is none."""
    if app.spec.is_private and snapshot.access_keys.presence is KeysPresence.ABSENT:
        yield CreateAccessKeys(app)


def are_foreign(snapshot: Snapshot, app: App) -> bool:
    """Whether the App's keys are somebody else's Secret, which none of its pods may mount: whoever names an App so might read it there."""
    return app.spec.is_private and snapshot.access_keys.presence is KeysPresence.FOREIGN


def note(snapshot: Snapshot, app: App, observed: Manifest | None) -> str | None:
    """What the workload says of the keys: their version, and, where it has changed under pods that ran, since when."""
    if not app.spec.is_private:
        return None
    seen, noted = snapshot.access_keys, _noted(observed)
    if not seen.version or seen.presence is not KeysPresence.PRESENT or (noted and noted.split(" ")[0] == seen.version):
        return noted
    return f"{seen.version} {format_time(seen.since)}" if noted and seen.since else seen.version


def telling(snapshot: Snapshot, app: App, target: Record | None) -> Iterator[TellOfKeys]:
    """The pods that began before the keys were last changed, and whose kubelets have not been told of it."""
    version, since = _parsed(note(snapshot, app, snapshot.workload_of(target)))
    if since is None:
        return
    for pod in snapshot.pods:
        if pod.keys != version and not pod.deleting and pod.created <= since + CLOCKS:
            yield TellOfKeys(app, pod.name, pod.uid, version)


def _noted(observed: Manifest | None) -> str | None:
    found: str | None = ((observed or {}).get("metadata", {}).get("annotations") or {}).get(names.KEYS_ANNOTATION)
    return found


def _parsed(noted: str | None) -> tuple[str, datetime | None]:
    version, _, since = (noted or "").partition(" ")
    try:
        return version, parse_time(since) if since else None
    except ValueError:
        return version, None  # somebody edited it
