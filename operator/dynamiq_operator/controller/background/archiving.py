"""Hands rows that retention is about to delete to the recorder's archive, in the background. Reads archived rows and flows for rollbacks.
It deletes no row. Each hand-over requeues its App.

A row is archived once the recorder has acknowledged its uid with both digests; every other row stays in the cluster. Acknowledgements are
kept in memory for a few minutes; a row may be acknowledged twice. A row that the archive has is sent again only after it has rested.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import orjson

from dynamiq_operator.controller.background.flows import read_flow
from dynamiq_operator.controller.background.reader import Kept, Pauses
from dynamiq_operator.controller.background.recorder_reader import NO_ACCESS, RecorderError, RecorderReader
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.model import chain, names
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.objects import Manifest, Row, read
from dynamiq_operator.plan.history.ledger import LedgerRow
from dynamiq_operator.plan.observed.archive import ArchiveAnswers
from dynamiq_operator.plan.rows.retention import Handover

WITHIN = 30.0
"""Seconds for one answer, which comes after the commit."""
READ_WITHIN = 5.0
"""Seconds for an archived row or flow: the reconcile of its App waits for it."""
PAUSES = Pauses(first=30.0, most=480.0, patience=4)
ACKNOWLEDGED_FOR = 300.0
"""Seconds for which an acknowledged row may be deleted: later the recorder's store may be one that was restored from a backup."""
AWAY_FOR = 15.0
"""Seconds without requests, for any App, after the recorder did not answer. Thousands may wait, and each keeps a worker."""
AT_ONCE, OF_NAMESPACE = 2, 1
"""Apps whose rows are handed over at a time: in all, and in one namespace."""
BYTES_MOST = 4 * 1024 * 1024
"""Bytes of rows and flows from which on the next row begins another request. The recorder takes 8 MiB; the largest row needs 5.3 MiB."""
READ_MOST = 8 * 1024 * 1024
"""Bytes of an archived row or flow."""
ANSWER_MOST = 256 * 1024
MESSAGE_MOST = 200
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]  # one without a zone cannot be compared with the time

log = logging.getLogger(__name__)


class _Acknowledgement(msgspec.Struct, frozen=True):
    """An archived row. `archived_at`: None from a recorder that does not send it yet."""

    uid: str
    digest: str | None
    outcome_digest: str
    archived_at: _Moment | None = None


class _Key(msgspec.Struct, frozen=True):
    uid: str
    archived_at: _Moment | None = None


class _Refused(msgspec.Struct, frozen=True):
    uid: str
    says: str


class _Result(msgspec.Struct, frozen=True):
    archived: list[_Acknowledgement]
    refused: list[_Refused]


class _HandedOver(msgspec.Struct, frozen=True):
    data: _Result


class _Keys(msgspec.Struct, frozen=True):
    data: list[_Key]


_HANDED_OVER, _KEYS = msgspec.json.Decoder(_HandedOver), msgspec.json.Decoder(_Keys)


@dataclass
class _Progress:
    """The rows of one hand-over that the recorder has, with those known before. `taken`: as in KeptArchive."""

    stored: dict[str, datetime | None]
    taken: dict[str, float] = field(default_factory=dict)


@dataclass
class KeptArchive(Kept):
    """The archive's answers for one App. `taken`: by uid, the monotonic time from which a row counts as acknowledged."""

    answers: ArchiveAnswers = field(default_factory=ArchiveAnswers)
    taken: dict[str, float] = field(default_factory=dict)


