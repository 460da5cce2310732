"""Hands rows that retention is about to let go to the recorder's archive, while nobody waits for it: an acknowledgement requeues the App. It reads
those that are brought back, too.

A row counts as archived once the recorder has named its uid with both digests that were sent. What it refuses, and what it does not answer,
is not archived, and so stays where it is. What was acknowledged is kept in memory alone, and for a few minutes: sent again, it is acknowledged again.
Since when the archive has a row is asked for once: until a row has rested for long enough it is not sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic
from typing import Annotated, Any
from urllib.parse import quote

import aiohttp
import msgspec
import orjson

from dynamiq_operator.controller.background import Background, body_of
from dynamiq_operator.controller.cache import AppKey
from dynamiq_operator.controller.recorder_access import RecorderAccess
from dynamiq_operator.desired.base import CONFIG_MAP
from dynamiq_operator.desired.flow import FLOW_KEY
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import BY_KIND, RECORDS, VERSIONS
from dynamiq_operator.kube.trust import trust_of
from dynamiq_operator.model import chain, names
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.objects import Manifest, Record, read
from dynamiq_operator.plan.history.ledger import LedgerRow
from dynamiq_operator.plan.observed.archive import Archive
from dynamiq_operator.plan.records.retention import Handover

WITHIN = 30.0
"""Seconds for one answer, which comes after the commit."""
READ_WITHIN = 5.0
"""Seconds for a row or a flow that is brought back: the reconcile of its App waits for it."""
AGAIN_AFTER, AGAIN_MOST = 30.0, 480.0
"""Seconds after which what was not acknowledged is sent again, and the most that they become: twice as many after each `PATIENCE` times in vain."""
PATIENCE = 4
ACKNOWLEDGED_FOR = 300.0
"""Seconds for which what was acknowledged may leave the cluster: later the recorder's store may be one that was brought back from a backup."""
AWAY_FOR = 15.0
"""Seconds for which nothing is sent or asked, of whichever App, once the recorder did not answer: thousands may wait for it, and each keeps a worker."""
AT_ONCE, OF_NAMESPACE = 2, 1
"""Apps whose rows are handed over at a time, and those of one namespace."""
BYTES_MOST = 4 * 1024 * 1024
"""Bytes of rows and flows, as they are sent, from which on the next row begins another request. The recorder takes 8 MiB, which no row with its flow has:
of 900 KiB of control characters JSON makes 5.3 MiB."""
READ_MOST = 8 * 1024 * 1024
"""Bytes of a row or a flow that is brought back."""
ANSWER_MOST = 256 * 1024
SAID_MOST = 200
UNREADABLE = "what the recorder says cannot be read"
NO_ACCESS = "the operator was told of no recorder, or has no token for it"
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]  # one without a zone cannot be compared with the time

log = logging.getLogger(__name__)


class _NotArchivedError(Exception):
    """The message says why, in words that are the same each time."""


class _NoAnswerError(_NotArchivedError):
    """The recorder is away, or takes nothing from this operator, of whichever App."""


class _Taken(msgspec.Struct, frozen=True):
    """`archived_at`: None from a recorder that does not say it yet."""

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


class _Said(msgspec.Struct, frozen=True):
    archived: list[_Taken]
    refused: list[_Refused]


class _Answer(msgspec.Struct, frozen=True):
    data: _Said


_DECODER = msgspec.json.Decoder(_Answer)


@dataclass
class _Heard:
    """What the recorder has said of rows in one hand-over, with what was known before. `taken`: as of Archiving."""

    stored: dict[str, datetime | None]
    taken: dict[str, float] = field(default_factory=dict)


