"""Paginates lists as the contract defines it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel

from dynamiq_operator.rest.http.models import Pagination
from dynamiq_operator.serving.encoding import Json

PAGE_SIZE = 25
PAGE_SIZE_MAX = 500
PAGE_MAX = 2**31 - 1

_Item = TypeVar("_Item")
Sort = Literal["created_at", "-created_at"]


class Paging(BaseModel):
    """The page and the order of a request."""

    page: int = 1
    page_size: int = PAGE_SIZE
    sort: Sort = "-created_at"

    def of(self, newest_first: Sequence[_Item], serialize: Callable[[_Item], Any], **more: Any) -> Json:
        """Returns the response. `serialize` is called only for the items of the page; `more` are fields beside the list."""
        return self.answer(self.shown(newest_first), len(newest_first), serialize, **more)

    def shown(self, newest_first: Sequence[_Item]) -> Sequence[_Item]:
        """Returns the items of the page."""
        ordered = newest_first if self.sort == "-created_at" else newest_first[::-1]
        return ordered[self.begin : self.begin + self.page_size]

    @property
    def begin(self) -> int:
        """The number of items before the page."""
        return (self.page - 1) * self.page_size

    def answer(self, items: Sequence[_Item], total: int, serialize: Callable[[_Item], Any], **more: Any) -> Json:
        """Returns the response with the items of this page, of `total` in all."""
        pages = -(-total // self.page_size)
        pagination = Pagination(page=self.page, page_size=self.page_size, page_count=pages, total_count=total)
        return Json({"data": [serialize(item) for item in items], "pagination": pagination, **more})


def newest(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns objects sorted newest first; those of the same second by name."""
    return sorted(items, key=lambda item: (item["metadata"]["creationTimestamp"], item["metadata"]["name"]), reverse=True)


PageOf = Annotated[int, Query(ge=1, le=PAGE_MAX, description="From 1.")]
PageSizeOf = Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX, description="Items of a page, at most 500.")]


async def _paging(
    page: PageOf = 1,
    page_size: PageSizeOf = PAGE_SIZE,
    sort: Annotated[Sort, Query(description="`created_at` oldest first, `-created_at` newest first.")] = "-created_at",
) -> Paging:
    return Paging.model_construct(page=page, page_size=page_size, sort=sort)


PagingOf = Annotated[Paging, Depends(_paging)]
