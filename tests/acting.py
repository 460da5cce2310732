"""Actions as somebody does them: a client of their protocol over the tests' plain requests, in anybody's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import PLAIN
from tests.harness import Api, Manifest


@dataclass(frozen=True)
class Acting:
    """Sends what actions ask in the name that `api` acts in."""

    api: Api

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        content_type: str = PLAIN,
        accept: str = PLAIN,
    ) -> Manifest:
        texts = {name: str(value) for name, value in (query or {}).items()}
        answer = self.api.request(method, path, body, content_type, query=texts, accept=accept)
        if not answer.ok:
            raise errors.from_status(answer.status, str(answer.body.get("reason", "")), answer.message)
        return answer.body
