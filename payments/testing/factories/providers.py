"""The factory of payment providers' rows."""

from __future__ import annotations

from payments.models import PaymentProvider
from payments.testing.factories.base import RowFactory


class PaymentProviderFactory(RowFactory[PaymentProvider]):
    """Make the row of a provider, or find it: an alias has one. It is `system` unless `id` says otherwise."""

    class Meta:
        model = PaymentProvider
        django_get_or_create = ("id",)

    id = "system"
    is_enabled = True
