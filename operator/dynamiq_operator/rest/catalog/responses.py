"""Responses for kinds of which this cluster has none, in the form that clients read, for the OpenAPI document."""

from __future__ import annotations

from dynamiq_operator.rest.http.models import Id, ResponseModel, example
from dynamiq_operator.rest.shared.responses import Access


class ResourceProfile(ResponseModel):
    """A size of machine that the product rents out."""

    model_config = example(id="0b0c6a52-3c58-4d1e-8a57-2f0f4f3f5f11", name="small", description="1 CPU and 2 GiB")

    id: Id
    name: str
    description: str


class Service(ResponseModel):
    """A container that the product runs beside Apps."""

    model_config = example(
        id="a4f7c7f2-5d0b-4b1a-9a37-0d1f6f9f2c55",
        name="search",
        category="service",
        hostname="search.demo.example.com",
        access_control={"access_type": "private"},
    )

    id: Id
    name: str
    category: str
    hostname: str
    access_control: Access