class ArchiveWriter(RecorderReader):
    """A background writer and reader of archived rows."""

    def __init__(
        self,
        client: Client,
        requeue: Callable[[AppKey], None],
        access: RecorderAccess | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(requeue, (AT_ONCE, OF_NAMESPACE), PAUSES, access, clock)
        self._client, self._away, self._away_until = client, "", 0.0
        """`_away`: why the recorder did not answer last. `_away_until`: when it is asked again."""

    def known(self, kept: KeptArchive) -> ArchiveAnswers:
        """Returns the archive's answers, without expired acknowledgements."""
        if kept.taken:
            now = self._clock()
            kept.taken = {uid: since for uid, since in kept.taken.items() if now - since < ACKNOWLEDGED_FOR}
            kept.answers = replace(kept.answers, acknowledged=kept.answers.acknowledged & kept.taken.keys())
        return kept.answers

    def schedule(self, app: AppKey, app_uid: str, kept: KeptArchive, handover: Handover) -> None:
        """Starts to hand over the rows without an acknowledgement. Drops the answers about rows that are no longer handed over."""
        if kept.task is not None:
            return
        awaited, answers, leaving = {row.uid for row in handover.to_acknowledge}, kept.answers, {row.uid for row in handover.rows}
        # Without access nothing is handed over, and the App's status has the reason.
        problem = answers.problem if self._access is not None else NO_ACCESS
        kept.answers = replace(
            answers,
            acknowledged=answers.acknowledged & awaited,
            stored={uid: since for uid, since in answers.stored.items() if uid in leaving},
            problem=problem if awaited else "",
        )
        unacknowledged = [row for row in handover.to_acknowledge if row.uid not in kept.answers.acknowledged]
        if unacknowledged and self._access is not None:
            self._schedule(app, kept, partial(self._hand_over, app, app_uid, kept, unacknowledged))
        else:
            kept.unschedule()

    async def read(self, app_uid: str, kept: KeptArchive, names_: Iterable[str], hashes: Iterable[str]) -> str:
        """Reads archived rows by name and archived flows by hash, and keeps only those. Returns why some cannot be read; empty if all can."""
        row_names, answers, problem = list(names_), kept.answers, ""
        rows = {name: answers.rows[name] for name in row_names if name in answers.rows}
        texts = {*hashes, *_flows_of(rows)}
        flows = {each: answers.flows[each] for each in texts if each in answers.flows}
        try:
            for name in row_names:
                if name not in rows and (row := await self._archived_row(app_uid, name)) is not None:
                    rows[name] = row
            for each in sorted({*texts, *_flows_of(rows)} - set(flows)):
                if (text := await self._archived_flow(app_uid, each)) is not None:
                    flows[each] = text
        except RecorderError as error:
            self._note(error)
            problem = f"the archive cannot be read: {error}"
        kept.answers = replace(kept.answers, rows=rows, flows=flows)
        return problem

    async def _archived_row(self, app_uid: str, name: str) -> Row | None:
        """Returns an archived row; None if the archive has none of this name. Raises RecorderError if it is unreadable."""
        data = await self._get(app_uid, f"rows/{quote(name, safe='')}")
        if data is None:
            return None
        try:
            # A row from before a restore has another owner. It was read by this App's uid, so it is this App's.
            raw = {**data, "metadata": {**data["metadata"], "ownerReferences": []}}
            row = read(Row, raw) if chain.fits_alone(data["spec"]) else None
        except (KeyError, TypeError, AttributeError):
            row = None
        if not isinstance(row, Row) or row.name != name:
            raise RecorderError(f"what it says of row {name} cannot be read, or does not have its digests")
        return row

    async def _archived_flow(self, app_uid: str, digest: str) -> str | None:
        data = await self._get(app_uid, f"flows/{digest}")
        text = data.get("flow") if isinstance(data, dict) else None
        return text if isinstance(text, str) and flow_hash(text) == digest else None

    async def _get(self, app_uid: str, path: str, decode: Callable[[bytes], Any] = lambda body: orjson.loads(body)["data"]) -> Any:
        """Returns the data of an answer; None for status 404. Raises RecorderError."""
        self._require_no_absence()
        try:
            return await self._call(f"{app_uid}/archive/{path}", decode, READ_WITHIN, READ_MOST)
        except RecorderError as error:
            if error.status == 404:
                return None
            raise

    def _note(self, error: RecorderError) -> None:
        """Notes that the recorder did not answer: for a while no request is sent."""
        if error.is_away:
            self._away, self._away_until = str(error), self._clock() + AWAY_FOR

    def _require_no_absence(self) -> None:
        """Raises RecorderError if the recorder did not answer lately."""
        if self._clock() < self._away_until:
            raise RecorderError(self._away)

    async def _hand_over(self, app: AppKey, app_uid: str, kept: KeptArchive, rows: Sequence[LedgerRow]) -> bool:
        progress, problem = _Progress(dict(kept.answers.stored)), ""
        try:
            async with self._slots.one_of(app[0]):
                if unknown := {row.uid: row.sequence for row in rows if row.uid not in progress.stored}:
                    progress.stored |= await self._stored(app_uid, unknown)
                unsent = [row for row in rows if row.uid not in unknown or row.uid not in progress.stored]
                await self._send_all(app, app_uid, unsent, progress)
        except RecorderError as error:
            self._note(error)
            problem = str(error)
            log.warning("App %s/%s: rows are not archived: %s", *app, problem)
        except errors.ApiError as error:
            problem = "a row or its flow cannot be read"
            log.warning("App %s/%s: rows are not archived, since one, or its flow, cannot be read: %s", *app, error)
        kept.taken |= progress.taken
        acknowledged = kept.answers.acknowledged | progress.taken.keys()
        kept.answers = replace(kept.answers, acknowledged=acknowledged, stored=progress.stored, problem=problem)
        return not problem

    async def _stored(self, app_uid: str, sequences: Mapping[str, int]) -> dict[str, datetime | None]:
        """Returns since when the archive has rows, by uid, without those that it lacks. Raises RecorderError."""
        keys = await self._get(app_uid, f"keys?from={min(sequences.values())}", lambda body: _KEYS.decode(body).data)
        return {key.uid: key.archived_at for key in keys or () if key.uid in sequences}

    async def _send_all(self, app: AppKey, app_uid: str, rows: Sequence[LedgerRow], progress: _Progress) -> None:
        """Sends rows in batches, noting answers in `progress`. Raises RecorderError at the first refusal, and errors.ApiError."""
        self._require_no_absence()
        batch, flows, size = list[Manifest](), dict[str, str | None](), 0
        for ledger_row in rows:
            row = await self._row(app[0], ledger_row)
            if row is None:
                continue
            flow = await self._flow(app, row, flows)
            if batch and size + _length(row, flow, flows) > BYTES_MOST:
                await self._send(app_uid, batch, flows, progress)
                batch, flows, size = [], {}, 0
            size += _length(row, flow, flows)
            batch.append(row)
            flows |= flow
        if batch:
            await self._send(app_uid, batch, flows, progress)

    async def _row(self, namespace: str, ledger_row: LedgerRow) -> Manifest | None:
        try:
            raw = await self._client.get(ROWS, namespace, ledger_row.name)
        except errors.NotFound:
            return None
        return raw if raw["metadata"]["uid"] == ledger_row.uid else None

    async def _flow(self, app: AppKey, row: Manifest, known: Mapping[str, str | None]) -> dict[str, str | None]:
        """Returns a row's flow by its hash, from `known` if it is there; its text is None if no object has it. Raises errors.ApiError."""
        pinned = row["spec"].get("pinned") or {}
        digest = pinned.get("workflowHash")
        if digest is None:
            return {}
        if digest in known:
            return {digest: known[digest]}
        version = names.workflow_version(pinned["workflow"], pinned["workflowVersion"])
        return {digest: await read_flow(self._client, app, digest, version)}

    async def _send(self, app_uid: str, batch: Sequence[Manifest], flows: Mapping[str, str | None], progress: _Progress) -> None:
        began, body = self._clock(), {"rows": batch, "flows": flows}
        result = (await self._call(f"{app_uid}/archive", _HANDED_OVER.decode, WITHIN, ANSWER_MOST, body=body)).data
        sent = {row["metadata"]["uid"]: row for row in batch}
        for acknowledgement in result.archived:
            if acknowledgement.uid in sent and _is_of(acknowledgement, sent[acknowledgement.uid]["spec"]):
                progress.taken[acknowledgement.uid], progress.stored[acknowledgement.uid] = began, acknowledgement.archived_at
        for refusal in result.refused:
            if refusal.uid in sent:
                raise RecorderError(f"row {sent[refusal.uid]['metadata']['name']} is refused: {_shown(refusal.says)}")
        if missing := [row["metadata"]["name"] for row in batch if row["metadata"]["uid"] not in progress.taken]:
            raise RecorderError(f"row {missing[0]} was not acknowledged by its digests")


def _flows_of(rows: Mapping[str, Row]) -> Iterator[str]:
    return (row.pinned.workflow_hash for row in rows.values() if row.pinned is not None)


def _length(row: Manifest, flow: Mapping[str, str | None], known: Container[str]) -> int:
    """Returns the bytes that a row adds to a body that has the flows in `known`."""
    return len(orjson.dumps(row)) + sum(len(orjson.dumps(text)) for digest, text in flow.items() if digest not in known)


def _is_of(acknowledgement: _Acknowledgement, spec: Mapping[str, Any]) -> bool:
    digest = (spec.get("pinned") or {}).get("digest")
    return (acknowledgement.digest, acknowledgement.outcome_digest) == (digest, (spec.get("outcome") or {}).get("digest"))


def _shown(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text[:MESSAGE_MOST])
