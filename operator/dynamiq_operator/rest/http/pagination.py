"""Lists: one page of them, in an order, in the contract's shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel

from dynamiq_operator.rest.http.encoding import Json

PAGE_SIZE = 25
PAGE_SIZE_MAX = 500
PAGE_MAX = 2**31 - 1

_Item = TypeVar("_Item")
Sort = Literal["created_at", "-created_at"]


class Paging(BaseModel):
    """Which page of a list, and in which order."""

    page: int = 1
    page_size: int = PAGE_SIZE
    sort: Sort = "-created_at"

    def of(self, newest_first: Sequence[_Item], shape: Callable[[_Item], Any], **more: Any) -> Json:
        """The answer; only what is on the page is shaped. `more` stands beside the list."""
        ordered = newest_first if self.sort == "-created_at" else newest_first[::-1]
        begin = (self.page - 1) * self.page_size
        total = len(ordered)
        pagination = {
            "page": self.page,
            "page_size": self.page_size,
            "page_count": -(-total // self.page_size),
            "total_count": total,
        }
        return Json({"data": [shape(item) for item in ordered[begin : begin + self.page_size]], "pagination": pagination, **more})


def newest(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Objects by their age, the newest first; of two of one second, by name."""
    return sorted(items, key=lambda item: (item["metadata"]["creationTimestamp"], item["metadata"]["name"]), reverse=True)


async def _paging(
    page: Annotated[int, Query(ge=1, le=PAGE_MAX, description="From 1.")] = 1,
    page_size: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX, description="Items of a page, at most 500.")] = PAGE_SIZE,
    sort: Annotated[Sort, Query(description="`created_at` oldest first, `-created_at` newest first.")] = "-created_at",
) -> Paging:
    return Paging.model_construct(page=page, page_size=page_size, sort=sort)


PagingOf = Annotated[Paging, Depends(_paging)]
