"""The node types that a flow may have here."""

from __future__ import annotations

from fastapi import APIRouter

from dynamiq_operator.model.engines import NODE_TYPES
from dynamiq_operator.rest import answers
from dynamiq_operator.rest.documented import answers as documented
from dynamiq_operator.rest.pages import PagingOf
from dynamiq_operator.rest.problems import Json

router = APIRouter(prefix="/v1/agent-builder", tags=["workflows"])


@router.get("/nodes", responses=documented(answers.Many[answers.NodeType], 422))
def node_types(paging: PagingOf) -> Json:
    """The node types that the runtime's engine runs: a flow of others does not go Live."""
    return paging.of(NODE_TYPES, lambda name: {"type": name, "name": name.rpartition(".")[2]})
