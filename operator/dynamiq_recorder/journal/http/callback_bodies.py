"""Defines and checks the bodies of callbacks. It reads none."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated

import msgspec

from dynamiq_operator.serving.problems import HttpProblem, invalid_field
from dynamiq_recorder.journal import callback
from dynamiq_recorder.journal.callback import Delivery
from dynamiq_recorder.journal.model import NewCallback
from dynamiq_recorder.store.texts import clean

CLAIM_MOST, RESULTS_MOST = 20, 100
"""Most callbacks of one claim, and most results of one request."""
NULL = b"null"
Name = Annotated[str, msgspec.Meta(max_length=256)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class CallbackBody(msgspec.Struct, frozen=True):
    """A callback of a new run, whose parts its pod has checked, too."""

    url: str
    token: Annotated[str, msgspec.Meta(pattern=f"^[!-~]{{1,{callback.TOKEN_MAX}}}\\Z")] | None = None
    metadata: msgspec.Raw = msgspec.Raw(NULL)

    def callback(self, n: int) -> NewCallback:
        """Raises HttpProblem 422."""
        metadata = bytes(self.metadata)
        if metadata != NULL and not (metadata.startswith(b"{") and len(metadata) <= callback.METADATA_MAX):
            raise invalid_field(f"callbacks.{n}.metadata", f"must be an object of at most {callback.METADATA_MAX} bytes")
        return NewCallback(self.url, self.token, metadata if metadata != NULL else None)


class CallbackClaimBody(msgspec.Struct, frozen=True):
    """The body of a claim of callbacks."""

    instance: Name
    free: Annotated[int, msgspec.Meta(ge=1, le=CLAIM_MOST)]


class DeliveryBody(msgspec.Struct, frozen=True):
    """The result of one try of a callback. `retry_after`: seconds for which its receiver asked."""

    run_id: str
    n: Count
    number: Count = msgspec.field(name="try")
    status: Annotated[int, msgspec.Meta(ge=0, le=999)] | None = None
    error: str | None = None
    retry_after: Annotated[float, msgspec.Meta(ge=0)] | None = None

    def delivery(self) -> Delivery:
        return Delivery(
            self.run_id, self.n, self.number, self.status, clean(self.error) if self.error is not None else None, self.retry_after
        )


class DeliveriesBody(msgspec.Struct, frozen=True):
    """The body of results of callbacks."""

    instance: Name
    results: Annotated[list[DeliveryBody], msgspec.Meta(max_length=RESULTS_MOST)]


class AgainBody(msgspec.Struct, frozen=True):
    """The body by which callbacks are sent again, which may be left out: then all are."""

    n: Count | None = None


def check_urls(urls: Iterable[str], hosts: Collection[str]) -> None:
    """Raises HttpProblem 400 for URLs of callbacks where none may go. It quotes none."""
    found = {f"callbacks.{n}.url": callback.problem(url, hosts) for n, url in enumerate(urls)}
    if wrong := {field: problem for field, problem in found.items() if problem is not None}:
        raise HttpProblem(400, "; ".join(f"{field}: {problem}" for field, problem in wrong.items()), wrong)
