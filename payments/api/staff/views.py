"""The base of the operator's views, and lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final

from django.contrib.auth import get_permission_codename
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from payments.api.pagination import NEWEST_FIRST, Order, page_of
from payments.api.parsers import JSONRenderer
from payments.api.serializers import OutputSerializer
from payments.api.staff.filters import Condition, Find, filtered
from payments.api.views import PaymentsView, browsable_renderers
from payments.conf import staff_authentication_classes
from payments.models.base import reading_lists
from payments.services.search import Search
from payments.states import EventSource


class StaffPermission(BasePermission):
    """A permission for active members of staff who have what the view names for the method, and may view its row."""

    code = "permission_denied"

    def __init__(self) -> None:
        self.message = _("This is for members of staff.")

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the request may go on; a method that the view doesn't have is refused later."""
        user: Any = view.actor
        if user is None or not (user.is_active and user.is_staff):
            return False
        method = "GET" if request.method == "HEAD" else str(request.method)
        needed = (
            [view.permissions[method], *getattr(view, "to_view", ())] if method in view.permissions else []
        )
        for permission in needed:
            if not user.has_perm(f"payments.{permission}"):
                self.message = _("This needs the permission payments.%(permission)s.") % {
                    "permission": permission
                }
                return False
        return True


PRIVATE: Final = "view_provider_data"
"""The permission to see what is private to a provider."""


class StaffView(PaymentsView):
    """A view for operators; `permissions` names for each method the permission of `payments` that it needs."""

    source = EventSource.STAFF
    permission_classes = (StaffPermission,)
    permissions: ClassVar[Mapping[str, str]] = {}
    to_view: ClassVar[Sequence[str]] = ()
    """What an action needs besides, which answers with a row: to view that, as in the admin."""

    output: ClassVar[type[OutputSerializer]]

    def authentication_paths(self) -> tuple[str, ...] | None:
        """Return what the settings name for staff."""
        return staff_authentication_classes()

    def get_renderers(self) -> list[BaseRenderer]:
        """Return JSON, and a page for a browser that asks for one."""
        return [JSONRenderer(), *browsable_renderers()]

    def render(self, *rows: Any) -> list[dict[str, Any]]:
        """Return rows as the operator may see them."""
        return [self.writer.to_representation(row) for row in rows]

    @property
    def writer(self) -> OutputSerializer:
        """What writes a row for this operator, whose permissions say what is shown."""
        return self.output.kept(has_perm=self.actor.has_perm)

    def recall(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a stored answer, without what the operator may not see any more."""
        return self.writer.recall(body)

    def answer(self, row: Any, open_operation: str | None = None) -> Response:
        """Return 200 with a row, or 202 with the row and the operation whose outcome isn't known yet."""
        [body] = self.render(row)
        if open_operation is None:
            return Response(body)
        return self.accepted(
            body | {"operation_id": open_operation}, name="staff-operation", key=open_operation
        )


class ListMixin(StaffView):
    """A page of rows; `orders` are the values that the parameter `order` may have."""

    is_list = True
    conditions: ClassVar[Mapping[str, Condition]] = {}
    search: ClassVar[Search | None] = None
    orders: ClassVar[Sequence[str]] = (NEWEST_FIRST, "created_at")

    def rows(self) -> QuerySet[Any]:
        """Return all rows, with everything that their output needs."""
        raise NotImplementedError

    def get(self, request: Request) -> Response:
        """List the rows that the query parameters ask for, the newest first unless `order` says otherwise."""
        order = Order.read(request, self.orders)
        with reading_lists():
            rows = filtered(self.rows(), request.query_params, self.conditions, self._finder)
            page = page_of(rows, request, order)
            return page.answer(request, self.render(*page.rows))

    @property
    def _finder(self) -> Find | None:
        """What finds rows by a text, as far as the operator may view what it goes by."""
        return None if self.search is None else partial(self.search.find, may_view=self._may_view)

    def _may_view(self, model: type[Model]) -> bool:
        codename = get_permission_codename("view", model._meta)
        return bool(self.actor.has_perm(f"{model._meta.app_label}.{codename}"))


class MoneyListMixin(ListMixin):
    """A page of rows that have an amount."""

    orders = (NEWEST_FIRST, "created_at", "-amount", "amount")


class PrivateDataSerializer(OutputSerializer):
    """A row with fields that only some may see; to others not even their names are shown."""

    private: ClassVar[Mapping[str, str]] = {"provider_data": PRIVATE}
    """The fields that need one, and the permission of `payments` that each needs: of rows within, to view those."""

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Write the row."""
        return self._permitted(super().to_representation(instance))

    def recall(self, written: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was written earlier, without what has become private to the asker."""
        return self._permitted(super().recall(written))

    def _permitted(self, shown: dict[str, Any]) -> dict[str, Any]:
        has_perm = self.context.get("has_perm", lambda _permission: False)
        needed = {name: permission for name, permission in self.private.items() if name in shown}
        hidden = {name for name, permission in needed.items() if not has_perm(f"payments.{permission}")}
        return {name: value for name, value in shown.items() if name not in hidden}
