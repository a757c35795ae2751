"""Which account at a provider a session is paid from: the one of its collection's customer, if they have one."""

from __future__ import annotations

from dataclasses import replace

from payments.models import AccountHolder, PaymentCollection
from payments.providers import PaymentContext


def with_account(context: PaymentContext, collection: PaymentCollection, provider_id: str) -> PaymentContext:
    """Return a context that names the customer's account at a provider, unless it names one already."""
    if context.account_reference is not None or collection.customer_id is None:
        return context
    holders = AccountHolder.objects.filter(provider=provider_id, customer=collection.customer_id)
    reference = holders.values_list("provider_reference", flat=True).first()
    return context if reference is None else replace(context, account_reference=reference)
