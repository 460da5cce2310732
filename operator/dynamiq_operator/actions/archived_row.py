"""Adds one archived row, which the cluster no longer has, to the answers of the API server. Rollbacks then read it like any other row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynamiq_operator.desired.base import CONFIG_MAP
from dynamiq_operator.desired.flow import FLOW_KEY
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import PLAIN, Api
from dynamiq_operator.kube.resources import BY_KIND, ROWS
from dynamiq_operator.model import names
from dynamiq_operator.model.manifests import Manifest


class WithArchivedRow:
    """An `Api` that also has the archived row, and the ConfigMap of its flow. `flow`: None if the archive lacks it, or it is unreadable."""

    def __init__(self, api: Api, row: Manifest, flow: str | None) -> None:
        meta, spec = row["metadata"], row["spec"]
        # Without an owner: it may have one of before a restore, and the archive has only rows of this App.
        self.row: Manifest = {**row, "metadata": {**meta, "ownerReferences": []}}
        self._api, self._app, self._rows = api, spec["app"], ROWS.path(meta["namespace"])
        self._archived: dict[str, Manifest] = {ROWS.path(meta["namespace"], meta["name"]): self.row}
        if flow is not None:
            name = names.flow(spec["app"], spec["pinned"]["workflowHash"])
            self._archived[BY_KIND[CONFIG_MAP.kind].path(meta["namespace"], name)] = {"metadata": {"name": name}, "data": {FLOW_KEY: flow}}

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
        """Sends a request as `Api.request` does, and adds the archived objects to the answer."""
        try:
            answer = self._api.request(method, path, query=query, body=body, content_type=content_type, accept=accept)
        except errors.NotFound:
            if method == "GET" and path in self._archived:
                return self._archived[path]
            raise
        is_history = method == "GET" and path == self._rows and (query or {}).get("fieldSelector") == f"spec.app={self._app}"
        if is_history and accept == PLAIN and not answer["metadata"].get("continue"):
            return {**answer, "items": [*(answer["items"] or ()), self.row]}
        return answer
