"""Operators only, and only with the permission that the action needs."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class StaffPermission(BasePermission):
    """Let through an active member of staff who has the permission that the view names for the method."""

    code = "permission_denied"

    def __init__(self) -> None:
        self.message = _("This is for members of staff.")

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the request may go on; a method that the view doesn't have is refused later."""
        user: Any = view.actor
        if user is None or not (user.is_active and user.is_staff):
            return False
        method = "GET" if request.method == "HEAD" else str(request.method)
        needed = view.permissions.get(method)
        if needed is None or user.has_perm(f"payments.{needed}"):
            return True
        self.message = _("This needs the permission payments.%(permission)s.") % {"permission": needed}
        return False
