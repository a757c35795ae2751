"""Who asks: Django's session with its CSRF protection, or whatever classes the settings name instead."""

from __future__ import annotations

from typing import Final

from django.utils.module_loading import import_string
from rest_framework import authentication, exceptions
from rest_framework.request import Request


class SessionAuthentication(authentication.SessionAuthentication):
    """Recognize a logged-in user. Who isn't logged in needs no CSRF token: there is nothing to ride on."""

    challenge: Final = 'Session realm="payments"'

    def authenticate_header(self, request: Request) -> str:
        """Return a challenge, so that DRF answers 401 and not 403."""
        return self.challenge

    def enforce_csrf(self, request: Request) -> None:
        """Refuse an unsafe request without a CSRF token, under a code of its own."""
        try:
            super().enforce_csrf(request)
        except exceptions.PermissionDenied as error:
            raise exceptions.PermissionDenied(str(error.detail), code="csrf_failed") from error


def authenticators(paths: tuple[str, ...] | None) -> list[authentication.BaseAuthentication]:
    """Build the authentication classes at these dotted paths, or the session's where none are configured."""
    if paths is None:
        return [SessionAuthentication()]
    return [import_string(path)() for path in paths]