@dataclass
class Archiving:
    """What is known of one App's archive. `taken`: by uid, since when a row counts as acknowledged, by the monotonic clock.

    `not_before`: the monotonic time before which nothing is sent, since it was in vain, `failures` times.
    """

    said: Archive = field(default_factory=Archive)
    taken: dict[str, float] = field(default_factory=dict)
    not_before: float = 0.0
    failures: int = 0
    is_sending: bool = False
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class ArchiveWriter(Background):
    """Without `access` it hands nothing over, and says so. Use it as an async context manager. `requeue`: called with an App of which there is news."""

    def __init__(
        self,
        client: Client,
        requeue: Callable[[AppKey], None],
        access: RecorderAccess | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._client, self._requeue, self._access, self._clock = client, requeue, access, clock
        self._away, self._away_until = "", 0.0
        """Why the recorder did not answer last, and until when it is not asked again for that."""
        super().__init__(AT_ONCE, OF_NAMESPACE)

    def known(self, archiving: Archiving) -> Archive:
        """What the archive has said, without acknowledgements of long ago."""
        if archiving.taken:
            now = self._clock()
            archiving.taken = {uid: since for uid, since in archiving.taken.items() if now - since < ACKNOWLEDGED_FOR}
            archiving.said = replace(archiving.said, acknowledged=archiving.said.acknowledged & archiving.taken.keys())
        return archiving.said

    def schedule(self, app: AppKey, app_uid: str, archiving: Archiving, handover: Handover) -> None:
        """Begins to hand over the rows that the archive has to acknowledge, and has not yet. What is not handed over any more is forgotten."""
        if archiving.is_sending:
            return
        asked, said, there = {row.uid for row in handover.asked}, archiving.said, {row.uid for row in handover.rows}
        problem = said.problem if self._access is not None else NO_ACCESS
        archiving.said = replace(
            said,
            acknowledged=said.acknowledged & asked,
            stored={uid: since for uid, since in said.stored.items() if uid in there},
            problem=problem if asked else "",
        )
        left = [row for row in handover.asked if row.uid not in archiving.said.acknowledged]
        if not left or self._is_closed or self._access is None:
            return
        if (wait := archiving.not_before - self._clock()) > 0:
            if archiving.timer is not None:
                archiving.timer.cancel()
            archiving.timer = asyncio.get_running_loop().call_later(wait, self._requeue, app)
            return
        archiving.is_sending = True
        self._start(self._hand_over(app, app_uid, archiving, left, self._access))

    async def bring_back(self, app_uid: str, archiving: Archiving, names_: Iterable[str], hashes: Iterable[str]) -> str:
        """Reads the rows of these names, and the flows of these hashes, that the archive has, and keeps those alone. Why some can't be read; or empty."""
        wanted, said, problem = list(names_), archiving.said, ""
        rows = {name: said.rows[name] for name in wanted if name in said.rows}
        texts = {*hashes, *_flows_of(rows)}
        flows = {each: said.flows[each] for each in texts if each in said.flows}
        try:
            for name in wanted:
                if name not in rows and (found := await self._archived_row(app_uid, name)) is not None:
                    rows[name] = found
            for each in sorted({*texts, *_flows_of(rows)} - set(flows)):
                if (text := await self._archived_flow(app_uid, each)) is not None:
                    flows[each] = text
        except _NotArchivedError as error:
            self._note(error)
            problem = f"the archive cannot be read: {error}"
        archiving.said = replace(archiving.said, rows=rows, flows=flows)
        return problem

    async def _archived_row(self, app_uid: str, name: str) -> Record | None:
        """None where there is none, or one that this version cannot read. It is this App's, whatever owner it had before a restore."""
        found = await self._get(app_uid, f"rows/{quote(name, safe='')}")
        if found is None:
            return None
        try:
            raw = {**found, "metadata": {**found["metadata"], "ownerReferences": []}}
            record = read(Record, raw) if chain.fits_alone(found["spec"]) else None
        except (KeyError, TypeError, AttributeError):
            record = None
        if not isinstance(record, Record) or record.name != name:
            raise _NotArchivedError(f"what it says of row {name} cannot be read, or does not have its digests")
        return record

    async def _archived_flow(self, app_uid: str, wanted: str) -> str | None:
        found = await self._get(app_uid, f"flows/{wanted}")
        text = found.get("flow") if isinstance(found, dict) else None
        return text if isinstance(text, str) and flow_hash(text) == wanted else None

    async def _get(self, app_uid: str, path: str) -> Any:
        """The data of an answer; None where there is no such thing. Raises _NotArchivedError."""
        if self._access is None:
            raise _NotArchivedError(NO_ACCESS)
        self._require_no_absence()
        url, within = f"{self._access.url}/v1/apps/{app_uid}/archive/{path}", aiohttp.ClientTimeout(total=READ_WITHIN)
        try:
            async with self._opened(self._access).get(
                url, headers=_headers(self._access), allow_redirects=False, timeout=within
            ) as response:
                if response.status == 404:
                    return None
                _require_success(response.status)
                return orjson.loads(await body_of(response, READ_MOST))["data"]
        except TimeoutError:
            raise _NoAnswerError(f"the recorder takes longer than {READ_WITHIN:.0f} s") from None
        except (aiohttp.ClientError, OSError):
            raise _NoAnswerError("the recorder cannot be reached") from None
        except (ValueError, KeyError, TypeError):
            raise _NotArchivedError(UNREADABLE) from None

    def _note(self, error: _NotArchivedError) -> None:
        """Notes where the recorder did not answer: for a while nothing else is asked of it."""
        if isinstance(error, _NoAnswerError):
            self._away, self._away_until = str(error), self._clock() + AWAY_FOR

    def _require_no_absence(self) -> None:
        """Raises _NotArchivedError where the recorder did not answer lately."""
        if self._clock() < self._away_until:
            raise _NotArchivedError(self._away)

    async def _hand_over(self, app: AppKey, app_uid: str, archiving: Archiving, rows: Sequence[LedgerRow], access: RecorderAccess) -> None:
        heard, problem = _Heard(dict(archiving.said.stored)), ""
        try:
            async with self._slots.one_of(app[0]):
                if unknown := {row.uid: row.sequence for row in rows if row.uid not in heard.stored}:
                    heard.stored |= await self._stored(app_uid, unknown)
                left = [row for row in rows if row.uid not in unknown or row.uid not in heard.stored]
                await self._send_all(app, app_uid, left, access, heard)
        except _NotArchivedError as error:
            self._note(error)
            problem = str(error)
            log.warning("App %s/%s: rows are not archived: %s", *app, problem)
        except errors.ApiError as error:
            problem = "a row or its flow cannot be read"
            log.warning("App %s/%s: rows are not archived, since one, or its flow, cannot be read: %s", *app, error)
        finally:
            archiving.is_sending = False
        archiving.taken |= heard.taken
        acknowledged = archiving.said.acknowledged | heard.taken.keys()
        archiving.said = replace(archiving.said, acknowledged=acknowledged, stored=heard.stored, problem=problem)
        archiving.failures = archiving.failures + 1 if problem else 0
        archiving.not_before = self._clock() + min(AGAIN_AFTER * 2 ** (archiving.failures // PATIENCE), AGAIN_MOST) if problem else 0.0
        self._requeue(app)

    async def _stored(self, app_uid: str, sequences: Mapping[str, int]) -> dict[str, datetime | None]:
        """Asks since when the archive has rows, by their uids; those that it has not are not in it. Raises _NotArchivedError."""
        found = await self._get(app_uid, f"keys?from={min(sequences.values())}")
        try:
            keys = msgspec.convert(found or [], list[_Key])
        except msgspec.ValidationError:
            raise _NotArchivedError(UNREADABLE) from None
        return {key.uid: key.archived_at for key in keys if key.uid in sequences}

    async def _send_all(self, app: AppKey, app_uid: str, rows: Sequence[LedgerRow], access: RecorderAccess, heard: _Heard) -> None:
        """Raises _NotArchivedError at the first that is refused, and errors.ApiError; `heard` has those of before."""
        self._require_no_absence()
        batch, flows, size = list[Manifest](), dict[str, str | None](), 0
        for wanted in rows:
            row = await self._row(app[0], wanted)
            if row is None:
                continue
            flow = await self._flow(app, row, flows)
            if batch and size + _length(row, flow, flows) > BYTES_MOST:
                await self._send(app_uid, batch, flows, access, heard)
                batch, flows, size = [], {}, 0
            size += _length(row, flow, flows)
            batch.append(row)
            flows |= flow
        if batch:
            await self._send(app_uid, batch, flows, access, heard)

    async def _row(self, namespace: str, wanted: LedgerRow) -> Manifest | None:
        """The row whole; None where it is gone."""
        try:
            found = await self._client.get(RECORDS, namespace, wanted.name)
        except errors.NotFound:
            return None
        return found if found["metadata"]["uid"] == wanted.uid else None

    async def _flow(self, app: AppKey, row: Manifest, known: Mapping[str, str | None]) -> dict[str, str | None]:
        """The flow that a row names, by its hash, None where it is nowhere; as it is known, where it is. Raises errors.ApiError."""
        pinned = row["spec"].get("pinned") or {}
        wanted = pinned.get("workflowHash")
        if wanted is None:
            return {}
        if wanted in known:
            return {wanted: known[wanted]}
        for resource, name, part, key in (
            (BY_KIND[CONFIG_MAP.kind], names.flow(app[1], wanted), "data", FLOW_KEY),
            (VERSIONS, names.workflow_version(pinned["workflow"], pinned["workflowVersion"]), "spec", "flow"),
        ):
            try:
                found = await self._client.get(resource, app[0], name)
            except errors.NotFound:
                continue
            text = (found.get(part) or {}).get(key)
            if isinstance(text, str) and flow_hash(text) == wanted:
                return {wanted: text}
        return {wanted: None}

    async def _send(
        self, app_uid: str, batch: Sequence[Manifest], flows: Mapping[str, str | None], access: RecorderAccess, heard: _Heard
    ) -> None:
        began = self._clock()
        said = await self._answer(f"{access.url}/v1/apps/{app_uid}/archive", {"rows": batch, "flows": flows}, access)
        sent = {row["metadata"]["uid"]: row for row in batch}
        for each in said.archived:
            if each.uid in sent and _is_of(each, sent[each.uid]["spec"]):
                heard.taken[each.uid], heard.stored[each.uid] = began, each.archived_at
        for refusal in said.refused:
            if refusal.uid in sent:
                raise _NotArchivedError(f"row {sent[refusal.uid]['metadata']['name']} is refused: {_shown(refusal.says)}")
        if missing := next(_names_of_others(batch, heard.taken), None):
            raise _NotArchivedError(f"row {missing} was not acknowledged by its digests")

    async def _answer(self, url: str, body: Mapping[str, Any], access: RecorderAccess) -> _Said:
        """Raises _NotArchivedError."""
        headers = {**_headers(access), "Content-Type": "application/json"}
        try:
            async with self._opened(access).post(url, data=orjson.dumps(body), headers=headers, allow_redirects=False) as response:
                _require_success(response.status)
                return _DECODER.decode(await body_of(response, ANSWER_MOST)).data
        except TimeoutError:
            raise _NoAnswerError(f"the recorder takes longer than {WITHIN:.0f} s") from None
        except (aiohttp.ClientError, OSError):
            raise _NoAnswerError("the recorder cannot be reached") from None
        except (ValueError, msgspec.MsgspecError):
            raise _NotArchivedError(UNREADABLE) from None

    def _opened(self, access: RecorderAccess) -> aiohttp.ClientSession:
        """The session, from the first row on."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=AT_ONCE, ssl=trust_of(access.url, access.ca)),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=WITHIN),
            )
        return self._session


def _headers(access: RecorderAccess) -> dict[str, str]:
    """Raises _NotArchivedError."""
    try:
        token = access.token_file.read_text().strip()
    except (OSError, ValueError):
        raise _NoAnswerError("the operator has no token for the recorder") from None
    return {"Accept": "application/json", "Authorization": f"Bearer {token}"}


def _require_success(status: int) -> None:
    """Raises _NotArchivedError."""
    if status != 200:
        is_of_all = status in (401, 403) or status >= 500
        raise (_NoAnswerError if is_of_all else _NotArchivedError)(f"the recorder answers with status {status}")


def _flows_of(rows: Mapping[str, Record]) -> Iterator[str]:
    return (row.pinned.workflow_hash for row in rows.values() if row.pinned is not None)


def _length(row: Manifest, flow: Mapping[str, str | None], there: Container[str]) -> int:
    """Bytes that a row adds to a body that has these flows already."""
    return len(orjson.dumps(row)) + sum(len(orjson.dumps(text)) for wanted, text in flow.items() if wanted not in there)


def _is_of(taken: _Taken, spec: Mapping[str, Any]) -> bool:
    """Whether what was acknowledged is the row that was sent."""
    digest = (spec.get("pinned") or {}).get("digest")
    return (taken.digest, taken.outcome_digest) == (digest, (spec.get("outcome") or {}).get("digest"))


def _names_of_others(batch: Sequence[Manifest], acknowledged: Container[str]) -> Iterator[str]:
    return (row["metadata"]["name"] for row in batch if row["metadata"]["uid"] not in acknowledged)


def _shown(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text[:SAID_MOST])
