"""Asking the shop what a reference stands for: the function that `PAYMENTS["PAYABLE_RESOLVER"]` names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import DataError
from django.http import Http404, HttpRequest
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework.request import Request

from payments.api.errors import NotConfigured, PayableMisconfigured
from payments.conf import payable_resolver_path
from payments.exceptions import AmountError, CurrencyError, InputError, NotFoundError
from payments.money import exact_decimal
from payments.services import ResolvedPayable

logger = logging.getLogger("payments.payables")

UNKNOWN: Final = (ObjectDoesNotExist, Http404, ValidationError, ValueError, OverflowError, DataError)
"""What a lookup raises for a reference that can be no key, and Django's shortcuts for one that isn't there."""

_MISCONFIGURED: Final = gettext_lazy(
    "The shop made a mistake about what is to be paid for this; it has been told."
)

PayableResolver = Callable[[HttpRequest, str], ResolvedPayable | None]
"""What a shop writes: it returns None for what isn't there, or isn't this visitor's to pay."""


def resolve_payable(request: Request, reference: str) -> ResolvedPayable:
    """Return what a reference stands for.

    Raises NotFoundError (`unknown_reference`) where the shop doesn't know it, NotConfigured where no resolver is
    configured, and PayableMisconfigured where it returns something else.
    """
    resolver = _resolver()
    resolved: Any
    try:
        resolved = resolver(_plain_request(request), reference)
    except UNKNOWN as error:
        logger.warning(
            "%s raised for a reference, which is taken for one that it doesn't know.",
            payable_resolver_path(),
            exc_info=error,
        )
        resolved = None
    if resolved is None:
        raise NotFoundError(
            _("There is nothing to pay under this reference."), code="unknown_reference", field="reference"
        )
    if not isinstance(resolved, ResolvedPayable):
        logger.error(
            "%s returned a %s; return payments.services.ResolvedPayable(...), or None.",
            payable_resolver_path(),
            type(resolved).__qualname__,
        )
        raise PayableMisconfigured(_MISCONFIGURED)
    return resolved


@contextmanager
def blaming_the_resolver(resolved: ResolvedPayable) -> Iterator[None]:
    """Have the shop answer, and not the payer, where what its resolver returned can't be paid."""
    try:
        yield
    except (AmountError, CurrencyError, InputError) as error:
        logger.error("%s returned what can't be paid: %s", payable_resolver_path(), error.message)
        if error.code == "not_positive" and not exact_decimal(resolved.amount):
            raise PayableMisconfigured(
                _("There is nothing to pay for this: it costs nothing."), code="nothing_to_pay"
            ) from error
        raise PayableMisconfigured(_MISCONFIGURED) from error


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
