"""Which account at a provider a session is paid from: the one of its collection's customer, if they have one.

And who may pay with what is saved there: over the storefront that customer alone, once they are logged in.
"""

from __future__ import annotations

from dataclasses import replace

from payments.models import AccountHolder, PaymentCollection, PaymentSession
from payments.providers import PaymentContext
from payments.services.origins import Origin
from payments.states import EventSource


def with_account(context: PaymentContext, collection: PaymentCollection, provider_id: str) -> PaymentContext:
    """Return a context that names the customer's account at a provider, unless it names one already."""
    if context.account_reference is not None or collection.customer_id is None:
        return context
    holders = AccountHolder.objects.filter(provider=provider_id, customer=collection.customer_id)
    reference = holders.values_list("provider_reference", flat=True).first()
    return context if reference is None else replace(context, account_reference=reference)


def is_asked_by_another(session: PaymentSession, origin: Origin) -> bool:
    """Return whether a session is paid from a customer's account, and a payer asks who isn't that customer."""
    if origin.source != EventSource.STOREFRONT or not session.context.get("account_reference"):
        return False
    return origin.actor is None or origin.actor.pk != session.collection.customer_id
