"""Operators only, and only with the permissions that the action needs."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class StaffPermission(BasePermission):
    """Let through an active member of staff who has what the view names for the method, and may view its row."""

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
