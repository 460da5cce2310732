"""Decides for which App a user may send runs. It reads no run.

A pod may send for its own App. Everybody else, including the gate, needs the right to `create apps/runs`. A pod's App follows from its
label and its owners, in its token's namespace. No row, header or name that a pod chooses changes that.
"""

from __future__ import annotations

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_recorder.identity.apps import Apps, KnownApp
from dynamiq_recorder.identity.pods import Pods
from dynamiq_recorder.identity.rights import RUNS, Rights
from dynamiq_recorder.identity.senders import Sender
from dynamiq_recorder.identity.tokens import NotNow, User

PINS_MOST = 64
"""Most characters of pins."""


class Forbidden(Exception):  # noqa: N818
    """A right that a known user lacks; the message names it."""


class Writers:
    """The rules for senders. `gate`, `journal`: user names of accounts that may send for every App; empty for none.

    The gate relays for callers; other gates need the right. The journal sends what pods gave it.
    """

    def __init__(self, client: Client, apps: Apps, rights: Rights, gate: str, journal: str = "") -> None:
        self._apps, self._rights, self._gate, self._journal = apps, rights, gate, journal
        self.pods = Pods(client)

    async def sender(self, user: User, named: str | None, pins: str | None = None) -> Sender | None:
        """Returns the sender for a pod, the gate or the journal; None for other accounts, which `account` handles.

        `named`, `pins`: X-Dynamiq-App-Id and X-Dynamiq-Pins.

        A pod that names its App relays for a caller with an Access Key: such runs do not count as the pod's own.

        Raises Forbidden and NotNow.
        """
        if not user.is_ours:
            return None
        if user.username in (self._gate, self._journal):
            if not named or (app := self._apps.get(named)) is None:
                self._apps.check_listed()
                raise Forbidden(f"the App in the {'gate' if user.username == self._gate else 'journal'}'s X-Dynamiq-App-Id does not exist")
            return _not_own(app) if user.username == self._gate else _of_journal(app, pins)
        if user.pod is None or not user.namespace:
            return None
        pod = await self.pods.get(user.namespace, *user.pod)
        if pod.app is None or pod.app_uid is None:
            return None
        app = self._apps.get(pod.app_uid) or await self._read(pod.namespace, pod.app)
        if app is None or (app.uid, app.namespace, app.name) != (pod.app_uid, pod.namespace, pod.app):
            raise Forbidden("the App of the pod does not exist")
        if named is None:
            return Sender(
                app_uid=app.uid,
                namespace=app.namespace,
                app=app.name,
                records_content=app.records_content,
                pod_uid=user.pod[1],
                pins=pod.pins,
                workflow_version=pod.workflow_version,
                workflow_hash=pod.workflow_hash,
                counts_shapes=app.counts_shapes,
                triggers=app.triggers,
            )
        if named != app.uid:
            raise Forbidden("a pod may send only runs of its own App")
        return _not_own(app)

    async def account(self, user: User, named: str | None) -> Sender:
        """Returns the sender for an account with the right on the App that it names. `named`: X-Dynamiq-App-Id or dynamiq.app.id.

        Raises Forbidden and NotNow.
        """
        if not named:
            raise Forbidden("send the id of the runs' App in the header X-Dynamiq-App-Id, or as dynamiq.app.id of the resource")
        app = self._apps.get(named)
        if app is None:
            self._apps.check_listed()
        elif await self._rights.may(user, "create", RUNS, app.namespace, app.name):
            return _not_own(app)
        raise Forbidden(f"you need the right to create apps/runs in the namespace of App {named[:64]}, if that App exists")

    async def _read(self, namespace: str, name: str) -> KnownApp | None:
        """Returns an App that the watch has not delivered yet; None if it is missing. Raises NotNow."""
        try:
            return await self._apps.read(namespace, name)
        except errors.ApiError as error:
            raise NotNow(f"the API server did not answer which App it is: {error}") from error


def _not_own(app: KnownApp) -> Sender:
    """Returns the sender for runs that are not a pod's own. Their content is kept only if the App redacts nothing: no pod has redacted
    them.
    """
    records = app.records_content and not app.redacts
    return Sender(app_uid=app.uid, namespace=app.namespace, app=app.name, records_content=records)


def _of_journal(app: KnownApp, pins: str | None) -> Sender:
    """Returns the sender for runs of pods that the journal kept. Their pods have redacted the content."""
    if not pins:
        raise Forbidden("send the pins of the runs' pods in the header X-Dynamiq-Pins")
    return Sender(
        app_uid=app.uid,
        namespace=app.namespace,
        app=app.name,
        records_content=app.records_content,
        is_journal=True,
        pins=pins[:PINS_MOST],
        counts_shapes=app.counts_shapes,
        triggers=app.triggers,
    )
