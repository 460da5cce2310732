"""Joins what a pod does with the journal: its background runs, the callbacks of runs that have ended, and the places of conversations."""

from __future__ import annotations

from dynamiq_runtime.activity import Activity
from dynamiq_runtime.background import BackgroundRuns
from dynamiq_runtime.callbacks import AT_ONCE, Callbacks, SigningKey
from dynamiq_runtime.conversations import Conversations
from dynamiq_runtime.engine import Engine
from dynamiq_runtime.execution import RunExecutor
from dynamiq_runtime.hop import Turns
from dynamiq_runtime.journal import Journal
from dynamiq_runtime.metrics import Metrics
from dynamiq_runtime.posting import Poster
from dynamiq_runtime.recorder_client import Recorder
from dynamiq_runtime.settings import Settings
from dynamiq_runtime.threads import RunThreads


class Durable:
    """The work of one pod with the journal at `address`. `callbacks`: None if the pod has no place for their key. `turns`: None if it has no pins."""

    def __init__(
        self, settings: Settings, address: Recorder, executor: RunExecutor, threads: RunThreads, activity: Activity, metrics: Metrics
    ) -> None:
        journal, most = Journal(address, settings.app_id), max(1, settings.concurrent_runs // 2)
        version = settings.pins, settings.flow_hash
        self.runs = BackgroundRuns(journal, executor, threads, activity, version, most=most, timeout=settings.run_timeout)
        key = settings.callback_key
        self.callbacks = None if key is None else Callbacks(journal, SigningKey(key), Poster(AT_ONCE), activity)
        self.turns, self._conversations = None, None
        if settings.pins and settings.app_id:
            self._conversations = Conversations(journal, settings.pins, metrics)
            self.turns = Turns(self._conversations, settings.app_id, metrics, most=settings.concurrent_runs + settings.queued_runs)

    def begin(self, engine: Engine) -> None:
        """Starts to claim runs and callbacks."""
        self.runs.begin(engine)
        if self.callbacks is not None:
            self.callbacks.begin()
        if self._conversations is not None:
            self._conversations.begin()

    def drain(self) -> None:
        """Claims nothing more, but for the callbacks of runs that end here."""
        self.runs.drain()
        if self.callbacks is not None:
            self.callbacks.drain()

    async def close(self) -> None:
        """Ends. Runs and callbacks that the journal still counts as this pod's go on elsewhere, once their lease is over."""
        if self._conversations is not None and self.turns is not None:
            await self._conversations.close()
            await self.turns.close()
        if self.callbacks is not None:
            await self.callbacks.close()
        await self.runs.close()
