"""Responses for kinds of which this cluster has none, in the form that clients read."""

from __future__ import annotations

from dynamiq_operator.rest.http.models import Id, ResponseModel
from dynamiq_operator.rest.parts.responses import AccessResponse


class ResourceProfile(ResponseModel):
    """A size of machine that the product rents out."""

    id: Id
    name: str
    description: str


class Service(ResponseModel):
    """A container that the product runs beside Apps."""

    id: Id
    name: str
    category: str
    hostname: str
    access_control: AccessResponse
