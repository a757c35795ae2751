"""Looking an order up, and what it means where that fails."""

from __future__ import annotations

from payments.exceptions import ProviderUnavailableError
from payments.providers.paypal.client import PayPalApi
from payments.providers.paypal.errors import PayPalAnswerError
from payments.providers.paypal.orders import Order, read_order
from payments.providers.paypal.parameters import order_id
from payments.providers.requests import ProviderRequest


def look(api: PayPalApi, request: ProviderRequest) -> Order:
    """Return the order of a session; raise RefusedError where PayPal has none, or none any more."""
    return read_order(api.order(order_id(request)))


def look_or_none(api: PayPalApi, request: ProviderRequest) -> Order | None:
    """Return the order of a session, or None where PayPal has none, or none any more."""
    answer = api.order_or_none(order_id(request))
    return None if answer is None else read_order(answer)


def look_at_payment(api: PayPalApi, request: ProviderRequest) -> Order:
    """Return the order of a payment.

    PayPal forgets orders that nobody approved, but not those that were paid. So where one isn't found, as under another
    account's credentials, nobody knows what has become of it, or of an earlier attempt at the same.
    """
    order = look_or_none(api, request)
    if order is None:
        raise PayPalAnswerError("PayPal doesn't know the order of a payment.")
    return order


def look_again(api: PayPalApi, request: ProviderRequest) -> Order:
    """Return the order after something was asked for: then not to reach PayPal doesn't mean “not done”."""
    try:
        return look(api, request)
    except ProviderUnavailableError as error:
        raise PayPalAnswerError("PayPal can't be asked what became of it.") from error
