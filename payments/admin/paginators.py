"""The paginator of the lists: it never counts a whole table."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.paginator import Paginator
from django.db.models import QuerySet

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator


class LimitedPaginator(_Paginator):
    """Count up to `limit` rows and page through those; `is_limited` says that there are more.

    Counting a table of millions takes a database seconds on every page, to tell an operator a number that nobody
    pages through. Who looks for an older row searches or filters.
    """

    limit: ClassVar[int] = 2_000

    @cached_property
    def count(self) -> int:
        """The number of rows, at most `limit`."""
        return min(self._counted, self.limit)

    @property
    def is_limited(self) -> bool:
        """Whether there are more rows than can be paged through."""
        return self._counted > self.limit

    @cached_property
    def _counted(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return rows.order_by()[: self.limit + 1].count()
        return len(rows)
