"""Asking the shop what a reference stands for: the function that `PAYMENTS["PAYABLE_RESOLVER"]` names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from rest_framework.request import Request

from payments.api.errors import NotConfigured
from payments.conf import payable_resolver_path
from payments.exceptions import NotFoundError
from payments.services import ResolvedPayable

PayableResolver = Callable[[HttpRequest, str], ResolvedPayable | None]
"""What a shop writes: it returns None for what isn't there, or isn't this visitor's to pay."""


def resolve_payable(request: Request, reference: str) -> ResolvedPayable:
    """Return what a reference stands for.

    Raises NotFoundError (`unknown_reference`) where the shop doesn't know it, and NotConfigured where no resolver
    is configured.
    """
    resolved = _resolver()(_plain_request(request), reference)
    if resolved is None:
        raise NotFoundError(
            _("There is nothing to pay under this reference."), code="unknown_reference", field="reference"
        )
    if not isinstance(resolved, ResolvedPayable):
        raise ImproperlyConfigured(
            f"{payable_resolver_path()} returned a {type(resolved).__name__}; "
            "return payments.services.ResolvedPayable(...), or None"
        )
    return resolved


def _resolver() -> PayableResolver:
    path = payable_resolver_path()
    if path is None:
        raise NotConfigured(
            _(
                "This shop has not set up which references can be paid. Write a function "
                "resolve_payable(request, reference) that returns a payments.services.ResolvedPayable or None, "
                'and name it: PAYMENTS = {"PAYABLE_RESOLVER": "shop.payments.resolve_payable", ...}'
            ),
            code="no_payable_resolver",
        )
    resolver: PayableResolver = import_string(path)
    return resolver


def _plain_request(request: Request) -> HttpRequest:
    """Return Django's request with the user that the API recognized; nobody is an AnonymousUser, as elsewhere."""
    plain: Any = request._request  # DRF has no public name for it
    user: Any = request.user  # None, where the project's UNAUTHENTICATED_USER is None
    plain.user = AnonymousUser() if user is None else user
    return cast("HttpRequest", plain)
