"""Reads the text of a flow by its hash, from its ConfigMap or its WorkflowVersion. It keeps none."""

from __future__ import annotations

from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.desired.base import CONFIG_MAP
from dynamiq_operator.desired.flow import FLOW_KEY
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import BY_KIND, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.digests import flow_hash


async def read_flow(client: Client, app: AppKey, digest: str, version: str | None, *, is_kept: bool = True) -> str | None:
    """Returns the flow of a hash; None if no object has it. `version`: the name of its WorkflowVersion; None if there is none.

    `is_kept`: False if it has no ConfigMap. Raises errors.ApiError.
    """
    places = [(BY_KIND[CONFIG_MAP.kind], names.flow(app[1], digest), "data", FLOW_KEY)] if is_kept else []
    places += [(VERSIONS, version, "spec", "flow")] if version is not None else []
    for resource, name, part, key in places:
        try:
            raw = await client.get(resource, app[0], name)
        except errors.NotFound:
            continue
        text = (raw.get(part) or {}).get(key)
        if isinstance(text, str) and flow_hash(text) == digest:
            return text
    return None
